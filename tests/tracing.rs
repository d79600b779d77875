//! Events contain no secret, and the settings have the names of the program. This test has its own process, since concurrent tests hide events from each other.
#![cfg(feature = "tracing")]

mod common;

use std::{
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex},
};

use common::{HOST, api, credentials, get};
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    SigningLayer, VerifyLayer,
    body::{SignedBody, VerifiedBody},
    credentials::Credentials,
    origin::UriOrigin,
    verify::{StaticKeys, VerifySettings},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

const NO_ROUTE: &str = r#"{"message":"Missing Authentication Token"}"#;

#[tokio::test(start_paused = true)]
async fn events_contain_the_names_of_the_program_and_no_secret() {
    let log = Log::default();
    let guard = tracing::subscriber::set_default(log.clone());
    let id = credentials().access_key_id().to_owned();
    let token = Some("hunter2-token".to_owned());
    let credentials = Credentials::new(id, "hunter2-secret", token, None, "test");
    let layer = SigningLayer::new(credentials, api(&format!("https://{HOST}")));
    let request = get("/").map(|_: Full<bytes::Bytes>| Full::from("hunter2-body"));
    let sent = common::send(&layer, request).await.expect("sent");
    verify(sent).await;
    log_rejections(&log).await;
    log_redirects(&log).await;
    log_setting_names(&log).await;
    drop(guard);
    let log = log.0.lock().expect("not poisoned").clone();
    assert!(
        log.contains("request signed") && log.contains(HOST),
        "{log}"
    );
    for field in [
        "method=GET",
        "service=\"execute-api\"",
        "payload=\"hash\"",
        "body_len=12",
    ] {
        assert!(log.contains(field), "{field}: {log}");
    }
    assert!(
        log.contains("request rejected") && log.contains("SignatureMismatch"),
        "{log}"
    );
    assert!(
        !log.contains("hunter2") && !log.contains("Signature="),
        "{log}"
    );
}

/// Sends requests that are rejected, which is logged once a minute for each cause.
async fn log_rejections(log: &Log) {
    let layer = common::layer(api(&format!("https://{HOST}"))).with_diagnosis(true);
    let logged = || {
        log.0
            .lock()
            .expect("not poisoned")
            .matches("rejected by its origin")
            .count()
    };
    const EXPIRED: &str = r#"{"__type":"ExpiredToken","message":"hunter2"}"#;
    for (text, expected) in [(NO_ROUTE, 1), (NO_ROUTE, 1), (EXPIRED, 2), (NO_ROUTE, 2)] {
        reject(&layer, text).await;
        assert_eq!(logged(), expected);
        tokio::time::advance(std::time::Duration::from_secs(14)).await;
    }
    tokio::time::advance(std::time::Duration::from_secs(5)).await;
    reject(&layer, NO_ROUTE).await;
    assert_eq!(logged(), 3);
    let log = log.0.lock().expect("not poisoned").clone();
    assert!(
        log.contains("cause=route-missing") && log.contains("unlogged=2"),
        "{log}"
    );
}

/// Sends a request whose response is a rejection with this body.
async fn reject(layer: &SigningLayer, text: &'static str) {
    let client = service_fn(async |_: Request<SignedBody<Full<bytes::Bytes>>>| {
        let mut response = Response::new(Full::<bytes::Bytes>::from(text));
        *response.status_mut() = http::StatusCode::FORBIDDEN;
        Ok::<_, Infallible>(response)
    });
    let response = layer
        .layer(client)
        .oneshot(get("/hunter2?token=hunter2"))
        .await;
    response.expect("a response");
}

/// Errors, diagnoses and rejections name settings as the program does.
async fn log_setting_names(log: &Log) {
    let elsewhere = UriOrigin::new(common::settings("s3"));
    let layer = common::layer(elsewhere).with_setting_names(|setting| match setting {
        "UriOrigin::with_hosts" => Some("hosts of the program"),
        _ => None,
    });
    let sent = common::send(&layer, get("https://files.example.com/key")).await;
    sent.expect_err("not a host of AWS");

    let layer = common::layer(api(&format!("https://{HOST}")))
        .with_diagnosis(true)
        .with_remedies(|_| &["ask the operator of the program"]);
    reject(&layer, NO_ROUTE).await;

    let settings = VerifySettings::new("execute-api", "us-east-1").expect("a scope");
    let keys = StaticKeys::new([credentials()]).expect("valid");
    let layer =
        VerifyLayer::new(keys, settings).with_setting_names(|_| Some("sigv4a of the program"));
    let inner = service_fn(async |_: Request<VerifiedBody<Full<bytes::Bytes>>>| {
        Ok::<_, Infallible>(Response::new(Full::<bytes::Bytes>::default()))
    });
    let mut request = get("/");
    let other = http::HeaderValue::from_static("AWS4-ECDSA-P256-SHA256 x");
    request.headers_mut().insert("authorization", other);
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    assert_eq!(response.status(), 403);

    let log = log.0.lock().expect("not poisoned").clone();
    for text in [
        "add it by `hosts of the program`",
        "; ask the operator of the program ",
        "needs `sigv4a of the program`",
    ] {
        assert!(log.contains(text), "{text}: {log}");
    }
    assert!(!log.contains("UriOrigin::"), "{log}");
}

/// A redirect of S3 is logged only if the layer does not follow it.
async fn log_redirects(log: &Log) {
    let s3 = service_fn(async |request: Request<SignedBody<Full<bytes::Bytes>>>| {
        let is_home = request.uri().host() == Some("bucket.s3.eu-west-1.amazonaws.com");
        let status = if is_home { 200 } else { 301 };
        let response = Response::builder()
            .status(status)
            .header("x-amz-bucket-region", "eu-west-1");
        Ok::<_, Infallible>(
            response
                .body(Full::<bytes::Bytes>::default())
                .expect("valid"),
        )
    });
    let origin = tower_sigv4::Origin::infer("https://bucket.s3.us-east-1.amazonaws.com")
        .expect("an origin of S3");
    for (follows, status, events) in [(true, 200, 0), (false, 301, 1)] {
        let layer = common::layer(origin.clone().with_redirects(follows)).with_diagnosis(true);
        let response = layer.layer(s3).oneshot(get("/key")).await.expect("sent");
        assert_eq!(response.status(), status);
        let diagnosis = response
            .extensions()
            .get::<tower_sigv4::doctor::Diagnosis>();
        assert_eq!(diagnosis.is_some(), !follows, "{diagnosis:?}");
        let logged = log.0.lock().expect("not poisoned").clone();
        assert_eq!(
            logged.matches("cause=wrong-region").count(),
            events,
            "{logged}"
        );
    }
}

/// Rejects a request, since its key now has another secret.
async fn verify(request: common::SentRequest) {
    let token = Some("hunter2-token".to_owned());
    let key = Credentials::new(
        credentials().access_key_id(),
        "hunter2-new",
        token,
        None,
        "test",
    );
    let settings = VerifySettings::new("execute-api", "us-east-1").expect("a scope");
    let layer = VerifyLayer::new(StaticKeys::new([key]).expect("valid"), settings);
    let inner = service_fn(async |_: Request<VerifiedBody<_>>| {
        Ok::<_, Infallible>(Response::new(Full::<bytes::Bytes>::default()))
    });
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    assert_eq!(response.status(), 403);
}

/// All fields of this crate's events, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Visit for &Log {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let field = format!("{field}={value:?} ");
        self.0.lock().expect("not poisoned").push_str(&field);
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("tower_sigv4")
    }
    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        span.record(&mut { self });
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut { self });
    }
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut { self });
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
