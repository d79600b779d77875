//! Cached responses never cross identities.

use crate::{
    base, gateway, get, role, route, server,
    sessions::{callers, get_as},
    standins::{Origin, Sts},
};

const PUBLIC: &str = "public, max-age=600";
const TENANTS: [&str; 2] = ["AKIDALICE", "AKIDBOB"];

async fn tenants(more: &str) -> (Sts, Origin, String) {
    let sts = Sts::start().await;
    let origin = Origin::cacheable(sts.keys.clone(), PUBLIC).await;
    let more = format!("session_name = \"{{caller}}\"\n{more}");
    let config = server() + &base() + &role("orders", &sts, &more);
    let config = config + &route("orders", &origin, "orders") + "cache = true\n";
    (sts, origin, config + &callers(TENANTS.map(str::to_owned)))
}

/// Sends a request of each tenant, twice, and returns the access key IDs in the responses.
async fn ask(config: &str) -> [String; 4] {
    let gateway = gateway(config);
    let mut bodies = Vec::new();
    for caller in [TENANTS[0], TENANTS[1], TENANTS[0], TENANTS[1]] {
        let response = get_as(&gateway, caller, "/orders").await;
        assert_eq!(response.status, 200, "{}", response.body);
        bodies.push(response.body);
    }
    bodies.try_into().expect("four")
}

#[tokio::test]
async fn two_tenants_of_one_url_never_share_a_response() {
    let (_sts, origin, config) = tenants("").await;
    let [alice, bob, alice_again, bob_again] = ask(&config).await;
    assert_ne!(alice, bob);
    assert_eq!((&alice, &bob), (&alice_again, &bob_again));
    assert_eq!(origin.seen().len(), 2, "each has its own hit");
}

#[tokio::test]
async fn public_responses_are_shared_only_by_a_setting() {
    let (_sts, origin, config) = tenants("share_public = true").await;
    let [alice, others @ ..] = ask(&config).await;
    assert!(others.iter().all(|it| *it == alice), "{others:?}");
    assert_eq!(origin.seen().len(), 1);

    let sts = Sts::start().await;
    let private = Origin::cacheable(sts.keys.clone(), "max-age=600").await;
    let more = "session_name = \"{caller}\"\nshare_public = true";
    let config = server() + &base() + &role("orders", &sts, more);
    let config = config + &route("orders", &private, "orders") + "cache = true\n";
    ask(&(config + &callers(TENANTS.map(str::to_owned)))).await;
    assert_eq!(private.seen().len(), 4, "only public ones are stored");
}

#[tokio::test]
async fn routes_with_different_identities_never_share_a_response() {
    let sts = Sts::start().await;
    let origin = Origin::cacheable(sts.keys.clone(), PUBLIC).await;
    let config = server() + &base() + &role("reader", &sts, "") + &route("orders", &origin, "base");
    let config = config.replace("[[route]]", "[[route]]\nmethods = [\"POST\"]")
        + "[[route]]\npath = \"/orders\"\norigin = \"orders\"\ncache = true\nheaders = { x-tenant = \"a\" }\n\
           [[route]]\npath = \"/orders\"\norigin = \"orders\"\ncache = true\nidentity = \"reader\"\n";
    let gateway = gateway(&config);
    let as_tenant = "GET /orders HTTP/1.1\r\nhost: h\r\nx-tenant: a\r\nconnection: close\r\n\r\n";
    for _ in 0..2 {
        let base = crate::exchange(gateway.address, as_tenant).await;
        assert_eq!(base.body, crate::KEY_ID);
        let reader = get(&gateway, "/orders").await;
        assert!(reader.body.ends_with("reader"), "{}", reader.body);
    }
    assert_eq!(origin.seen().len(), 2);
}
