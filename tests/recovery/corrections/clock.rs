//! A wrong clock.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_sigv4::{
    BoxError, Clock, Origin, SigningLayer, VerifyLayer,
    body::SignedBody,
    verify::{StaticKeys, VerifySettings},
};

use super::{
    HOUR, SKEWED, Server, credentials::Rotating, date, layer, rejection, request, responses,
};
use crate::common::{self, HOST, api, header, now, settings};

#[tokio::test]
async fn time_comes_from_the_date_of_an_uncached_response() {
    for (date, age, sent_again) in [
        (Some("Sun, 30 Aug 2015 13:36:00 GMT"), None, true),
        (Some("Sun, 30 Aug 2015 13:36:00 GMT"), Some("3"), false),
        (Some("yesterday"), None, false),
        (None, None, false),
    ] {
        let mut skewed = rejection(403, SKEWED);
        for (name, value) in [("date", date), ("age", age)] {
            if let Some(value) = value {
                skewed
                    .headers_mut()
                    .insert(name, value.parse().expect("a value"));
            }
        }
        let (client, sent) = responses([skewed, Response::new("")]);
        let response = layer()
            .layer(client)
            .oneshot(request(Method::GET, ""))
            .await;
        let sent: Vec<_> = sent
            .lock()
            .expect("not poisoned")
            .iter()
            .map(|sent| sent.date.clone())
            .collect();
        if sent_again {
            assert_eq!(sent, ["20150830T123600Z", "20150830T133600Z"])
        } else {
            assert_eq!(sent, ["20150830T123600Z"], "{date:?} {age:?}")
        }
        assert_eq!(
            response.expect("a response").status().is_success(),
            sent_again
        );
    }
}

/// An application behind API Gateway may execute a request and then pass on another service's rejection.
#[tokio::test]
async fn errors_of_an_application_are_not_retried() {
    let mut relayed = rejection(400, SKEWED);
    let date = "Sun, 30 Aug 2015 13:36:00 GMT".parse().expect("a value");
    relayed.headers_mut().insert("date", date);
    for (passed_on, tries) in [(false, 2), (true, 1)] {
        let mut relayed = relayed.clone();
        if passed_on {
            relayed.headers_mut().remove("x-amzn-errortype");
        }
        let (client, sent) = responses([relayed, Response::new("")]);
        let response = layer()
            .layer(client)
            .oneshot(request(Method::POST, "body"))
            .await;
        assert_eq!(
            response.expect("a response").status().is_success(),
            !passed_on
        );
        assert_eq!(sent.lock().expect("not poisoned").len(), tries);
    }
}

#[tokio::test]
async fn no_request_is_sent_a_third_time() {
    let skewed = || {
        let mut skewed = rejection(403, SKEWED);
        let date = "Sun, 30 Aug 2015 13:36:00 GMT".parse().expect("a value");
        skewed.headers_mut().insert("date", date);
        skewed
    };
    let (client, sent) = responses([skewed(), skewed()]);
    let response = layer()
        .layer(client)
        .oneshot(request(Method::POST, "body"))
        .await;
    let body = response
        .expect("a response")
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    assert_eq!(body, SKEWED);
    assert_eq!(sent.lock().expect("not poisoned").len(), 2);
}

/// A wrong time of one origin affects neither the expiry of credentials nor the time of requests to others.
#[tokio::test(start_paused = true)]
async fn an_origin_changes_only_its_own_clock() {
    let clock = Clock::manual(now());
    let provider = Rotating::new(&clock, Some(HOUR));
    let given = provider.given.clone();
    let rules = |head: &http::request::Parts| {
        let host = head.headers["host"].to_str().expect("a host");
        Ok(api(&format!(
            "https://{host}.execute-api.us-east-1.amazonaws.com"
        ))
        .into())
    };
    let layer = SigningLayer::new(provider, rules).with_clock(clock);
    let sent = Arc::new(Mutex::new(Vec::new()));
    let recorded = sent.clone();
    let client = layer.layer(service_fn(
        move |request: Request<SignedBody<Full<Bytes>>>| {
            let date = header(request.headers(), "x-amz-date").to_owned();
            let lies = request.uri().host().expect("a host").starts_with("liar");
            let is_wrong = lies && date != "20150830T143600Z";
            recorded.lock().expect("not poisoned").push(date);
            let mut response = if is_wrong {
                rejection(403, SKEWED)
            } else {
                Response::new("")
            };
            response
                .headers_mut()
                .insert("date", self::date(now() + 2 * HOUR));
            std::future::ready(Ok::<_, Infallible>(response.map(Full::<Bytes>::from)))
        },
    ));
    for host in ["liar", "honest", "liar", "honest"] {
        let request = Request::get("/").header("host", host).body(Full::default());
        let response = client.clone().oneshot(request.expect("a request")).await;
        assert_eq!(
            response.expect("a response").status(),
            StatusCode::OK,
            "{host}"
        );
    }
    let sent = sent.lock().expect("not poisoned");
    let (right, wrong) = ("20150830T123600Z", "20150830T143600Z");
    assert_eq!(*sent, [right, wrong, right, wrong, right]);
    assert_eq!(
        given.load(Ordering::SeqCst),
        1,
        "the credentials are valid by the machine's clock"
    );
}

