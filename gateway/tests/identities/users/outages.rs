//! The identity pool fails, throttles or is slow.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    task::{self, JoinSet},
    time,
};

use super::{Servers, get_as};
use crate::{admin, readyz, standins::PoolState, support::Gateway};

#[tokio::test]
async fn rejected_user_gets_403_without_more_calls() {
    let servers = Servers::start().await;
    let gateway = servers.gateway("");
    servers.pool.set(PoolState::Denied("alice".to_owned()));
    let token = servers.issuer.token("alice");
    let started = Instant::now();
    for _ in 0..20 {
        let response = get_as(&gateway, &token, "/orders").await;
        assert_eq!(response.status, 403, "{}", response.body);
        let cause = "Amazon Cognito rejected GetId (NotAuthorizedException)";
        assert!(response.body.contains(cause), "{}", response.body);
        assert!(!response.body.contains(&token), "{}", response.body);
    }
    let calls = servers.pool.count("GetId");
    assert!(
        calls as u64 <= 1 + started.elapsed().as_secs() / 5,
        "{calls}"
    );
    let bob = servers.issuer.token("bob");
    assert_eq!(get_as(&gateway, &bob, "/orders").await.status, 200);
    let metrics = admin(&gateway, "/metrics").await.body;
    let failed = "identity_calls_total{identity=\"users\",result=\"failed\"}";
    assert!(
        metrics.contains(&format!("{failed} {calls}\n")),
        "{metrics}"
    );
}

#[tokio::test]
async fn pool_that_is_down_stops_only_new_users() {
    let servers = Servers::start().await;
    let gateway = servers.gateway("");
    let [alice, bob] = ["alice", "bob"].map(|user| servers.issuer.token(user));
    assert_eq!(get_as(&gateway, &alice, "/orders").await.status, 200);
    servers.pool.set(PoolState::Down);
    let response = get_as(&gateway, &bob, "/orders").await;
    assert_eq!(response.status, 503, "{}", response.body);
    assert!(
        response.body.contains("InternalErrorException"),
        "{}",
        response.body
    );
    assert_eq!(get_as(&gateway, &alice, "/orders").await.status, 200);
    assert_eq!(readyz(&gateway).await.status, 200);
    servers.pool.set(PoolState::Up);
    until_200(&gateway, &bob).await;
}

#[tokio::test]
async fn throttled_pool_is_not_called_by_other_users() {
    let servers = Servers::start().await;
    let gateway = servers.gateway("");
    servers.pool.set(PoolState::Throttled);
    let started = Instant::now();
    let users: Vec<_> = (0..20).map(|number| format!("user-{number}")).collect();
    for user in &users {
        let token = servers.issuer.token(user);
        let response = get_as(&gateway, &token, "/orders").await;
        assert_eq!(response.status, 503, "{}", response.body);
    }
    let calls = servers.pool.count("GetId");
    assert!(calls as u64 <= 1 + started.elapsed().as_secs(), "{calls}");
    servers.pool.set(PoolState::Up);
    until_200(&gateway, &servers.issuer.token("alice")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hundred_waiters_of_a_slow_pool_share_one_call() {
    let servers = Servers::start().await;
    let gateway = Arc::new(servers.gateway("timeout = \"30s\""));
    servers.pool.set(PoolState::Held);
    let token = servers.issuer.token("alice");
    let mut requests = JoinSet::new();
    for _ in 0..100 {
        let (gateway, token) = (gateway.clone(), token.clone());
        requests.spawn(async move { get_as(&gateway, &token, "/orders").await });
    }
    while servers.pool.count("GetId") == 0 {
        task::yield_now().await;
    }
    servers.pool.set(PoolState::Up);
    for response in requests.join_all().await {
        assert_eq!(response.status, 200, "{}", response.body);
    }
    assert_eq!(servers.pool.count("GetId"), 1);
    assert_eq!(servers.pool.count("GetCredentialsForIdentity"), 1);
    assert_eq!(servers.origin.different().len(), 1);
    assert_eq!(servers.origin.seen().len(), 100);
}

async fn until_200(gateway: &Gateway, token: &str) {
    let started = Instant::now();
    while get_as(gateway, token, "/orders").await.status != 200 {
        assert!(started.elapsed() < Duration::from_secs(30), "no recovery");
        time::sleep(Duration::from_millis(50)).await;
    }
}
