//! An origin's response is a claim: it affects requests to this origin only.

mod offsets;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body::SizeHint;
use tower_sigv4::{
    Origin, SigningLayer,
    credentials::{Credentials, CredentialsCache},
    origin::PayloadMode,
    sigv4::{Checksum, ChunkSize, PayloadHash},
};

use crate::common::{
    ScriptedBody, Step, now,
    origins::{MultiOriginClient, Provider, Received, amz_date, response},
    settings,
};
use offsets::respond_by_clock;

const HOUR: Duration = Duration::from_secs(3600);

const SKEWED: &str = "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time \
                      and the current time is too large.</Message></Error>";

const EXPIRED: &str =
    "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>";

fn s3(name: &str) -> Origin {
    let url = format!("https://{name}.s3.us-east-1.amazonaws.com");
    Origin::new(&url, settings("s3")).expect("an origin")
}

fn request(method: Method, path: &str) -> Request<ScriptedBody> {
    let size = SizeHint::with_exact(4);
    let body = ScriptedBody::new([Step::Data(Bytes::from_static(b"body"))]).with_size(size);
    let request = Request::builder().method(method).uri(path);
    request.body(body).expect("a request")
}

/// A request whose body is collected in the default mode, so that it can be sent again.
fn put() -> Request<ScriptedBody> {
    request(Method::PUT, "/key")
}

/// A request whose client has hashed the body.
fn hashed_put() -> Request<ScriptedBody> {
    let hash = PayloadHash::of(b"body").to_string();
    let mut request = put();
    request
        .headers_mut()
        .insert("x-amz-content-sha256", hash.parse().expect("a value"));
    request
}

