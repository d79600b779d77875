use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use tokio::time::Instant;
use tower_sigv4_callers::jwt::{Algorithm, RejectionKind};

use crate::{
    ISSUER, bearer, claims,
    setup::{Setup, advance, secs},
    signing_key::SigningKey,
};

#[tokio::test(start_paused = true)]
async fn old_keys_serve_while_the_provider_fails() {
    let setup = Setup::new();
    setup.verify_first().await;
    setup.provider.take_fetches();
    setup.set_status(StatusCode::INTERNAL_SERVER_ERROR);
    advance(secs(1000)).await;
    setup.verify_first().await;
    // Requests do not wait for a provider that has failed.
    setup.set_delay(secs(2));
    let day = 24 * 60 * 60;
    for _ in 0..600 {
        assert_eq!(setup.verify_first().await, Duration::ZERO);
        advance(secs(1)).await;
    }
    let discoveries = setup
        .provider
        .change(|state| std::mem::take(&mut state.requests));
    assert!(
        (10..=25).contains(&discoveries.len()),
        "{}",
        discoveries.len()
    );
    let status = &setup.verifier.key_status()[0];
    assert!(status.failures >= 10);
    let error = status.last_error.as_deref().unwrap();
    assert!(
        error.ends_with("openid-configuration responds with 500 Internal Server Error"),
        "{error}"
    );
    advance(secs(day - 601)).await;
    setup.verify_first().await;
    advance(secs(1)).await;
    let rejection = setup.verify(&setup.key).await.unwrap_err();
    assert_eq!(rejection, RejectionKind::KeysUnavailable);
    setup.set_status(StatusCode::OK);
    advance(secs(60)).await;
    setup.verify_first().await;
    assert_eq!(setup.verifier.key_status()[0].last_error, None);
}

#[tokio::test(start_paused = true)]
async fn provider_that_is_down_is_asked_at_growing_intervals() {
    let setup = Setup::new();
    setup.set_status(StatusCode::SERVICE_UNAVAILABLE);
    let mut attempts = Vec::new();
    for second in 0..100 {
        let token = setup.key.token(&setup.key.header(), &claims());
        let rejection = setup.verifier.verify(&bearer(&token)).await.unwrap_err();
        assert_eq!(rejection.kind(), RejectionKind::KeysUnavailable);
        let response = rejection.to_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "1");
        assert!(!response.headers().contains_key("www-authenticate"));
        if !setup
            .provider
            .change(|state| std::mem::take(&mut state.requests))
            .is_empty()
        {
            attempts.push(second);
        }
        advance(secs(1)).await;
    }
    assert_eq!(attempts, [0, 1, 3, 7, 15, 31, 61, 91]);
    setup.set_status(StatusCode::OK);
    advance(secs(30)).await;
    setup.verify_first().await;
}

#[tokio::test(start_paused = true)]
async fn slow_provider_is_a_failure() {
    let setup = Setup::new();
    setup.set_delay(secs(60));
    let start = Instant::now();
    let rejection = setup.verify(&setup.key).await.unwrap_err();
    assert_eq!(rejection, RejectionKind::KeysUnavailable);
    assert_eq!(start.elapsed(), secs(5));
    setup.set_delay(Duration::ZERO);
    advance(secs(1)).await;
    setup.verify_first().await;
}

#[tokio::test(start_paused = true)]
async fn unknown_key_during_a_failure_is_not_the_callers_fault() {
    let setup = Setup::new();
    setup.verify_first().await;
    setup.set_status(StatusCode::BAD_GATEWAY);
    advance(secs(30)).await;
    let stranger = SigningKey::rsa("stranger", 1, Algorithm::Rs256);
    let rejection = setup.verify(&stranger).await.unwrap_err();
    assert_eq!(rejection, RejectionKind::KeysUnavailable);
    setup.verify_first().await;
}

#[tokio::test(start_paused = true)]
async fn unusable_documents_are_rejected() {
    let discovery =
        |issuer: &str, keys: &str| json!({"issuer": issuer, "jwks_uri": keys}).to_string();
    let documents = [
        ("not JSON", "<html>".to_owned()),
        ("an array", "[]".to_owned()),
        (
            "repeated members",
            r#"{"issuer": "a", "issuer": "b"}"#.to_owned(),
        ),
        (
            "another issuer",
            discovery("https://evil.example", "https://keys.example.com/jwks.json"),
        ),
        (
            "issuer with a slash",
            discovery(&format!("{ISSUER}/"), "https://keys.example.com/jwks.json"),
        ),
        (
            "no issuer",
            json!({"jwks_uri": "https://keys.example.com/jwks.json"}).to_string(),
        ),
        ("no jwks_uri", json!({"issuer": ISSUER}).to_string()),
        (
            "http",
            discovery(ISSUER, "http://keys.example.com/jwks.json"),
        ),
        ("file", discovery(ISSUER, "file:///etc/passwd")),
        (
            "loopback",
            discovery(ISSUER, "http://127.0.0.1:9000/jwks.json"),
        ),
        (
            "loopback over TLS",
            discovery(ISSUER, "https://[::1]/jwks.json"),
        ),
        (
            "loopback in upper case",
            discovery(ISSUER, "https://LOCALHOST./jwks.json"),
        ),
        (
            "user name",
            discovery(ISSUER, "https://user:pass@keys.example.com/jwks.json"),
        ),
        ("relative", discovery(ISSUER, "/jwks.json")),
        ("too large", discovery(ISSUER, &"x".repeat(256 * 1024))),
    ];
    for (name, document) in documents {
        let setup = Setup::new();
        setup.provider.change(|state| state.discovery = document);
        let rejection = setup.verify(&setup.key).await.unwrap_err();
        assert_eq!(rejection, RejectionKind::KeysUnavailable, "{name}");
        assert_eq!(setup.provider.take_fetches(), 0, "{name}");
        let error = setup.verifier.key_status()[0].last_error.clone().unwrap();
        assert!(!error.contains("pass@"), "{error}");
    }
    let key = json!({"kty": "oct"});
    let key_sets = [
        ("not JSON", "<html>".to_owned()),
        ("no keys", "{}".to_owned()),
        ("keys is an object", r#"{"keys": {}}"#.to_owned()),
        ("repeated members", r#"{"keys": [], "keys": []}"#.to_owned()),
        ("too many keys", json!({"keys": vec![key; 101]}).to_string()),
        (
            "too large",
            json!({"keys": [], "x": "x".repeat(256 * 1024)}).to_string(),
        ),
    ];
    for (name, document) in key_sets {
        let setup = Setup::new();
        setup.provider.change(|state| state.jwks = document);
        let rejection = setup.verify(&setup.key).await.unwrap_err();
        assert_eq!(rejection, RejectionKind::KeysUnavailable, "{name}");
        assert_eq!(setup.provider.take_fetches(), 1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn redirects_are_not_followed() {
    let setup = Setup::new();
    setup.set_status(StatusCode::FOUND);
    let rejection = setup.verify(&setup.key).await.unwrap_err();
    assert_eq!(rejection, RejectionKind::KeysUnavailable);
    let requests = setup.provider.change(|state| state.requests.len());
    assert_eq!(requests, 1);
}