#[tokio::test]
async fn an_origin_is_trusted_for_a_minute_after_it_accepted() {
    let server = Server::at(now());
    let clock = Clock::manual(now());
    let client = layer().with_clock(clock.clone()).layer(server.client());
    let send = async || {
        let response = client.clone().oneshot(request(Method::GET, "")).await;
        (
            response.expect("a response").status().as_u16(),
            server.request_count(),
        )
    };
    assert_eq!(send().await, (200, 1));
    // The origin's clock jumps. There is no copy of the next request, so its rejection corrects the one after it.
    server.clock.advance(HOUR);
    assert_eq!(send().await, (403, 1));
    assert_eq!(send().await, (200, 1));
    // After a minute the origin is no longer trusted.
    clock.advance(Duration::from_secs(61));
    server.clock.advance(HOUR);
    assert_eq!(send().await, (200, 2));
    // A jump back of the client's clock is noticed.
    clock.set(now() - HOUR);
    assert_eq!(send().await, (200, 2));
    assert_eq!(send().await, (200, 1));
}

#[tokio::test]
async fn a_retry_waits_until_the_service_is_ready() {
    let server = Server::at(now() + HOUR);
    let service = layer().layer(ConcurrencyLimit::new(server.client(), 1));
    let response = service
        .clone()
        .oneshot(request(Method::GET, ""))
        .await
        .expect("a response");
    assert_eq!(
        (response.status(), server.request_count()),
        (StatusCode::OK, 2)
    );

    // Dropped after any poll, the future releases its permit.
    for polls in 0..20 {
        let server = Server::at(now() + HOUR);
        let slow = service_fn({
            let client = server.client();
            move |request| {
                let client = client.clone();
                async move {
                    tokio::task::yield_now().await;
                    let response = client.oneshot(request).await;
                    tokio::task::yield_now().await;
                    response
                }
            }
        });
        let mut service = layer().layer(ConcurrencyLimit::new(slow, 1));
        let mut future = Box::pin(service.clone().oneshot(request(Method::GET, "")));
        for _ in 0..polls {
            if common::poll_once(&mut future).await.is_some() {
                break;
            }
        }
        drop(future);
        let ready = std::pin::pin!(ServiceExt::<Request<Full<Bytes>>>::ready(&mut service));
        assert!(
            common::poll_once(&mut { ready }).await.is_some(),
            "after {polls} polls"
        );
    }
}

#[tokio::test]
async fn other_services_recover_too() {
    let settings = settings("s3");
    let origin = Origin::new(&format!("https://{HOST}"), settings).expect("an origin");
    let keys = StaticKeys::new([common::credentials()]).expect("valid");
    let verify = VerifySettings::new("s3", "us-east-1").expect("a scope");
    let server = Server::at(now() + HOUR);
    let layer = VerifyLayer::new(keys, verify).with_clock(server.clock.clone());
    let server = Server { layer, ..server };
    // S3's message contains no time, but its `date` does.
    let dated = service_fn({
        let client = server.client();
        move |request: Request<SignedBody<Full<Bytes>>>| {
            let client = client.clone();
            async move {
                let mut response = client.oneshot(request).await?;
                let date = "Sun, 30 Aug 2015 13:36:00 GMT".parse().expect("a value");
                response.headers_mut().insert("date", date);
                Ok::<_, BoxError>(response)
            }
        }
    });
    let response = common::layer(origin)
        .layer(dated)
        .oneshot(request(Method::PUT, "body"))
        .await;
    assert_eq!(
        (
            response.expect("a response").status(),
            server.request_count()
        ),
        (StatusCode::OK, 2)
    );
}