/// Row T1: an honest origin quotes the phrase of a client.
#[tokio::test(start_paused = true)]
async fn a_quoted_query_changes_no_clock() {
    let es = Origin::new(
        "https://search-a.us-east-1.es.amazonaws.com",
        settings("es"),
    );
    let client = MultiOriginClient::new([
        es.expect("valid"),
        s3("a").with_payload(PayloadMode::Unsigned),
    ])
    .await;
    let later = amz_date(now() + 20 * HOUR);
    let quoted = format!("Signature expired: ({later}");
    let bodies = [
        format!(
            r#"{{"error":{{"type":"illegal_argument_exception","reason":"request [/] contains unrecognized parameter: [{quoted}]"}},"status":400}}"#
        ),
        format!(r#"{{"__type":"ValidationException","message":"Value '{quoted}' is not valid"}}"#),
        format!(r#"{{"__type":"ValidationException","message":"{quoted}"}}"#),
        format!(r#"{{"__type":"ThrottlingException","message":"Rate exceeded for {quoted}"}}"#),
        format!("<html><body>{quoted}</body></html>"),
        quoted.clone(),
    ];
    let path = format!("/?Signature%20expired:%20({later}");
    for (round, body) in bodies.iter().cycle().take(60).enumerate() {
        client.clock.advance(Duration::from_secs(1));
        let time = client.clock.now();
        let quotes = |_: &Received| response(400, time, body.clone());
        let quoted = client.send(0, request(Method::GET, &path), &quotes).await;
        assert_eq!(quoted.dates(), [amz_date(time)], "{round}");
        assert_eq!(quoted.body, body);
        let upload = client.send(1, put(), &respond_by_clock(time)).await;
        assert_eq!(
            (upload.status.as_u16(), upload.dates()),
            (200, vec![&*amz_date(time)]),
            "{round}"
        );
    }
    assert_eq!(client.provider.calls(), 1);
}

/// Row T2: a request that cannot be sent again corrects the next one.
#[tokio::test(start_paused = true)]
async fn a_streamed_request_is_rejected_and_the_next_one_is_accepted() {
    let size = ChunkSize::new(64 * 1024).expect("a size");
    for mode in [
        PayloadMode::Unsigned,
        PayloadMode::Trust,
        PayloadMode::Mirror,
        PayloadMode::Chunked(size),
        PayloadMode::ChunkedTrailer(size, Checksum::Crc32C),
        PayloadMode::UnsignedTrailer(Checksum::Sha256),
    ] {
        for diagnosis in [false, true] {
            let mut client = MultiOriginClient::new([s3("a").with_payload(mode)]).await;
            client.layer = client.layer.with_diagnosis(diagnosis);
            let time = client.clock.now() + HOUR;
            for (round, (status, signed_at)) in [(403, time - HOUR), (200, time), (200, time)]
                .into_iter()
                .enumerate()
            {
                let upload = client.send(0, hashed_put(), &respond_by_clock(time)).await;
                let expected = (status, vec![amz_date(signed_at)]);
                let dates = upload
                    .dates()
                    .into_iter()
                    .map(str::to_owned)
                    .collect::<Vec<_>>();
                assert_eq!(
                    (upload.status.as_u16(), dates),
                    expected,
                    "{mode:?} {diagnosis} {round}"
                );
            }

            let expired = |received: &Received| {
                let is_old = received.key == "KEY0";
                if is_old {
                    response(400, time, EXPIRED)
                } else {
                    response(200, time, "")
                }
            };
            for (status, key) in [(400, "KEY0"), (200, "KEY1"), (200, "KEY1")] {
                let upload = client.send(0, hashed_put(), &expired).await;
                let expected = (status, vec![key]);
                assert_eq!(
                    (upload.status.as_u16(), upload.keys()),
                    expected,
                    "{mode:?} {diagnosis}"
                );
            }
        }
    }
}

/// Row T3: one origin rejects the credentials as expired, and the provider fails.
#[tokio::test(start_paused = true)]
async fn expired_credentials_of_one_origin_do_not_affect_others() {
    let client = MultiOriginClient::new([s3("a"), s3("b")]).await;
    client.provider.set_down(true);
    let time = client.clock.now();
    let complains = |_: &Received| response(400, time, EXPIRED);
    let accepts = |_: &Received| response(200, time, "");
    for round in 0..10 {
        let rejected = client.send(0, put(), &complains).await;
        assert_eq!(
            (rejected.status.as_u16(), rejected.keys()),
            (400, vec!["KEY0"]),
            "{round}"
        );
        assert_eq!(rejected.body, EXPIRED);
        let accepted = client.send(1, put(), &accepts).await;
        assert_eq!(
            (accepted.status.as_u16(), accepted.keys()),
            (200, vec!["KEY0"]),
            "{round}"
        );
        assert_eq!(client.provider.calls(), 2, "it is left alone for a while");
    }

    // The provider is calls again later. Then all requests use the new credentials.
    client.provider.set_down(false);
    client.clock.advance(Duration::from_secs(11));
    let rejects_old = |received: &Received| {
        if received.key == "KEY0" {
            complains(received)
        } else {
            accepts(received)
        }
    };
    let accepted = client.send(0, put(), &rejects_old).await;
    assert_eq!(
        (accepted.status.as_u16(), accepted.keys()),
        (200, vec!["KEY2"])
    );
    assert_eq!(client.send(1, put(), &accepts).await.keys(), ["KEY2"]);
    assert_eq!(client.provider.calls(), 3);
}

/// The provider is calls although the request cannot be sent again.
#[tokio::test(start_paused = true)]
async fn a_streamed_request_with_expired_credentials_calls_the_provider() {
    let client =
        MultiOriginClient::new([s3("a").with_payload(PayloadMode::Unsigned), s3("b")]).await;
    let time = client.clock.now();
    let rejected = client
        .send(0, put(), &|_| response(400, time, EXPIRED))
        .await;
    assert_eq!(
        (rejected.status.as_u16(), rejected.keys()),
        (400, vec!["KEY0"])
    );
    tokio::task::yield_now().await;
    assert_eq!(client.provider.calls(), 2);
    assert_eq!(
        client
            .send(1, put(), &|_| response(200, time, ""))
            .await
            .keys(),
        ["KEY1"]
    );
}

/// A provider without other credentials returns the same again.
#[tokio::test(start_paused = true)]
async fn rejected_credentials_are_not_sent_again() {
    let token = Some("token".to_owned());
    let credentials = Credentials::new("KEY0", "secret", token, None, "test");
    let mut client = MultiOriginClient::new([]).await;
    client.layer = SigningLayer::new(credentials, s3("a")).with_clock(client.clock.clone());
    for _ in 0..3 {
        client.clock.advance(Duration::from_secs(60));
        let time = client.clock.now();
        let rejected = client
            .send(0, put(), &|_| response(400, time, EXPIRED))
            .await;
        assert_eq!(
            (rejected.status.as_u16(), rejected.keys()),
            (400, vec!["KEY0"])
        );
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_without_a_token_do_not_expire() {
    let mut client = MultiOriginClient::new([]).await;
    client.provider = Provider::without_token();
    let cache = CredentialsCache::new(client.provider.clone());
    client.layer = SigningLayer::new(cache, s3("a")).with_clock(client.clock.clone());
    for _ in 0..3 {
        let time = client.clock.now();
        let rejected = client
            .send(0, put(), &|_| response(400, time, EXPIRED))
            .await;
        assert_eq!(
            (rejected.status.as_u16(), rejected.keys()),
            (400, vec!["KEY0"])
        );
        client.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(client.provider.calls(), 1);
}

/// Row T5: an application may execute a request and then respond like AWS.
#[tokio::test(start_paused = true)]
async fn responses_of_applications_are_trusted_only_if_enabled() {
    let application = |service, enabled: Option<bool>| {
        let origin = Origin::new("https://orders.example.com", settings(service)).expect("valid");
        match enabled {
            Some(enabled) => origin.with_recovery(enabled),
            None => origin,
        }
    };
    const JSON: &str = r#"{"__type":"InvalidSignatureException","message":"Signature expired: 1"}"#;
    for (service, body) in [
        ("s3", SKEWED),
        ("s3", EXPIRED),
        ("orders", JSON),
        ("es", JSON),
    ] {
        for (origin, expected) in [
            (application(service, None), 1),
            (application(service, Some(false)), 1),
            (application(service, Some(true)), 2),
            (
                application(service, None)
                    .with_signed_host("orders.on.aws.example.com")
                    .expect("valid"),
                1,
            ),
            (
                application(service, None)
                    .with_signed_host("a.us-east-1.amazonaws.com")
                    .expect("valid"),
                2,
            ),
        ] {
            let client = MultiOriginClient::new([origin]).await;
            let time = client.clock.now() + HOUR;
            let exchange = client.send(0, put(), &|_| response(403, time, body)).await;
            assert_eq!(exchange.received.len(), expected, "{service} {body}");
            assert_eq!(exchange.body, body);
        }
    }
    // Messages without a code do not count even then.
    for (service, status, body) in [
        (
            "orders",
            403,
            "could not store the receipt: The security token included in the request is expired",
        ),
        ("es", 403, "Signature expired: something"),
    ] {
        let client = MultiOriginClient::new([application(service, Some(true))]).await;
        let time = client.clock.now() + HOUR;
        let exchange = client
            .send(0, put(), &|_| response(status, time, body))
            .await;
        assert_eq!(exchange.received.len(), 1, "{body}");
    }
}

/// An error counts only if its body is complete, within 64 KiB.
#[tokio::test(start_paused = true)]
async fn incomplete_errors_are_ignored() {
    for (padding, expected) in [(0, 2), (60_000, 2), (66_000, 1), (200_000, 1)] {
        let client = MultiOriginClient::new([s3("a")]).await;
        let time = client.clock.now() + HOUR;
        let body = SKEWED.to_owned() + &" ".repeat(padding);
        let exchange = client
            .send(0, put(), &|_| response(403, time, body.clone()))
            .await;
        assert_eq!(exchange.received.len(), expected, "{padding}");
        assert_eq!(exchange.body, body);
    }
}
