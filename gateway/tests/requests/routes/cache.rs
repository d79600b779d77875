//! Routes with a cache.

use super::{gateway, request};
use crate::support::{self, TestOrigin, exchange};

#[tokio::test]
async fn cached_route_asks_the_origin_once() {
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
