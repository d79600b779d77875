//! Purges, metrics and state of the cache.

use std::time::Duration;

use serde_json::Value;
use tokio::time;

use super::{CACHED, FORM, admin, metrics, send, send_admin, with_admin};
use crate::support::{Gateway, TestOrigin, config, logging::LoggingGateway};

/// Fails if a sample is missing.
fn assert_samples(text: &str, samples: &[&str]) {
    for sample in samples {
        let line = format!("sigv4_gateway_{sample}\n");
        assert!(text.contains(&line), "{sample} missing in {text}");
    }
}

#[tokio::test]
async fn purged_responses_are_fetched_again() {
    const MISS: &str = "fwd=uri-miss; stored";
    let origin = TestOrigin::start(CACHED).await;
    let config = config(&format!("http://{}", origin.address), "") + "cache = true\n";
    let gateway = Gateway::with_config(&with_admin(&config));
    let admin = admin(&gateway);
    for (purge, status) in [
        ("", MISS),
        ("", "hit"),
        ("url=https://api.example.com/orders", "hit"),
        ("url=https://API.example.com/orders?a=1%26b", MISS),
        ("prefix=https://api.example.com/orders/", "hit"),
        ("prefix=https://api.example.com/ord", MISS),
        ("host=example.com", "hit"),
        ("host=API.example.com", MISS),
        ("", "hit"),
        ("all", MISS),
    ] {
        let (target, headers, body) = match purge {
            "all" => ("/cache/clear", "", ""),
            form => ("/cache/purge", FORM, form),
        };
        if !purge.is_empty() {
            let response = send_admin(admin, "POST", target, headers, body).await;
            assert_eq!(response.status, 204, "{purge}");
        }
        let response = send(&gateway, "GET", "/orders?a=1&b", "").await;
        let cache_status = response.header("cache-status").expect("a cache status");
        assert_eq!(cache_status, format!("sigv4-gateway; {status}"), "{purge}");
    }
    assert_samples(
        &metrics(admin).await,
        &[
            "cache_requests_total{origin=\"orders\",outcome=\"hit\",route=\"api.example.com/orders\"} 5",
            "cache_requests_total{origin=\"orders\",outcome=\"uri-miss\",route=\"api.example.com/orders\"} 5",
            "cache_stored_total 5",
            "cache_dropped_total 0",
            "cache_store_ready 1",
            "cache_purges_total{kind=\"all\"} 1",
            "cache_purges_total{kind=\"host\"} 2",
            "cache_purges_total{kind=\"prefix\"} 2",
            "cache_purges_total{kind=\"url\"} 2",
        ],
    );
}

#[tokio::test]
async fn responses_that_are_not_stored_are_counted_by_reason() {
    let origin = TestOrigin::start(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncache-control: private\r\n\r\nok",
    )
    .await;
    let config = config(&format!("http://{}", origin.address), "") + "cache = true\n";
    let gateway = Gateway::with_config(&with_admin(&config));
    for _ in 0..2 {
        send(&gateway, "GET", "/orders", "").await;
    }
    assert_samples(
        &metrics(admin(&gateway)).await,
        &[
            "cache_not_stored_total{origin=\"orders\",reason=\"not-storable\",route=\"api.example.com/orders\"} 2",
        ],
    );
}

/// Requests are forwarded without the cache meanwhile.
#[tokio::test]
async fn unreachable_store_degrades_the_gateway() {
    let origin = TestOrigin::start(CACHED).await;
    let config = config(&format!("http://{}", origin.address), "")
        + "cache = true\n[cache]\nredis = \"redis://user:hunter2@127.0.0.1:1\"\n";
    let logging = LoggingGateway::start(&with_admin(&config));
    let admin = admin(&logging.gateway);
    assert_eq!(logging.send("GET", "/orders", "").await.status, 200);
    let poll = async {
        loop {
            let readiness = send_admin(admin, "GET", "/readyz", "", "").await;
            let body: Value = serde_json::from_str(&readiness.body).expect("JSON");
            if body["degraded"] != Value::Array(Vec::new()) {
                break (readiness.status, body);
            }
            time::sleep(Duration::from_millis(25)).await;
        }
    };
    let limit = time::timeout(Duration::from_secs(30), poll);
    let (status, body) = limit.await.expect("a degraded gateway");
    assert_eq!((status, &body["ready"]), (200, &Value::Bool(true)));
    let reason = body["degraded"][0].as_str().expect("a reason");
    assert!(
        reason.starts_with("requests bypass the cache: redis at 127.0.0.1:1: "),
        "{reason}"
    );
    assert_samples(&metrics(admin).await, &["cache_store_ready 0"]);
    let fleet = send_admin(admin, "GET", "/fleet", "", "").await;
    assert_eq!((fleet.status, &*fleet.body), (200, r#"{"members":null}"#));
    let log = logging.lines().concat();
    assert!(log.contains("redis at 127.0.0.1:1"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}
