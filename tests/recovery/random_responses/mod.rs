//! Random responses from parts of real error messages in wrong places: clock and credentials change only if a response
//! has an exact pair of code and message.

mod generator;
mod messages;

use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use http::Request;
use tower_sigv4::Origin;

use crate::common::{
    ScriptedBody, Step,
    origins::{MultiOriginClient, Received, amz_date, response},
    settings,
};
use generator::RandomResponse;
use messages::{SERVICES, pick};

fn origins() -> impl Iterator<Item = Origin> {
    SERVICES.into_iter().map(|service| {
        let url = format!("https://a.{service}.us-east-1.amazonaws.com");
        Origin::new(&url, settings(service)).expect("an origin")
    })
}

fn request() -> Request<ScriptedBody> {
    let body = ScriptedBody::new([Step::Data(Bytes::from_static(b"body"))]);
    Request::post("/").body(body).expect("a request")
}

/// Each request reveals changes by earlier ones.
#[tokio::test(start_paused = true)]
async fn responses_without_the_exact_pair_change_nothing() {
    let mut rng = Rng::with_seed(19);
    let client = MultiOriginClient::new(origins()).await;
    let mut last = None;
    let mut near = 0;
    let mut count = 0;
    while count < 20_000 {
        let origin = rng.usize(..SERVICES.len());
        let claim = if rng.bool() {
            RandomResponse::random(&mut rng)
        } else {
            RandomResponse::near(&mut rng, SERVICES[origin])
        };
        if claim.is_exact(SERVICES[origin]) {
            near += 1;
            continue;
        }
        count += 1;
        // A success counts for only a minute.
        client.clock.advance(Duration::from_secs(rng.u64(..90)));
        let time = client.clock.now();
        let exchange = client
            .send(origin, request(), &|_| claim.response(time))
            .await;
        let sent = (exchange.dates(), exchange.keys());
        let service = SERVICES[origin];
        let expected = amz_date(time);
        assert_eq!(
            sent,
            (vec![&*expected], vec!["KEY0"]),
            "{count}: {service} after {last:?}, {claim:?}"
        );
        assert_eq!(exchange.status, claim.status);
        assert_eq!(exchange.body, claim.body.text());
        assert_eq!(client.provider.calls(), 1, "{count}: {service} {claim:?}");
        last = Some((service, claim));
    }
    assert!(
        near > 1_000,
        "only {near} were left out, so few of the others come near"
    );
}

/// Exact pairs, from an origin that rejects consistently.
#[tokio::test(start_paused = true)]
async fn the_exact_pair_changes_only_requests_to_its_origin() {
    let mut rng = Rng::with_seed(91);
    let (mut corrected, mut calls, mut count) = (0, 0, 0);
    while count < 600 {
        let liar = rng.usize(..SERVICES.len());
        let mut claim = RandomResponse::exact(&mut rng, SERVICES[liar]);
        claim.date = Some(pick(&mut rng, &[3600, -7200, 72_000]));
        claim.age = rng.u8(..4) == 0;
        assert!(claim.is_exact(SERVICES[liar]), "{claim:?}");
        count += 1;
        let client = MultiOriginClient::new(origins()).await;
        client.provider.set_down(true);
        let time = client.clock.now();
        let right = claim.time(time).expect("it has a date");
        let complains = |received: &Received| {
            let is_right = received.date == amz_date(right);
            if is_right {
                response(200, right, "")
            } else {
                claim.response(time)
            }
        };
        let exchange = client.send(liar, request(), &complains).await;
        match exchange.received.len() {
            1 => {
                assert_eq!(exchange.body, claim.body.text(), "{claim:?}");
                calls += client.provider.calls() - 1;
            }
            2 => {
                assert!(!claim.age, "{claim:?}");
                assert_eq!(exchange.status, 200, "{claim:?}");
                corrected += 1;
            }
            more => panic!("sent {more} times: {claim:?}"),
        }
        for origin in (0..SERVICES.len()).filter(|origin| *origin != liar) {
            let exchange = client
                .send(origin, request(), &|_| response(200, time, ""))
                .await;
            let sent = (exchange.dates(), exchange.keys());
            assert_eq!(sent, (vec![&*amz_date(time)], vec!["KEY0"]), "{claim:?}");
        }
    }
    assert!(
        corrected > 100 && calls > 100,
        "{corrected} corrected, {calls} calls"
    );
}
