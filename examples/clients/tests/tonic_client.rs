//! A generated gRPC client, and a server behind `VerifyLayer`.

mod support;

use axum::Router;
use http::Version;
use support::{CREDENTIALS, Origin, credentials, run};
use tonic_health::{ServingStatus, server::health_reporter};
use tower_sigv4::verify::PayloadKind;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tonic_client");

async fn origin() -> Origin {
    let (reporter, health) = health_reporter();
    reporter
        .set_service_status("orders", ServingStatus::Serving)
        .await;
    let routes = Router::new().route_service("/grpc.health.v1.Health/{method}", health);
    Origin::with_routes(credentials(), "vpc-lattice-svcs", routes).await
}

#[tokio::test]
async fn calls_and_streams_are_signed() {
    let origin = origin().await;
    let output = run(PROGRAM, &[&origin.url(), "orders"], &CREDENTIALS).await;
    assert_eq!(
        output.stdout, "check: SERVING\nwatch: SERVING\n",
        "{}",
        output.stderr
    );

    let [check, watch] = &origin.seen()[..] else {
        panic!("two requests")
    };
    for seen in [check, watch] {
        assert_eq!(seen.version, Version::HTTP_2);
        assert_eq!(seen.headers["te"], "trailers");
        assert_eq!(seen.verified.payload(), PayloadKind::Unsigned);
        assert!(
            seen.verified
                .signed_headers()
                .any(|name| name == "content-type")
        );
    }
}

#[tokio::test]
async fn rejections_are_errors_with_their_reason() {
    let origin = origin().await;
    let mut wrong = CREDENTIALS;
    wrong[1].1 = "another secret";
    for (service, variables, reason) in [
        ("customers", &CREDENTIALS[..], "NotFound"), // in a trailer, by the service
        ("orders", &wrong[..], "403 Forbidden"),     // JSON, which tonic reads as a message
        ("orders", &[], "the credentials provider failed"),
    ] {
        let output = run(PROGRAM, &[&origin.url(), service], variables).await;
        assert!(!output.success && output.stdout.is_empty());
        assert!(output.stderr.contains(reason), "{}", output.stderr);
    }
    assert_eq!(origin.seen().len(), 1);
}
