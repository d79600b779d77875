//! `IamLayer` as a tower service.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_sigv4_callers::iam::{
    IamLayer, IamSettings, IamVerifier, Rejection, RejectionKind as Kind, VerifiedPrincipal,
    VerifyIam,
};

use crate::sts::{ALICE, Presign, Reply, Sts, head_with};

type Body = Full<Bytes>;

async fn send(layer: &IamLayer, request: Request<Body>) -> Response<Bytes> {
    let inner = service_fn(async |received: Request<Body>| {
        let principal = received.extensions().get::<VerifiedPrincipal>();
        let arn = principal.map_or("anonymous", VerifiedPrincipal::arn);
        let has_url = received.headers().contains_key("x-sigv4-caller-url");
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(format!(
            "{arn} {has_url}"
        ))))
    });
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    let (head, body) = response.into_parts();
    let Ok(collected) = body.collect().await;
    Response::from_parts(head, collected.to_bytes())
}

fn request(urls: &[&str]) -> Request<Body> {
    Request::from_parts(head_with(urls), Body::default())
}

#[tokio::test]
async fn accepted_requests_carry_the_principal_and_lose_the_url() {
    let layer = IamLayer::new(Sts::new(Reply::Verify).verifier());
    let url = Presign::default().url();
    for (layer, has_url) in [
        (layer.clone(), false),
        (layer.with_forwarded_url(true), true),
    ] {
        for _ in 0..2 {
            let response = send(&layer, request(&[&url])).await;
            assert_eq!(response.body(), format!("{ALICE} {has_url}").as_str());
        }
    }
}

#[tokio::test]
async fn rejected_requests_get_json_and_the_reason_in_extensions() {
    let layer = IamLayer::new(Sts::new(Reply::Down).verifier());
    let url = Presign::default().url();
    for (urls, kind, status) in [
        (&[][..], Kind::MissingUrl, StatusCode::FORBIDDEN),
        (
            &["https://evil.example.com/?"],
            Kind::UnknownEndpoint,
            StatusCode::FORBIDDEN,
        ),
        (&[&url, &url], Kind::AmbiguousUrl, StatusCode::BAD_REQUEST),
        (
            &[&url],
            Kind::StsUnavailable,
            StatusCode::SERVICE_UNAVAILABLE,
        ),
    ] {
        let response = send(&layer, request(urls)).await;
        assert_eq!(
            (response.status(), response.extensions().get()),
            (status, Some(&kind))
        );
        let rejection = response
            .extensions()
            .get::<Arc<Rejection>>()
            .expect("a rejection");
        let body: serde_json::Value = serde_json::from_slice(response.body()).expect("JSON");
        assert_eq!(body["message"], rejection.message());
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(
            response.headers().contains_key("retry-after"),
            kind == Kind::StsUnavailable
        );
    }
}

#[tokio::test]
async fn anonymous_requests_are_accepted_only_if_enabled_and_without_a_url() {
    let layer = IamLayer::new(Sts::new(Reply::Verify).verifier()).with_anonymous(true);
    let response = send(&layer, request(&[])).await;
    assert_eq!(response.body(), "anonymous false");
    let response = send(&layer, request(&["https://evil.example.com/?"])).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    // The proof of an outer layer is not that of this one.
    let url = Presign::default().url();
    let verifier = Sts::new(Reply::Verify).verifier();
    let principal = verifier
        .verify(&head_with(&[&url]))
        .await
        .expect("accepted");
    let mut outer = request(&[]);
    outer.extensions_mut().insert(principal);
    assert_eq!(send(&layer, outer).await.body(), "anonymous false");
}

#[tokio::test]
async fn rejected_requests_release_the_permit_immediately() {
    let inner =
        service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::default())));
    let layer = IamLayer::new(Sts::new(Reply::Hang).verifier());
    let mut service = layer.layer(ConcurrencyLimit::new(inner, 1));
    let ready = service.ready().await.expect("ready");
    let rejected = ready.call(request(&[]));
    let again = service.ready().await.expect("the permit is free");
    drop(rejected);
    let url = Presign::default().url();
    let waiting = again.call(request(&[&url]));
    assert!(
        format!("{waiting:?}").contains("waiting for the identity provider"),
        "{waiting:?}"
    );
    drop(waiting);
    service.ready().await.expect("the permit is free");
}

#[tokio::test]
async fn nothing_shows_the_url() {
    let sts = Sts::new(Reply::Verify);
    let verifier = sts.verifier();
    let url = Presign::default().url();
    let principal = verifier
        .verify(&head_with(&[&url]))
        .await
        .expect("accepted");
    let tampered = url.replace("300", "301");
    let rejection = verifier
        .verify(&head_with(&[&tampered]))
        .await
        .expect_err("denied");
    let layer = IamLayer::new(verifier.clone());
    let shown = format!("{verifier:?} {layer:?} {principal:?} {rejection:?} {rejection}");
    assert!(
        !shown.contains("X-Amz") && !shown.contains("AKIDALICE"),
        "{shown}"
    );
    assert!(
        shown.contains(ALICE) && shown.contains("gateway.example.com"),
        "{shown}"
    );
}

#[test]
fn public_types_are_send_and_sync() {
    fn is<T: Send + Sync + Clone + std::fmt::Debug>() {}
    is::<IamLayer>();
    is::<IamSettings>();
    is::<IamVerifier>();
    is::<Kind>();
    is::<Rejection>();
    is::<VerifiedPrincipal>();
    is::<VerifyIam<()>>();
}
