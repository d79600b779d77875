//! Pauses between attempts.

use tower::retry::budget::Budget;

use super::*;

#[tokio::test(start_paused = true)]
async fn the_longest_backoffs_do_not_panic() {
    const DAYS_30: Duration = Duration::from_secs(30 * 24 * 60 * 60);
    let second = Duration::from_secs(1);
    for (first, longest, after, pause) in [
        (second, Duration::MAX, "18446744073709551615", DAYS_30),
        (second, Duration::MAX, "9223372036854775807", DAYS_30),
        (
            second,
            Duration::MAX,
            "Fri, 31 Dec 9999 23:59:59 GMT",
            DAYS_30,
        ),
        (second, DAYS_30, "18446744073709551615", Duration::ZERO),
        (second, Duration::MAX, "18446744073709551616", second),
        (Duration::MAX, Duration::MAX, "1", DAYS_30),
    ] {
        let policy = RetryPolicy::new()
            .with_backoff(first, longest)
            .expect("sound");
        let began = Instant::now();
        let replies = [After(503, after), Status(200)];
        let attempts = attempts_of(Form::Signing, policy, &Method::GET, &replies).await;
        assert_eq!(attempts, if pause.is_zero() { 1 } else { 2 }, "{after}");
        let took = began.elapsed();
        assert!(
            (pause..=pause + 2 * second).contains(&took),
            "{after}: {took:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_respected() {
    let soon = httpdate(Duration::from_secs(15));
    for (after, expected, least, most) in [
        ("7", 200, 7_000, 7_002),
        ("0", 200, 100, 202),
        ("soon", 200, 100, 202),
        ("-1", 200, 100, 202),
        ("Sun, 30 Aug 2015 12:36:00 GMT", 200, 100, 202),
        (soon, 200, 12_000, 15_002),
        ("21", 503, 0, 2),
        ("18446744073709551615", 503, 0, 2),
    ] {
        for form in FORMS {
            let began = Instant::now();
            let replies = [After(503, after), Status(200)];
            let (client, _) = client(form, RetryPolicy::new(), &replies);
            let status = client.oneshot(request(Method::POST)).await;
            let took = began.elapsed().as_millis();
            assert_eq!(status.expect("a response"), expected, "{after}");
            assert!(
                (least..=most).contains(&took),
                "{form:?} {after}: {took} ms"
            );
        }
    }
}

/// Formats the time after now as an HTTP date.
fn httpdate(after: Duration) -> &'static str {
    use aws_smithy_types::date_time::{DateTime, Format};
    let time = DateTime::from(std::time::SystemTime::now() + after);
    time.fmt(Format::HttpDate)
        .expect("a year of four digits")
        .leak()
}

#[test]
fn invalid_backoffs_are_rejected() {
    let second = Duration::from_secs(1);
    for (first, longest) in [(second, Duration::ZERO), (second * 2, second)] {
        let error = RetryPolicy::new()
            .with_backoff(first, longest)
            .expect_err("wrong");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(
            error
                .to_string()
                .contains(&format!("{first:?} to {longest:?}")),
            "{error}"
        );
    }
    assert!(RetryPolicy::new().with_backoff(second, second).is_ok());
    fn is<T: Send + Sync + Clone + std::fmt::Debug>() {}
    is::<RetryPolicy>();
    fn is_budget<T: Budget>() {}
    is_budget::<TpsBudget>();
}
