//! Users of an identity pool.

use std::{process::Stdio, time::Duration};

use serde_json::json;
use tokio::time::{self, Instant};

use super::{Servers, get_as};
use crate::{
    VARIABLES, admin, gateway,
    sessions::callers,
    standins::{CLIENT_ID, Issuer, PoolState},
    support::{Gateway, TempFile, gateway_command, signed_request},
};

#[tokio::test]
async fn each_user_calls_the_origin_under_its_own_key() {
    let servers = Servers::start().await;
    let gateway = servers.gateway("");
    let tokens = ["alice", "bob"].map(|user| servers.issuer.token(user));
    for _ in 0..3 {
        for (user, token) in ["alice", "bob"].iter().zip(&tokens) {
            let response = get_as(&gateway, token, "/orders").await;
            assert_eq!(response.status, 200, "{}", response.body);
            assert!(response.body.ends_with(user), "{}", response.body);
        }
    }
    assert_eq!(servers.origin.different().len(), 2);
    assert_eq!(servers.pool.count("GetId"), 2);
    assert_eq!(servers.pool.count("GetCredentialsForIdentity"), 2);
    let metrics = admin(&gateway, "/metrics").await.body;
    assert!(
        metrics.contains("sigv4_gateway_identity_sessions{identity=\"users\"} 2\n"),
        "{metrics}"
    );
    assert!(!metrics.contains("alice"), "no user is a label");
}

#[tokio::test]
async fn two_tokens_of_a_user_share_credentials() {
    let servers = Servers::start().await;
    let gateway = servers.gateway("");
    let mut keys = Vec::new();
    for lifetime in [600, 1200, 900] {
        let lifetime = Duration::from_secs(lifetime);
        let token = servers.issuer.token_for("alice", lifetime);
        keys.push(get_as(&gateway, &token, "/orders").await.body);
    }
    assert_eq!(keys[0], keys[1]);
    assert_eq!(keys[0], keys[2]);
    assert_eq!(servers.pool.count("GetCredentialsForIdentity"), 1);
}

#[tokio::test]
async fn newer_token_of_a_user_refreshes_its_credentials() {
    let servers = Servers::start().await;
    servers.pool.set_lifetime(Duration::from_secs(2));
    let gateway = servers.gateway("");
    let first = servers.issuer.token_for("alice", Duration::from_secs(600));
    let second = servers.issuer.token_for("alice", Duration::from_secs(900));
    assert_eq!(get_as(&gateway, &first, "/orders").await.status, 200);
    while servers.origin.different().len() < 3 {
        let response = get_as(&gateway, &second, "/orders").await;
        assert_eq!(response.status, 200, "{}", response.body);
    }
    // The pool gives a user one ID.
    assert_eq!(servers.pool.count("GetId"), 1);
    assert!(servers.pool.has_seen_only_valid_tokens());
}

#[tokio::test]
async fn invalid_tokens_reach_neither_pool_nor_origin() {
    let servers = Servers::start().await;
    let gateway = servers.gateway("");
    let stranger = Issuer::start().await;
    let valid = servers.issuer.token("alice");
    let (head, signature) = valid.rsplit_once('.').expect("a signature");
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let claims = |changed: serde_json::Value| {
        let mut claims = servers.issuer.claims(&valid).expect("a valid token");
        let members = claims.as_object_mut().expect("an object");
        members.extend(changed.as_object().expect("an object").clone());
        claims
    };
    for token in [
        format!("{head}.{first}{}", &signature[1..]),
        servers
            .issuer
            .sign(&claims(json!({ "exp": 1_700_000_000 }))),
        servers.issuer.sign(&claims(json!({ "aud": "another" }))),
        stranger.token("alice"),
        stranger.sign(&claims(json!({ "aud": CLIENT_ID }))),
        "a.b.c".to_owned(),
        String::new(),
    ] {
        let response = get_as(&gateway, &token, "/orders").await;
        assert!(
            matches!(response.status, 400 | 401 | 403),
            "{}: {}",
            response.status,
            response.body
        );
    }
    let without = crate::get(&gateway, "/orders").await;
    assert!(matches!(without.status, 401 | 403), "{}", without.status);
    assert_eq!(servers.pool.count("GetId"), 0);
    assert!(servers.origin.seen().is_empty());
}

