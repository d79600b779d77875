use std::{future::Future, pin::pin, task::Poll, time::Duration};

use http::StatusCode;
use tokio::{task::JoinSet, time::Instant};
use tower_sigv4_callers::jwt::{Algorithm, RejectionKind};

use crate::{
    ISSUER, bearer, claims,
    provider::jwks,
    settings,
    setup::{Setup, advance, secs},
    signing_key::SigningKey,
    verifier,
};

#[tokio::test(start_paused = true)]
async fn keys_are_discovered_once() {
    let setup = Setup::new();
    setup.verify_first().await;
    setup.verify_first().await;
    let requests = setup.provider.change(|state| state.requests.clone());
    assert_eq!(
        requests,
        [
            "https://login.example.com/pool/.well-known/openid-configuration",
            "https://keys.example.com/jwks.json"
        ]
    );
    let status = &setup.verifier.key_status()[0];
    assert_eq!((status.keys, status.failures), (1, 0));
    assert_eq!(status.age, Some(Duration::ZERO));
    assert_eq!(status.issuer, ISSUER);
}

#[tokio::test(start_paused = true)]
async fn waiters_share_one_fetch() {
    let setup = Setup::new();
    setup.set_delay(secs(2));
    let token = setup.key.token(&setup.key.header(), &claims());
    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        let (verifier, head) = (setup.verifier.clone(), bearer(&token));
        tasks.spawn(async move { verifier.verify(&head).await });
    }
    let start = Instant::now();
    while let Some(result) = tasks.join_next().await {
        assert!(result.unwrap().is_ok());
    }
    assert_eq!(start.elapsed(), secs(4)); // discovery and keys
    assert_eq!(setup.provider.take_fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn dropped_request_does_not_cancel_the_fetch() {
    let setup = Setup::new();
    setup.set_delay(secs(2));
    {
        let mut dropped = pin!(setup.verify(&setup.key));
        let first = std::future::poll_fn(|cx| Poll::Ready(dropped.as_mut().poll(cx))).await;
        assert!(first.is_pending());
    }
    advance(secs(3)).await;
    advance(secs(3)).await;
    assert_eq!(setup.verify_first().await, Duration::ZERO);
    assert_eq!(setup.provider.take_fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn keys_are_refreshed_before_they_expire_while_old_ones_serve() {
    let setup = Setup::new();
    setup.verify_first().await;
    setup.provider.take_fetches();
    advance(secs(799)).await;
    setup.verify_first().await;
    assert_eq!(setup.provider.take_fetches(), 0);
    setup.set_delay(secs(2));
    advance(secs(1)).await;
    for _ in 0..10 {
        assert_eq!(setup.verify_first().await, Duration::ZERO);
    }
    advance(secs(2)).await;
    advance(secs(2)).await;
    assert_eq!(setup.provider.take_fetches(), 1);
    assert_eq!(setup.verifier.key_status()[0].age, Some(Duration::ZERO));
    advance(secs(700)).await;
    assert_eq!(setup.verify_first().await, Duration::ZERO);
    assert_eq!(setup.provider.take_fetches(), 0);
}

#[tokio::test(start_paused = true)]
async fn expired_keys_are_fetched_first() {
    let setup = Setup::new();
    setup.verify_first().await;
    setup.provider.take_fetches();
    let next = SigningKey::rsa("second", 1, Algorithm::Rs256);
    setup.provider.change(|state| state.jwks = jwks([&next]));
    advance(secs(1000)).await;
    setup.set_delay(secs(1));
    let removed = setup.verify(&setup.key).await;
    assert_eq!(removed.unwrap_err(), RejectionKind::UnknownKey);
    assert_eq!(setup.provider.take_fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn rotation_accepts_new_keys_and_rejects_removed_ones() {
    let setup = Setup::new();
    setup.verify_first().await;
    let next = SigningKey::rsa("second", 1, Algorithm::Rs256);
    setup.provider.change(|state| state.jwks = jwks([&next]));
    setup.verify_first().await;
    advance(secs(30)).await;
    setup.provider.take_fetches();
    assert!(setup.verify(&next).await.is_ok());
    assert_eq!(setup.provider.take_fetches(), 1);
    let removed = setup.verify(&setup.key).await;
    assert_eq!(removed.unwrap_err(), RejectionKind::UnknownKey);
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_cause_one_fetch_per_interval() {
    let setup = Setup::new();
    setup.verify_first().await;
    setup.provider.take_fetches();
    let stranger = SigningKey::rsa("stranger", 1, Algorithm::Rs256);
    let token = stranger.token(&stranger.header(), &claims());
    for second in 0..120 {
        let mut tasks = JoinSet::new();
        for _ in 0..10 {
            let (verifier, head) = (setup.verifier.clone(), bearer(&token));
            tasks.spawn(async move { verifier.verify(&head).await });
        }
        while let Some(result) = tasks.join_next().await {
            let rejection = result.unwrap().unwrap_err();
            assert_eq!(rejection.kind(), RejectionKind::UnknownKey);
        }
        let expected = usize::from(second > 0 && second % 30 == 0);
        assert_eq!(setup.provider.take_fetches(), expected, "{second}");
        advance(secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn invalid_tokens_cause_no_fetch() {
    let setup = Setup::new();
    let mut expired = claims();
    expired["exp"] = 1.into();
    let token = setup.key.token(&setup.key.header(), &expired);
    let rejection = setup.verifier.verify(&bearer(&token)).await.unwrap_err();
    assert_eq!(rejection.kind(), RejectionKind::Expired);
    assert_eq!(setup.provider.take_fetches(), 0);
}

#[tokio::test(start_paused = true)]
async fn empty_key_set_rejects_all_tokens() {
    let setup = Setup::new();
    setup
        .provider
        .change(|state| state.jwks = r#"{"keys": []}"#.to_owned());
    let rejection = setup.verify(&setup.key).await.unwrap_err();
    assert_eq!(rejection, RejectionKind::UnknownKey);
}

#[tokio::test(start_paused = true)]
async fn readiness_waits_for_keys() {
    let setup = Setup::new();
    setup.set_status(StatusCode::BAD_GATEWAY);
    let rejection = setup.verifier.ready().await.unwrap_err();
    assert_eq!(rejection.kind(), RejectionKind::KeysUnavailable);
    setup.set_status(StatusCode::OK);
    advance(secs(1)).await;
    setup.verifier.ready().await.unwrap();
    setup.provider.take_fetches();
    setup.verify_first().await;
    assert_eq!(setup.provider.take_fetches(), 0);
}

#[tokio::test(start_paused = true)]
async fn changed_settings_continue_with_the_cached_keys() {
    let setup = Setup::new();
    setup.verify_first().await;
    setup.provider.take_fetches();
    let changed = settings(ISSUER).add_audience("more");
    let next = verifier(setup.provider.client(), changed).continuing(&setup.verifier);
    let token = setup.key.token(&setup.key.header(), &claims());
    assert!(next.verify(&bearer(&token)).await.is_ok());
    assert_eq!(setup.provider.take_fetches(), 0);
    let elsewhere = settings(ISSUER)
        .with_jwks_url("https://keys.example.com/jwks.json")
        .unwrap();
    let moved = verifier(setup.provider.client(), elsewhere).continuing(&setup.verifier);
    assert!(moved.verify(&bearer(&token)).await.is_ok());
    assert_eq!(setup.provider.take_fetches(), 1);
}

#[test]
fn fetch_of_a_stopped_runtime_is_repeated() {
    let setup = Setup::new();
    setup.set_delay(secs(1));
    let build = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    build().block_on(async {
        let mut dropped = pin!(setup.verify(&setup.key));
        let first = std::future::poll_fn(|cx| Poll::Ready(dropped.as_mut().poll(cx))).await;
        assert!(first.is_pending());
    });
    build().block_on(async {
        setup.verify(&setup.key).await.unwrap();
    });
}
