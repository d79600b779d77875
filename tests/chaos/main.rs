//! Failures around a request: nothing is sent unsigned or with another body, and nothing is left behind.

mod clock;
#[path = "../common/mod.rs"]
mod common;
mod provider;
mod services;
mod world;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::StatusCode;
use tower::{Layer, ServiceExt, limit::ConcurrencyLimit};
use tower_sigv4::origin::PayloadMode;

use crate::common::Step;
use services::{MAX_POLLS, Once, poll_times, run};
use world::{CHECKS, CHUNKS, CORRECTED, HOUR, World, body, chunks, request, worlds};

#[test]
fn a_request_dropped_at_any_poll_leaves_nothing_behind() {
    run(async {
        for (name, world) in worlds() {
            let mut polls = 0;
            let outcome = loop {
                if let Some(outcome) = poll_times(&world, polls, world.send(chunks())).await {
                    break outcome;
                }
                // An incomplete request may be rejected, but not a complete one.
                assert!(
                    world.verdicts().iter().all(Option::is_none),
                    "{name}: {polls}"
                );
                polls += 1;
                assert!(polls < MAX_POLLS, "{name}");
            };
            let (status, echoed) = outcome.expect(&name);
            assert_eq!(
                (status, world.verdicts()),
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
                let (world, outcome) = loop {
                    let world = World::new(mode, false, check, HOUR);
                    if let Some(outcome) = poll_times(&world, polls, world.send(chunks())).await {
                        break (world, outcome);
                    }
                    let verdicts = world.verdicts();
                    assert!(
                        CORRECTED.starts_with(&verdicts),
                        "{mode:?} {polls}: {verdicts:?}"
                    );
                    polls += 1;
                    assert!(polls < MAX_POLLS, "{mode:?} {check:?}");
                };
                let (status, echoed) = outcome.expect("a response");
                assert_eq!(
                    (status, &*world.verdicts()),
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
        for (name, world) in worlds() {
            for good in 0..=2 * CHUNKS {
                for end in [vec![Step::Fail], vec![]] {
                    let ends_well = good == 2 * CHUNKS && end.is_empty();
                    let steps = chunks().take(good).chain(end);
                    let outcome = poll_times(&world, MAX_POLLS, world.send(steps))
                        .await
                        .expect(&name);
                    let accepted = outcome.is_ok_and(|(status, _)| status.is_success());
                    assert_eq!(accepted, ends_well, "{name}: {good}");
                    assert_eq!(
                        world.verdicts().contains(&None),
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
        for (name, mut world) in worlds() {
            world.breaks_at = 0;
            loop {
                let sending = world.send(chunks());
                match poll_times(&world, MAX_POLLS, sending).await.expect(&name) {
                    Ok(_) => break,
                    Err(error) => assert_eq!(error.to_string(), "connection reset", "{name}"),
                }
                world.breaks_at += 1;
            }
            assert!(world.breaks_at >= 3, "{name}");
        }
    });
}

/// The inner service is not ready for the retry, and a timeout ends it.
#[test]
fn a_retry_that_times_out_releases_everything() {
    run(async {
        let world = World::new(PayloadMode::Buffer, false, CHECKS[0], HOUR);
        let asked = Arc::new(AtomicUsize::new(0));
        let connection = Once {
            inner: world.origin(),
            asked: asked.clone(),
        };
        let connection = ConcurrencyLimit::with_semaphore(connection, world.permits.clone());
        let sending = world.client.layer(connection).oneshot(request(chunks()));
        tokio::time::timeout(HOUR, sending)
            .await
            .expect_err("never ready again");
        assert!(asked.load(Ordering::SeqCst) > 1);
        assert_eq!(world.verdicts(), CORRECTED[..1]);
        world.is_clear("timed out");
    });
}