#[tokio::test]
async fn callers_without_a_token_get_no_credentials() {
    let servers = Servers::start().await;
    let keys = callers(["AKIDALICE".to_owned()]);
    // [verify] comes before its [[verify.jwt]].
    let config = servers.config("");
    let (first, rest) = config.split_once("[[verify.jwt]]").expect("the section");
    let gateway = gateway(&format!("{first}{keys}[[verify.jwt]]{rest}"));
    let request = signed_request(
        "GET",
        "/orders",
        "h",
        "",
        "AKIDALICE",
        "secret-of-AKIDALICE",
    );
    let response = crate::exchange(gateway.address, &request).await;
    assert_eq!(response.status, 403, "{}", response.body);
    let cause = "identity \\\"users\\\" has no credentials: it needs a caller with a token";
    assert!(response.body.contains(cause), "{}", response.body);
    assert_eq!(
        response.header("x-amzn-errortype"),
        Some("ForbiddenException")
    );
    assert!(servers.origin.seen().is_empty());
    let token = servers.issuer.token("alice");
    assert_eq!(get_as(&gateway, &token, "/orders").await.status, 200);
}

#[tokio::test]
async fn users_of_one_url_never_share_a_cached_response() {
    let servers = Servers::cacheable("public, max-age=600").await;
    let config = servers.config("") + "cache = true\n";
    let gateway = gateway(&config);
    let tokens = ["alice", "bob"].map(|user| servers.issuer.token(user));
    for _ in 0..2 {
        for (user, token) in ["alice", "bob"].iter().zip(&tokens) {
            let response = get_as(&gateway, token, "/orders").await;
            assert!(response.body.ends_with(user), "{}", response.body);
        }
    }
    assert_eq!(servers.origin.seen().len(), 2, "each has its own hit");
}

#[tokio::test]
async fn identity_with_a_login_rejects_other_issuers() {
    let servers = Servers::start().await;
    let other = Issuer::start().await;
    let config = servers.config(&format!("login = \"{}\"", servers.issuer.login()));
    let gateway = gateway(&(config + &other.verify()));
    let token = servers.issuer.token("alice");
    assert_eq!(get_as(&gateway, &token, "/orders").await.status, 200);
    let response = get_as(&gateway, &other.token("alice"), "/orders").await;
    assert_eq!(response.status, 403, "{}", response.body);
    assert!(
        response.body.contains("another issuer"),
        "{}",
        response.body
    );
    assert_eq!(servers.pool.count("GetId"), 1);
}

#[tokio::test]
async fn kept_credentials_need_a_valid_token() {
    let servers = Servers::start().await;
    let config = servers.config("");
    let strict = "clock_skew = \"1ms\"\nalgorithms";
    let gateway = gateway(&config.replacen("algorithms", strict, 1));
    let short = servers.issuer.token_for("alice", Duration::from_secs(2));
    let key = get_as(&gateway, &short, "/orders").await.body;
    assert!(key.ends_with("alice"), "{key}");
    let started = Instant::now();
    while get_as(&gateway, &short, "/orders").await.status == 200 {
        assert!(started.elapsed() < Duration::from_secs(30), "no expiry");
        time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(get_as(&gateway, &short, "/orders").await.status, 401);
    let new = servers.issuer.token("alice");
    assert_eq!(get_as(&gateway, &new, "/orders").await.body, key);
}

#[tokio::test]
async fn log_has_no_token_and_no_secret() {
    let servers = Servers::start().await;
    let config = servers.config("") + "[log]\nlevel = \"trace\"\naccess = true\n";
    let file = TempFile::new(&config);
    let mut command = gateway_command();
    command
        .args(["--config", &file.path])
        .envs(VARIABLES)
        .stderr(Stdio::piped());
    let gateway = Gateway::spawn(&mut command);
    let token = servers.issuer.token("alice");
    assert_eq!(get_as(&gateway, &token, "/orders").await.status, 200);
    let rejected = servers.issuer.token("bob");
    servers.pool.set(PoolState::Echo);
    assert_eq!(get_as(&gateway, &rejected, "/orders").await.status, 403);
    let log = gateway.stop_and_read_log();
    assert!(log.contains("Amazon Cognito rejected GetId"), "{log}");
    for secret in [&*token, &*rejected, "secret-of-", "token-of-"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}
