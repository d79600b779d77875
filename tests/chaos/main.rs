//! Failures around a request: nothing is sent unsigned or with another body, and nothing is left behind.

mod clock;
#[path = "../common/mod.rs"]
mod common;
mod provider;
mod services;
mod setup;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::StatusCode;
use tower::{Layer, ServiceExt, limit::ConcurrencyLimit};
use tower_sigv4::origin::PayloadMode;

use crate::common::Step;
use services::{MAX_POLLS, ReadyOnce, poll_times, run};
use setup::{CHECKS, CHUNKS, CORRECTED, HOUR, TestSetup, body, chunks, request, setups};

#[test]
fn a_request_dropped_at_any_poll_leaves_nothing_behind() {
    run(async {
        for (name, setup) in setups() {
            let mut polls = 0;
            let outcome = loop {
                if let Some(outcome) = poll_times(&setup, polls, setup.send(chunks())).await {
                    break outcome;
                }
                // An incomplete request may be rejected, but not a complete one.
                assert!(
                    setup.rejections().iter().all(Option::is_none),
                    "{name}: {polls}"
                );
                polls += 1;
                assert!(polls < MAX_POLLS, "{name}");
            };
            let (status, echoed) = outcome.expect(&name);
            assert_eq!(
                (status, setup.rejections()),
                (StatusCode::OK, vec![None]),
                "{name}"
            );
            assert!(echoed == body(), "{name}");
            assert!(polls > 12, "{name}: {polls}");
        }
    });
}

/// The origin's clock differs, so the request is rejected, signed again and resent.
#[test]
fn a_retried_request_dropped_at_any_poll_leaves_nothing_behind() {
    run(async {
        for mode in [PayloadMode::Buffer, PayloadMode::Spool] {
            for check in CHECKS {
                let mut polls = 0;
                let (setup, outcome) = loop {
                    let setup = TestSetup::new(mode, false, check, HOUR);
                    if let Some(outcome) = poll_times(&setup, polls, setup.send(chunks())).await {
                        break (setup, outcome);
                    }
                    let rejections = setup.rejections();
                    assert!(
                        CORRECTED.starts_with(&rejections),
                        "{mode:?} {polls}: {rejections:?}"
                    );
                    polls += 1;
                    assert!(polls < MAX_POLLS, "{mode:?} {check:?}");
                };
                let (status, echoed) = outcome.expect("a response");
                assert_eq!(
                    (status, &*setup.rejections()),
                    (StatusCode::OK, &CORRECTED[..])
                );
                assert!(echoed == body(), "{mode:?} {check:?}");
            }
        }
    });
}

#[test]
fn a_truncated_body_is_never_received_as_complete() {
    run(async {
        for (name, setup) in setups() {
            for good in 0..=2 * CHUNKS {
                for end in [vec![Step::Fail], vec![]] {
                    let ends_well = good == 2 * CHUNKS && end.is_empty();
                    let steps = chunks().take(good).chain(end);
                    let outcome = poll_times(&setup, MAX_POLLS, setup.send(steps))
                        .await
                        .expect(&name);
                    let accepted = outcome.is_ok_and(|(status, _)| status.is_success());
                    assert_eq!(accepted, ends_well, "{name}: {good}");
                    assert_eq!(
                        setup.rejections().contains(&None),
                        ends_well,
                        "{name}: {good}"
                    );
                }
            }
        }
    });
}

#[test]
fn a_connection_that_fails_at_any_step_leaves_nothing_behind() {
    run(async {
        for (name, mut setup) in setups() {
            setup.breaks_at = 0;
            loop {
                let sending = setup.send(chunks());
                match poll_times(&setup, MAX_POLLS, sending).await.expect(&name) {
                    Ok(_) => break,
                    Err(error) => assert_eq!(error.to_string(), "connection reset", "{name}"),
                }
                setup.breaks_at += 1;
            }
            assert!(setup.breaks_at >= 3, "{name}");
        }
    });
}

/// The inner service is not ready for the retry, and a timeout ends it.
#[test]
fn a_retry_that_times_out_releases_everything() {
    run(async {
        let setup = TestSetup::new(PayloadMode::Buffer, false, CHECKS[0], HOUR);
        let polls = Arc::new(AtomicUsize::new(0));
        let connection = ReadyOnce {
            inner: setup.origin(),
            polls: polls.clone(),
        };
        let connection = ConcurrencyLimit::with_semaphore(connection, setup.permits.clone());
        let sending = setup.client.layer(connection).oneshot(request(chunks()));
        tokio::time::timeout(HOUR, sending)
            .await
            .expect_err("never ready again");
        assert!(polls.load(Ordering::SeqCst) > 1);
        assert_eq!(setup.rejections(), CORRECTED[..1]);
        setup.assert_nothing_left("timed out");
    });
}
