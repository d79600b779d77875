//! One budget for `VerifyLayer` and `SigningLayer`.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use tokio::sync::Barrier;
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, VerifyLayer,
    body::{BodyBudget, SignedBody, VerifiedBody},
    verify::{RejectionKind, StaticKeys, VerifySettings},
};

use super::{KIB, hanging, put, signing, sized};
use crate::common::{self, HOST, ScriptedBody, credentials, now, poll_once};

fn verifying(budget: &BodyBudget) -> VerifyLayer {
    let keys = StaticKeys::new([credentials()]).expect("valid");
    let settings = VerifySettings::new("execute-api", "us-east-1").expect("a scope");
    VerifyLayer::new(keys, settings)
        .with_clock(Clock::manual(now()))
        .with_body_budget(budget.clone())
}

/// Returns a request that is signed for `content` and sends `body`.
fn signed(body: ScriptedBody, content: &[u8]) -> Request<ScriptedBody> {
    let (mut head, body) = put(body).into_parts();
    head.headers.insert("host", HOST.parse().expect("a value"));
    Request::from_parts(common::signed(head, content), body)
}

#[tokio::test(start_paused = true)]
async fn verified_bodies_are_counted_once_across_both_layers() {
    let budget = BodyBudget::new(16 * KIB);
    let content = vec![b'a'; 8192];
    let barrier = Arc::new(Barrier::new(2));
    let inner = service_fn(
        async |request: Request<SignedBody<VerifiedBody<ScriptedBody>>>| {
            let body = request.into_body();
            let all = body.collect().await.expect("a body").to_bytes();
            Ok::<_, Infallible>(Response::new(http_body_util::Full::new(all)))
        },
    );
    let gateway = signing(&budget).layer(inner);
    let seen = budget.clone();
    let gateway = service_fn(move |request: Request<VerifiedBody<ScriptedBody>>| {
        let (gateway, seen, barrier) = (gateway.clone(), seen.clone(), barrier.clone());
        async move {
            barrier.wait().await;
            assert_eq!(seen.available(), 0, "two bodies use all of it");
            barrier.wait().await;
            Ok::<_, Infallible>(gateway.oneshot(request).await.expect("no deadlock"))
        }
    });
    let server = verifying(&budget).layer(gateway);
    // Two requests at a time are between the layers. The others wait.
    let requests = (0..4).map(|_| server.clone().oneshot(signed(sized(8), &content)));
    let tasks: Vec<_> = requests.map(tokio::spawn).collect();
    for task in tasks {
        let response = task.await.expect("run").expect("infallible");
        assert_eq!(response.status(), StatusCode::OK);
        let body = response
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        assert!(body == content);
    }
    assert_eq!(budget.available(), 16 * KIB);
}

#[tokio::test(start_paused = true)]
async fn separate_budgets_count_separately() {
    let (outer, inner) = (BodyBudget::new(16 * KIB), BodyBudget::new(16 * KIB));
    let seen = inner.clone();
    let client = service_fn(
        move |request: Request<SignedBody<VerifiedBody<ScriptedBody>>>| {
            assert_eq!(seen.available(), 8 * KIB);
            drop(request);
            async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
        },
    );
    let gateway = signing(&inner)
        .layer(client)
        .map_err(|error| panic!("{error}"));
    let gateway = gateway.map_response(|response: Response<_>| response.map(Box::pin));
    let server = verifying(&outer).layer(gateway);
    let response = server.oneshot(signed(sized(8), &[b'a'; 8192])).await;
    assert_eq!(
        response
            .map_err(|error: Infallible| error)
            .expect("a response")
            .status(),
        200
    );
    assert_eq!((outer.available(), inner.available()), (16 * KIB, 16 * KIB));
}

#[tokio::test(start_paused = true)]
async fn request_heads_hold_no_memory() {
    let budget = BodyBudget::new(8 * KIB);
    let seen = budget.clone();
    let inner = service_fn(move |request: Request<VerifiedBody<ScriptedBody>>| {
        let seen = seen.clone();
        async move {
            assert_eq!(seen.available(), 0);
            let (head, body) = request.into_parts();
            drop(body);
            assert_eq!(seen.available(), 8 * KIB);
            drop(head);
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let request = signed(sized(8), &[b'a'; 8192]);
    let response = verifying(&budget)
        .layer(inner)
        .oneshot(request)
        .await
        .expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_verifier_responds_with_503() {
    let budget = BodyBudget::new(8 * KIB);
    let empty = service_fn(async |_: Request<VerifiedBody<ScriptedBody>>| {
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let server = verifying(&budget).layer(empty);
    let mut first = Box::pin(server.clone().oneshot(signed(hanging(8), b"")));
    assert!(poll_once(&mut first).await.is_none());
    let rejected = server
        .clone()
        .oneshot(signed(sized(1), b""))
        .await
        .expect("infallible");
    assert_eq!(rejected.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        rejected.extensions().get(),
        Some(&RejectionKind::BudgetExhausted)
    );
    drop(first);
    assert_eq!(budget.available(), 8 * KIB);
    let mismatch = server
        .oneshot(signed(sized(1), b""))
        .await
        .expect("infallible");
    assert_eq!(
        mismatch.extensions().get(),
        Some(&RejectionKind::PayloadMismatch)
    );
    assert_eq!(budget.available(), 8 * KIB);
}
