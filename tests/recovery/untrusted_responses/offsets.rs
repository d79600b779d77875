//! Clock corrections, kept per origin.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Response;
use tower_sigv4::{Clock, ErrorKind, Origin, SigningLayer, credentials::Credentials};

use super::{HOUR, SKEWED, put, s3};
use crate::common::{
    now,
    origins::{MultiOriginClient, Received, amz_date, response},
    send_any, settings,
};

/// Accepts requests within five minutes of its time.
pub(super) fn respond_by_clock(time: SystemTime) -> impl Fn(&Received) -> Response<Bytes> + Sync {
    let minute = Duration::from_secs(60);
    move |received| {
        let is_right =
            (amz_date(time - 5 * minute)..=amz_date(time + 5 * minute)).contains(&received.date);
        if is_right {
            response(200, time, "")
        } else {
            response(403, time, SKEWED)
        }
    }
}

/// Row T20: the clock is a day ahead, and the origin corrects it.
#[tokio::test(start_paused = true)]
async fn readiness_and_requests_use_one_clock() {
    let day = 24 * HOUR;
    for (lifetime, is_valid) in [(2 * day, true), (day / 2, false)] {
        let expiry = now() + lifetime;
        let token = Some("token".to_owned());
        let credentials = Credentials::new("KEY0", "secret", token, Some(expiry), "test");
        let mut client = MultiOriginClient::new([]).await;
        let clock = Clock::manual(now() + day);
        client.layer = SigningLayer::new(credentials, s3("a")).with_clock(clock);
        assert_eq!(client.layer.credentials().ready().await.is_ok(), is_valid);
        if is_valid {
            let exchange = client.send(0, put(), &respond_by_clock(now())).await;
            assert_eq!(exchange.dates(), [amz_date(now() + day), amz_date(now())]);
            client.layer.credentials().ready().await.expect("ready");
        } else {
            let error = send_any(&client.layer, put()).await.expect_err("expired");
            assert_eq!(error.kind(), ErrorKind::Credentials);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_unaccepted_offset_is_dropped() {
    let client = MultiOriginClient::new([s3("a")]).await;
    let time = client.clock.now();
    // The origin requires another time and rejects that, too.
    let lies = |_: &Received| response(403, time + 3 * HOUR, SKEWED);
    let exchange = client.send(0, put(), &lies).await;
    assert_eq!(
        exchange.dates(),
        [amz_date(time), amz_date(time + 3 * HOUR)]
    );
    let exchange = client.send(0, put(), &|_| response(200, time, "")).await;
    assert_eq!(exchange.dates(), [amz_date(time)]);

    // A rejection for another reason drops it, too.
    client.clock.advance(Duration::from_secs(61));
    let time = client.clock.now();
    let denied = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
    let denies = |received: &Received| {
        let is_first = received.date == amz_date(time);
        if is_first {
            response(403, time + HOUR, SKEWED)
        } else {
            response(403, time, denied)
        }
    };
    let exchange = client.send(0, put(), &denies).await;
    assert_eq!(exchange.dates(), [amz_date(time), amz_date(time + HOUR)]);
    assert_eq!(exchange.body, denied);
    let exchange = client.send(0, put(), &|_| response(200, time, "")).await;
    assert_eq!(exchange.dates(), [amz_date(time)]);
}

#[tokio::test(start_paused = true)]
async fn an_accepted_offset_survives_an_unaccepted_one() {
    let client = MultiOriginClient::new([s3("a")]).await;
    let time = client.clock.now();
    let hour_ahead = amz_date(time + HOUR);
    assert_eq!(
        client
            .send(0, put(), &respond_by_clock(time + HOUR))
            .await
            .dates(),
        [&*amz_date(time), &*hour_ahead]
    );
    client.clock.advance(Duration::from_secs(61));
    let time = client.clock.now();
    let lies = |_: &Received| response(403, time + 5 * HOUR, SKEWED);
    let exchange = client.send(0, put(), &lies).await;
    assert_eq!(
        exchange.dates(),
        [amz_date(time + HOUR), amz_date(time + 5 * HOUR)]
    );
    let exchange = client.send(0, put(), &|_| response(200, time, "")).await;
    assert_eq!(exchange.dates(), [amz_date(time + HOUR)]);
}

/// One host at two schemes and three ports, and two hosts behind one address.
#[tokio::test(start_paused = true)]
async fn offsets_are_per_scheme_address_and_signed_host() {
    let origin = |url| {
        Origin::new(url, settings("s3"))
            .expect("valid")
            .with_recovery(true)
    };
    let tunnel = |host| {
        origin("https://127.0.0.1:9000")
            .with_signed_host(host)
            .expect("a host")
    };
    let origins = [
        origin("https://a.example.com"),
        origin("http://a.example.com"),
        origin("https://a.example.com:8443"),
        origin("https://a.example.com:80"),
        origin("https://b.example.com"),
        tunnel("a.example.com"),
        tunnel("b.example.com"),
    ];
    let count = origins.len();
    for liar in 0..count {
        let client = MultiOriginClient::new(origins.clone()).await;
        let time = client.clock.now();
        let corrected = client
            .send(liar, put(), &respond_by_clock(time + HOUR))
            .await;
        assert_eq!(corrected.dates(), [amz_date(time), amz_date(time + HOUR)]);
        for other in (0..count).filter(|other| *other != liar) {
            let exchange = client.send(other, put(), &respond_by_clock(time)).await;
            assert_eq!(exchange.dates(), [amz_date(time)], "{liar} changes {other}");
        }
        let again = client
            .send(liar, put(), &respond_by_clock(time + HOUR))
            .await;
        assert_eq!(again.dates(), [amz_date(time + HOUR)]);
    }
}
