//! Users that assume a role with their own token.

use std::{collections::HashSet, time::Instant};

use serde_json::json;

use super::get_as;
use crate::{
    gateway, route, server,
    standins::{CLIENT_ID, Issuer, Origin, Sts},
};

fn identity(sts: &Sts, more: &str) -> String {
    let address = sts.address;
    format!(
        "[[identity]]\nname = \"users\"\nsource = \"caller-web-identity\"\n\
         role_arn = \"arn:aws:iam::123456789012:role/web\"\nsts_endpoint = \"http://{address}\"\n{more}\n"
    )
}

#[tokio::test]
async fn each_user_assumes_the_role_with_its_own_token() {
    let issuer = Issuer::start().await;
    let sts = Sts::start().await;
    let origin = Origin::start(sts.keys.clone()).await;
    let more = format!("duration = \"15m\"\nlogin = \"{}\"", issuer.login());
    let config = server() + &identity(&sts, &more) + &issuer.verify();
    let gateway = gateway(&(config + &route("orders", &origin, "users")));
    let users = ["alice", "bob/..|bob"];
    let tokens = users.map(|user| issuer.token(user));
    let mut keys = Vec::new();
    for token in tokens.iter().chain(&tokens) {
        let response = get_as(&gateway, token, "/orders").await;
        assert_eq!(response.status, 200, "{}", response.body);
        keys.push(response.body);
    }
    assert_ne!(keys[0], keys[1]);
    assert_eq!(keys[..2], keys[2..]);
    let calls = sts.calls();
    assert_eq!(calls.len(), 2);
    for (call, token) in calls.iter().zip(&tokens) {
        assert_eq!(call.signed_by, None);
        assert_eq!(call.parameter("WebIdentityToken"), Some(&**token));
        assert_eq!(call.parameter("DurationSeconds"), Some("900"));
    }
    assert_eq!(calls[0].parameter("RoleSessionName"), Some("alice"));
    let sanitized = calls[1].parameter("RoleSessionName").expect("a name");
    assert!(sanitized.starts_with("bob-..-bob-"), "{sanitized}");
}

#[tokio::test]
async fn user_that_the_trust_policy_rejects_gets_403() {
    let issuer = Issuer::start().await;
    let sts = Sts::start().await;
    sts.deny(Some("web"));
    let origin = Origin::start(sts.keys.clone()).await;
    let config = server() + &identity(&sts, "session_name = \"u-{caller}\"") + &issuer.verify();
    let gateway = gateway(&(config + &route("orders", &origin, "users")));
    let token = issuer.token("alice");
    let started = Instant::now();
    for _ in 0..5 {
        let response = get_as(&gateway, &token, "/orders").await;
        assert_eq!(response.status, 403, "{}", response.body);
        let cause = "STS rejected AssumeRoleWithWebIdentity (AccessDenied)";
        assert!(response.body.contains(cause), "{}", response.body);
    }
    let calls = sts.calls().len() as u64;
    assert!(calls <= 1 + started.elapsed().as_secs() / 5, "{calls}");
    assert!(origin.seen().is_empty());
}

#[tokio::test]
async fn users_of_two_issuers_audiences_or_kinds_of_tokens_do_not_share_credentials() {
    let issuers = [Issuer::start().await, Issuer::start().await];
    let sts = Sts::start().await;
    let origin = Origin::start(sts.keys.clone()).await;
    let audiences = format!("[\"{CLIENT_ID}\", \"another\"]");
    let accepted = issuers.each_ref().map(|issuer| {
        let table = issuer.verify();
        table.replace(&format!("\"{CLIENT_ID}\""), &audiences)
    });
    let config = server() + &identity(&sts, "") + &accepted.concat();
    let gateway = gateway(&(config + &route("orders", &origin, "users")));
    let mut tokens = issuers.each_ref().map(|it| it.token("alice")).to_vec();
    let mut claims = issuers[0].claims(&tokens[0]).expect("valid");
    claims["aud"] = json!("another");
    tokens.push(issuers[0].sign(&claims));
    let mut access = issuers[0].claims(&tokens[0]).expect("valid");
    access["token_use"] = json!("access");
    tokens.push(issuers[0].sign(&access));
    for token in tokens.iter().chain(&tokens) {
        let response = get_as(&gateway, token, "/orders").await;
        assert_eq!(response.status, 200, "{}", response.body);
    }
    assert_eq!(origin.different().len(), 4);
    let calls = sts.calls();
    let names: HashSet<_> = calls
        .iter()
        .map(|call| call.parameter("RoleSessionName").expect("a name"))
        .collect();
    // One for each issuer and subject.
    assert_eq!((calls.len(), names.len()), (4, 2), "{names:?}");
}
