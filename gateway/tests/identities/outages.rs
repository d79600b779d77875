//! STS fails: other identities serve, and the failed one recovers by itself.

use std::time::Duration;

use tokio::{net::TcpListener, time};

use crate::{
    KEY_ID, admin, base, gateway, get, get_until, readyz, role, route, server,
    standins::{Origin, Sts},
};

#[tokio::test]
async fn rejected_role_stops_only_its_routes_and_recovers() {
    let sts = Sts::start().await;
    sts.deny(Some("users"));
    let origin = Origin::start(sts.keys.clone()).await;
    let config = server() + &base() + &role("orders", &sts, "") + &role("users", &sts, "");
    let config = config + &route("orders", &origin, "orders") + &route("users", &origin, "users");
    let gateway = gateway(&config);

    let response = get(&gateway, "/users").await;
    assert_eq!(response.status, 503, "{}", response.body);
    let cause = "identity \\\"users\\\" has no credentials: STS rejected AssumeRole (AccessDenied)";
    assert!(response.body.contains(cause), "{}", response.body);
    assert!(!response.body.contains("123456789012"), "{}", response.body);
    assert_eq!(get(&gateway, "/orders").await.status, 200);

    let ready = readyz(&gateway).await;
    assert_eq!(ready.status, 200, "the other routes serve: {}", ready.body);
    let (_, degraded) = ready.body.split_once("\"degraded\":[").expect(&ready.body);
    assert!(degraded.contains(cause), "{degraded}");
    let metrics = admin(&gateway, "/metrics").await.body;
    let failed = "identity_calls_total{identity=\"users\",result=\"failed\"} ";
    assert!(metrics.contains(failed), "{metrics}");

    sts.deny(None);
    get_until(&gateway, "/users", |response| response.status == 200).await;
    // A report is reused for a second.
    while readyz(&gateway).await.body.contains("users") {
        time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn unreachable_sts_stops_only_new_credentials_and_recovers() {
    let sts = Sts::start().await;
    let origin = Origin::start(sts.keys.clone()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let unreachable =
        role("users", &sts, "").replace(&sts.address.to_string(), &address.to_string());
    let config = server() + &base() + &role("orders", &sts, "") + &unreachable;
    let config = config + &route("orders", &origin, "orders") + &route("users", &origin, "users");
    let gateway = gateway(&config);

    assert_eq!(get(&gateway, "/orders").await.status, 200);
    let response = get(&gateway, "/users").await;
    assert_eq!(response.status, 503, "{}", response.body);
    assert!(
        response.body.contains("STS cannot be reached"),
        "{}",
        response.body
    );
    assert_eq!(get(&gateway, "/orders").await.status, 200);

    let listener = TcpListener::bind(address).await.expect("the port is free");
    let recovered = Sts::start_on(listener);
    let issued = get_until(&gateway, "/users", |response| {
        // The origin knows only the keys of the first one.
        for call in recovered.calls() {
            assert_eq!(call.signed_by.as_deref(), Some(KEY_ID));
        }
        response.status != 503
    })
    .await;
    assert_eq!(issued.status, 502, "{}", issued.body);
}

#[tokio::test]
async fn valid_credentials_serve_while_sts_is_down() {
    let sts = Sts::start().await;
    sts.set_lifetime(Duration::from_secs(8));
    let origin = Origin::start(sts.keys.clone()).await;
    let config = server() + &base() + &role("orders", &sts, "");
    let gateway = gateway(&(config + &route("orders", &origin, "orders")));
    assert_eq!(get(&gateway, "/orders").await.status, 200);
    sts.deny(Some("orders"));
    // The refresh fails, and the first credentials stay in use until they expire.
    while sts.calls().len() < 2 {
        assert_eq!(get(&gateway, "/orders").await.status, 200);
    }
    assert_eq!(get(&gateway, "/orders").await.status, 200);
    assert_eq!(origin.different().len(), 1);
    get_until(&gateway, "/orders", |response| response.status == 503).await;
    sts.deny(None);
    get_until(&gateway, "/orders", |response| response.status == 200).await;
    assert_eq!(origin.different().len(), 2);
}
