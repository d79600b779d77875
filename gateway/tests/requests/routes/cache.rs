//! Routes with a cache.

use super::{gateway, request};
use crate::support::{self, TestOrigin, exchange, logging::LoggingGateway};

#[tokio::test]
async fn cached_route_calls_the_origin_once() {
    const FRESH: &str =
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncache-control: max-age=60\r\n\r\nok";
    let origin = TestOrigin::start(FRESH).await;
    let routes = "[[route]]\npath = \"/\"\ncache = true\norigin = \"a\"\n";
    let gateway = gateway(&[origin.address], routes);
    for status in ["sigv4-gateway; fwd=uri-miss; stored", "sigv4-gateway; hit"] {
        let response = exchange(gateway.address, &request("GET", "/", "", "")).await;
        assert_eq!(
            (response.header("cache-status"), &*response.body),
            (Some(status), "ok")
        );
    }
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn responses_to_verified_callers_are_not_shared() {
    const FRESH: &str =
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncache-control: max-age=60\r\n\r\nok";
    let origin = TestOrigin::start(FRESH).await;
    let gateway = gateway(
        &[origin.address],
        "[[route]]\npath = \"/\"\ncache = true\norigin = \"a\"\n\
         [verify]\nservice = \"execute-api\"\nregion = \"us-east-1\"\n\
         [[verify.key]]\naccess_key_id = \"ALICE\"\nsecret_access_key = \"alices secret\"\n\
         [[verify.key]]\naccess_key_id = \"BOB\"\nsecret_access_key = \"bobs secret\"\n",
    );
    for (id, secret) in [("ALICE", "alices secret"), ("BOB", "bobs secret")] {
        let request = support::signed_request("GET", "/", "api.example.com", "", id, secret);
        let response = exchange(gateway.address, &request).await;
        let cache_status = response.header("cache-status");
        assert_eq!(
            (response.status, cache_status),
            (200, Some("sigv4-gateway; fwd=uri-miss"))
        );
    }
    assert_eq!(origin.requests().len(), 2);
}

/// An origin can write the header. Neither metrics nor log believe it.
#[tokio::test]
async fn forged_cache_status_is_not_counted() {
    let origin = TestOrigin::start(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncache-control: no-store\r\n\
         cache-status: sigv4-gateway; hit\r\n\r\nok",
    )
    .await;
    let config = support::config(&format!("http://{}", origin.address), "")
        + "cache = true\n[[route]]\npath = \"/\"\norigin = \"orders\"\n\
           [log]\naccess = true\n[admin]\nlisten = \"127.0.0.1:0\"\n";
    let logging = LoggingGateway::start(&config);
    for target in ["/orders", "/plain"] {
        assert_eq!(logging.send("GET", target, "").await.status, 200);
    }
    let admin = logging.gateway.printed_after("admin http://").parse();
    let read = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let metrics = exchange(admin.expect("an address"), read).await.body;
    let sample = |outcome: &str, count: u32| {
        format!(
            "cache_requests_total{{origin=\"orders\",outcome=\"{outcome}\",\
             route=\"api.example.com/orders\"}} {count}\n"
        )
    };
    assert!(metrics.contains(&sample("uri-miss", 1)), "{metrics}");
    assert!(metrics.contains(&sample("hit", 0)), "{metrics}");
    let log = logging.lines().concat();
    assert!(log.contains("cache=\"uri-miss\""), "{log}");
    assert!(!log.contains("cache=\"hit\""), "{log}");
}

#[tokio::test]
async fn forged_forwarding_headers_neither_read_nor_write_the_cache() {
    const FRESH: &str =
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncache-control: max-age=60\r\n\r\nok";
    for (cache, status) in [
        ("", "sigv4-gateway; fwd=bypass"),
        (
            "[cache]\ntrusted_proxies = [\"127.0.0.0/8\"]\n",
            "sigv4-gateway; fwd=vary-miss; stored",
        ),
    ] {
        let origin = TestOrigin::start(FRESH).await;
        let routes = "[[route]]\npath = \"/\"\ncache = true\norigin = \"a\"\n";
        let gateway = gateway(&[origin.address], &format!("{routes}{cache}"));
        exchange(gateway.address, &request("GET", "/", "", "")).await;
        for number in 0..3 {
            let forged = format!("x-forwarded-host: junk{number}\r\n");
            let response = exchange(gateway.address, &request("GET", "/", &forged, "")).await;
            assert_eq!(response.header("cache-status"), Some(status));
        }
        let response = exchange(gateway.address, &request("GET", "/", "", "")).await;
        assert_eq!(
            response.header("cache-status"),
            Some("sigv4-gateway; hit"),
            "{cache}"
        );
    }
}
