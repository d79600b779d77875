//! Issuers that do not respond.

use tokio::net::TcpListener;

use super::{admin, get, issuer::Issuer, key, metrics, signatures, signed_status, start};

/// Returns the table of an issuer whose keys are at a port that nobody listens to.
async fn unreachable(issuer: &Issuer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let jwks = format!("jwks_url = \"{}/.well-known/jwks.json\"", issuer.url);
    let closed = format!("jwks_url = \"http://{address}/jwks.json\"");
    issuer.verify().replace(&jwks, &closed)
}

#[tokio::test]
async fn tokens_get_503_while_the_issuer_is_down() {
    let issuer = Issuer::start().await;
    let (origin, gateway) = start(&unreachable(&issuer).await).await;
    let bearer = format!("authorization: Bearer {}\r\n", issuer.token("alice"));
    let response = get(&gateway, "/orders", &bearer).await;
    assert_eq!(response.status, 503);
    assert!(response.header("retry-after").is_some());
    assert!(!response.body.contains("127.0.0.1"), "{}", response.body);
    assert!(origin.requests().is_empty());
    let ready = admin(&gateway, "GET", "/readyz", "\r\n").await;
    assert_eq!(ready.status, 503, "{}", ready.body);
    assert!(
        ready.body.contains("no caller can be verified"),
        "{}",
        ready.body
    );
    let text = metrics(&gateway).await;
    assert!(
        text.contains("kind=\"keys-unavailable\",mechanism=\"jwt\""),
        "{text}"
    );
    assert!(text.contains("sigv4_gateway_jwks_keys{"), "{text}");
    assert!(!text.contains("sigv4_gateway_jwks_age_seconds{"), "{text}");
}

#[tokio::test]
async fn gateway_is_degraded_if_only_tokens_fail() {
    let issuer = Issuer::start().await;
    let verify = format!(
        "{}[[verify.key]]\n{}{}",
        signatures(),
        key("AKIDALICE"),
        unreachable(&issuer).await
    );
    let (_origin, gateway) = start(&verify).await;
    assert_eq!(signed_status(&gateway, "AKIDALICE").await, 200);
    let ready = admin(&gateway, "GET", "/readyz", "\r\n").await;
    assert_eq!(ready.status, 200, "{}", ready.body);
    assert!(ready.body.contains(&issuer.url), "{}", ready.body);
}

#[tokio::test]
async fn gateway_is_ready_for_principals_if_tokens_fail() {
    let issuer = Issuer::start().await;
    let principals =
        "[verify]\n[verify.iam]\nserver_id = \"gateway\"\naccounts = [\"123456789012\"]\n";
    let verify = principals.to_owned() + &unreachable(&issuer).await;
    let (_origin, gateway) = start(&verify).await;
    let ready = admin(&gateway, "GET", "/readyz", "\r\n").await;
    assert_eq!(ready.status, 200, "{}", ready.body);
    assert!(ready.body.contains(&issuer.url), "{}", ready.body);
}
