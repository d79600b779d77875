//! Runs a model with random schedules, and with schedules that switch threads at a few points only.

/// The environment variable `SCHEDULES` is the number of schedules of each kind (5,000 by default).
pub(crate) fn check(model: fn()) {
    let schedules = std::env::var("SCHEDULES").ok();
    let schedules = schedules.map_or(5_000, |number| number.parse().expect("a number"));
    shuttle::check_random(model, schedules);
    shuttle::check_pct(model, schedules, 3);
}
