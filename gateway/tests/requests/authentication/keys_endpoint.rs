//! Keys that an endpoint knows.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::json;
use tokio::{task::JoinSet, time};

use super::{
    SECRET, admin,
    endpoint::{AUTHORIZATION, Endpoint},
    key, metrics, signatures, signed_status, verified_config,
};
use crate::support::{Gateway, TempFile, TestOrigin, exchange, logging::OK, signed_request};

const VARIABLE: (&str, &str) = ("KEYS_AUTHORIZATION", AUTHORIZATION);

async fn start(endpoint: &Endpoint, more: &str) -> (TestOrigin, Gateway) {
    let origin = TestOrigin::start(OK).await;
    let verify = format!(
        "{}[[verify.key]]\n{}{}",
        signatures(),
        key("AKIDCONFIGURED"),
        endpoint.table(more)
    );
    let config = verified_config(&origin, &verify);
    let gateway = Gateway::with_config_and_env(&config, &[VARIABLE]);
    (origin, gateway)
}

#[tokio::test]
async fn keys_are_looked_up_once() {
    let endpoint = Endpoint::start().await;
    endpoint.add(
        "AKIDALICE",
        json!({
            "secret_access_key": SECRET, "expiration": "2999-01-01T00:00:00Z",
            "attributes": { "tenant": "acme" },
        }),
    );
    let (origin, gateway) = start(&endpoint, "").await;
    for _ in 0..3 {
        for (id, status) in [
            ("AKIDCONFIGURED", 200),
            ("AKIDALICE", 200),
            ("AKIDMALLORY", 403),
        ] {
            assert_eq!(signed_status(&gateway, id).await, status, "{id}");
        }
    }
    let query =
        |id: &str| json!({ "access_key_id": id, "service": "execute-api", "region": "us-east-1" });
    assert_eq!(
        endpoint.queries(),
        [query("AKIDALICE"), query("AKIDMALLORY")]
    );
    assert_eq!(origin.requests().len(), 6);
    let text = metrics(&gateway).await;
    for sample in [
        "keys_endpoint_calls_total{result=\"found\"} 1\n",
        "keys_endpoint_calls_total{result=\"unknown\"} 1\n",
        "keys_endpoint_calls_total{result=\"failed\"} 0\n",
        "caller_keys_cached 2\n",
    ] {
        assert!(text.contains(sample), "{sample} missing in {text}");
    }
}

#[tokio::test]
async fn keys_of_the_endpoint_verify_only_their_own_signatures() {
    let endpoint = Endpoint::start().await;
    endpoint.add_key("AKIDALICE");
    endpoint.add(
        "AKIDEXPIRED",
        json!({ "secret_access_key": SECRET, "expiration": "2001-01-01T00:00:00Z" }),
    );
    endpoint.add(
        "AKIDTOKEN",
        json!({ "secret_access_key": SECRET, "session_token": "token" }),
    );
    let (origin, gateway) = start(&endpoint, "").await;
    let host = "api.example.com";
    let forged = signed_request("GET", "/orders", host, "", "AKIDALICE", "another secret");
    assert_eq!(exchange(gateway.address, &forged).await.status, 403);
    assert_eq!(signed_status(&gateway, "AKIDEXPIRED").await, 403);
    assert_eq!(
        signed_status(&gateway, "AKIDTOKEN").await,
        403,
        "without its session token"
    );
    assert!(origin.requests().is_empty());
}

