//! Sign-out by the admin port.

use std::fs;

use serde_json::json;

use super::{Servers, get_as};
use crate::{
    TestResponse, VARIABLES, exchange, gateway, get_until,
    support::{Gateway, TempFile},
};

async fn post(gateway: &Gateway, content_type: &str, body: &str) -> TestResponse {
    let address = gateway.printed_after("admin http://");
    let request = format!(
        "POST /identities/sign-out HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    exchange(address.parse().expect("an address"), &request).await
}

#[tokio::test]
async fn sign_out_ends_the_credentials_and_tokens_of_one_user() {
    let servers = Servers::cacheable("public, max-age=600").await;
    // Accepts tokens from the near future.
    let skew = "algorithms = [\"ES256\"]\nclock_skew = \"5m\"\n";
    let config = servers
        .config("")
        .replace("algorithms = [\"ES256\"]\n", skew);
    assert!(config.contains(skew));
    let gateway = gateway(&(config + "cache = true\n"));
    let [alice, bob] = ["alice", "bob"].map(|user| servers.issuer.token(user));
    let before = get_as(&gateway, &alice, "/orders").await.body;
    assert!(before.ends_with("alice"), "{before}");
    get_as(&gateway, &bob, "/orders").await;

    let body = json!({ "issuer": servers.issuer.url, "subject": "alice" }).to_string();
    let response = post(&gateway, "application/json", &body).await;
    assert_eq!(
        (response.status, &*response.body),
        (200, "{\"sessions\":1}")
    );

    // Also the response in the cache is not served.
    let rejected = get_as(&gateway, &alice, "/orders").await;
    assert_eq!(rejected.status, 403, "{}", rejected.body);
    assert!(rejected.body.contains("signed out"), "{}", rejected.body);
    assert_eq!(get_as(&gateway, &bob, "/orders").await.status, 200);

    // The clock of the issuer may be ahead, so that a new token counts from the next minute on.
    let mut claims = servers.issuer.claims(&alice).expect("valid");
    let issued = claims["iat"].as_u64().expect("a number");
    claims["iat"] = (issued + 30).into();
    let early = servers.issuer.sign(&claims);
    assert_eq!(get_as(&gateway, &early, "/orders").await.status, 403);
    claims["iat"] = (issued + 120).into();
    let new = servers.issuer.sign(&claims);
    let after = get_as(&gateway, &new, "/orders?new").await;
    assert_eq!(after.status, 200, "{}", after.body);
    assert_ne!(after.body, before, "new credentials");
    assert_eq!(get_as(&gateway, &alice, "/orders").await.status, 403);
}

#[tokio::test]
async fn malformed_sign_outs_are_rejected() {
    let servers = Servers::start().await;
    let gateway = servers.gateway("");
    let json_type = "application/json";
    for (content_type, body, status) in [
        ("text/plain", "{}", 415),
        (json_type, "{}", 400),
        (json_type, "{\"issuer\":\"i\"}", 400),
        (json_type, "{\"issuer\":\"i\",\"subject\":\"\"}", 400),
        (
            json_type,
            "{\"issuer\":\"i\",\"subject\":\"s\",\"x\":1}",
            400,
        ),
        (json_type, "{\"issuer\":\"i\",\"subject\":\"unknown\"}", 200),
    ] {
        let response = post(&gateway, content_type, body).await;
        assert_eq!(response.status, status, "{body}: {}", response.body);
    }
}

#[tokio::test]
async fn reload_keeps_credentials_and_sign_outs() {
    let servers = Servers::start().await;
    let config = servers.config("");
    let file = TempFile::new(&config);
    let gateway = Gateway::start(&["--config", &file.path], &VARIABLES);
    let [alice, bob] = ["alice", "bob"].map(|user| servers.issuer.token(user));
    for token in [&alice, &bob] {
        assert_eq!(get_as(&gateway, token, "/orders").await.status, 200);
    }
    let body = json!({ "issuer": servers.issuer.url, "subject": "alice" }).to_string();
    assert_eq!(post(&gateway, "application/json", &body).await.status, 200);

    let open = "[[route]]\npath = \"/new\"\norigin = \"orders\"\n";
    fs::write(&file.path, config + open).expect("written");
    gateway.signal("HUP");
    // Without the new route, the response is 404.
    get_until(&gateway, "/new", |response| response.status != 404).await;
    assert_eq!(get_as(&gateway, &bob, "/orders").await.status, 200);
    assert_eq!(servers.pool.count("GetCredentialsForIdentity"), 2);
    assert_eq!(get_as(&gateway, &alice, "/orders").await.status, 403);
}
