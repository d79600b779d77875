//! How a model is tried: with schedules by chance, and with some that change threads at a few places only.

/// As many of either kind as `SCHEDULES` says, which is 5,000 if it says nothing.
pub(crate) fn check(model: fn()) {
    let schedules = std::env::var("SCHEDULES").ok();
    let schedules = schedules.map_or(5_000, |number| number.parse().expect("a number"));
    shuttle::check_random(model, schedules);
    shuttle::check_pct(model, schedules, 3);
}