#[tokio::test]
async fn failed_lookups_get_503_and_cached_keys_serve() {
    let endpoint = Endpoint::start().await;
    endpoint.add_key("AKIDALICE");
    endpoint.add_key("AKIDBOB");
    let (_origin, gateway) = start(&endpoint, "").await;
    assert_eq!(signed_status(&gateway, "AKIDALICE").await, 200);
    for failure in [
        (StatusCode::INTERNAL_SERVER_ERROR, "down"),
        (StatusCode::UNAUTHORIZED, ""),
        (StatusCode::FOUND, ""),
        (StatusCode::NO_CONTENT, ""),
        (StatusCode::OK, ""),
        (StatusCode::OK, "<html>"),
        (StatusCode::OK, "[]"),
        (StatusCode::OK, "{\"secret_access_key\": \"\"}"),
        (
            StatusCode::OK,
            "{\"secret_access_key\": \"s\", \"expiration\": \"soon\"}",
        ),
    ] {
        endpoint.fail_with(Some(failure));
        assert_eq!(signed_status(&gateway, "AKIDBOB").await, 503, "{failure:?}");
        assert_eq!(
            signed_status(&gateway, "AKIDALICE").await,
            200,
            "{failure:?}"
        );
        assert_eq!(
            signed_status(&gateway, "AKIDCONFIGURED").await,
            200,
            "{failure:?}"
        );
    }
    endpoint.fail_with(None);
    assert_eq!(signed_status(&gateway, "AKIDBOB").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_share_a_lookup() {
    let endpoint = Endpoint::start().await;
    endpoint.add_key("AKIDALICE");
    endpoint.pause();
    let (_origin, gateway) = start(&endpoint, "").await;
    let request = signed_request("GET", "/orders", "api.example.com", "", "AKIDALICE", SECRET);
    let mut requests = JoinSet::new();
    for _ in 0..50 {
        let (address, text) = (gateway.address, request.clone());
        requests.spawn(async move { exchange(address, &text).await.status });
    }
    let started = Instant::now();
    while endpoint.queries().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(20), "no call");
        time::sleep(Duration::from_millis(10)).await;
    }
    endpoint.resume();
    assert_eq!(requests.join_all().await, [200; 50]);
    assert_eq!(endpoint.queries().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_endpoint_gets_no_more_than_its_timeout() {
    let endpoint = Endpoint::start().await;
    endpoint.add_key("AKIDALICE");
    endpoint.pause();
    let (_origin, gateway) = start(&endpoint, "timeout = \"100ms\"\n").await;
    assert_eq!(signed_status(&gateway, "AKIDALICE").await, 503);
    assert_eq!(signed_status(&gateway, "AKIDCONFIGURED").await, 200);
    endpoint.resume();
    assert_eq!(signed_status(&gateway, "AKIDALICE").await, 200);
}

#[tokio::test]
async fn revoked_keys_are_looked_up_again() {
    let endpoint = Endpoint::start().await;
    endpoint.add_key("AKIDALICE");
    endpoint.add_key("AKIDBOB");
    let (_origin, gateway) = start(&endpoint, "ttl = \"1h\"\n").await;
    for id in ["AKIDALICE", "AKIDBOB"] {
        assert_eq!(signed_status(&gateway, id).await, 200);
        endpoint.remove(id);
        assert_eq!(signed_status(&gateway, id).await, 200, "cached");
    }
    let revoke = async |headers: &str, body: &str| {
        let length = body.len();
        let more = format!("{headers}content-length: {length}\r\n\r\n{body}");
        admin(&gateway, "POST", "/keys/revoke", &more).await.status
    };
    let json = "content-type: application/json\r\n";
    let alice = "{\"access_key_id\": \"AKIDALICE\"}";
    for (headers, body, status) in [
        ("", alice, 415),
        (json, "{}", 400),
        (
            json,
            "{\"access_key_id\": \"AKIDALICE\", \"all\": true}",
            400,
        ),
        (
            &*format!("{json}origin: https://evil.example\r\n"),
            alice,
            403,
        ),
    ] {
        assert_eq!(revoke(headers, body).await, status, "{headers}{body}");
    }
    assert_eq!(
        signed_status(&gateway, "AKIDALICE").await,
        200,
        "not revoked yet"
    );
    assert_eq!(revoke(json, alice).await, 204);
    assert_eq!(signed_status(&gateway, "AKIDALICE").await, 403);
    assert_eq!(signed_status(&gateway, "AKIDBOB").await, 200, "another key");
}

#[tokio::test]
async fn secret_of_the_endpoint_is_read_again_from_its_file() {
    let endpoint = Endpoint::start().await;
    endpoint.add_key("AKIDALICE");
    let origin = TestOrigin::start(OK).await;
    let secret = TempFile::new("Bearer outdated\n");
    let table = endpoint
        .table("negative_ttl = \"0s\"\n")
        .replace("env:KEYS_AUTHORIZATION", &format!("file:{}", secret.path));
    let config = verified_config(&origin, &(signatures() + &table));
    let gateway = Gateway::with_config(&config);
    assert_eq!(signed_status(&gateway, "AKIDALICE").await, 503);
    std::fs::write(&secret.path, format!("{AUTHORIZATION}\n")).expect("written");
    let started = Instant::now();
    while signed_status(&gateway, "AKIDALICE").await != 200 {
        assert!(started.elapsed() < Duration::from_secs(20), "not read");
    }
    // The endpoint rejects this one.
    std::fs::write(&secret.path, "Bearer outdated\n").expect("written");
    while signed_status(&gateway, "AKIDMALLORY").await != 503 {
        assert!(started.elapsed() < Duration::from_secs(40), "not read");
        time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(signed_status(&gateway, "AKIDALICE").await, 200, "cached");
}
