//! Refreshes while credentials are in use, and their failures.

use super::*;

#[tokio::test(start_paused = true)]
async fn requests_do_not_wait_for_a_refresh_while_credentials_are_valid() {
    let fixture = Fixture::new(Some(600));
    assert_eq!(key(fixture.request().await), "KEY1");
    let calls = fixture.calls();
    fixture.set_pause(Duration::from_secs(3600));
    for second in 1..590 {
        fixture.advance(1).await;
        let result = time::timeout(Duration::ZERO, fixture.request()).await;
        assert_eq!(
            key(result.unwrap_or_else(|_| panic!("waits at second {second}"))),
            "KEY1"
        );
    }
    // A refresh is due for 150 to 300 seconds. Each call takes 5 seconds, with 5 to 10 between two.
    assert!(
        (9..=31).contains(&(fixture.calls() - calls)),
        "{}",
        fixture.calls()
    );
    fixture.advance(20).await;
    let error = fixture.request().await.expect_err("expired");
    assert_eq!(error.kind(), ErrorKind::CredentialsTimeout);
}

#[tokio::test(start_paused = true)]
async fn errors_reach_all_waiters_and_are_not_cached() {
    let fixture = Fixture::new(None);
    fixture.set_down(true);
    for result in fixture.requests(50).await {
        let error = result.expect_err("down");
        assert_eq!(error.kind(), ErrorKind::Credentials);
        assert_eq!(error.status(), 503);
        let source = std::error::Error::source(&error).expect("the provider's error");
        assert!(source.downcast_ref::<CredentialsError>().is_some());
    }
    assert_eq!(fixture.calls(), 1);
    fixture.set_down(false);
    assert_eq!(key(fixture.request().await), "KEY2");
}

#[tokio::test(start_paused = true)]
async fn credentials_are_refreshed_in_the_background() {
    let fixture = Fixture::new(Some(3600));
    assert_eq!(key(fixture.request().await), "KEY1");
    fixture.advance(3600 - 300 - 2).await;
    assert_eq!(key(fixture.request().await), "KEY1", "too early");
    assert_eq!(fixture.calls(), 1);

    fixture.advance(151).await; // past the latest random time
    let before = time::Instant::now();
    let keys: Vec<_> = fixture.requests(100).await.into_iter().map(key).collect();
    assert_eq!(keys.iter().filter(|key| *key == "KEY1").count(), 100);
    assert_eq!(
        before.elapsed(),
        Duration::ZERO,
        "no request waits for the new key"
    );
    fixture.advance(1).await;
    tokio::task::yield_now().await;
    assert_eq!(key(fixture.request().await), "KEY2");
    assert_eq!(fixture.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn valid_credentials_stay_in_use_while_the_provider_fails() {
    let fixture = Fixture::new(Some(3600));
    assert_eq!(key(fixture.request().await), "KEY1");
    fixture.set_down(true);
    fixture.advance(3600 - 149).await;
    for _ in 0..40 {
        assert_eq!(key(fixture.request().await), "KEY1");
        time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(fixture.calls(), 2, "no call during the pause");
    fixture.advance(10).await;
    assert_eq!(key(fixture.request().await), "KEY1");
    time::sleep(Duration::from_secs(1)).await;
    assert_eq!(fixture.calls(), 3);

    fixture.advance(150).await;
    let error = fixture.request().await.expect_err("expired");
    assert_eq!(error.kind(), ErrorKind::Credentials);
    fixture.set_down(false);
    assert_eq!(key(fixture.request().await), "KEY5");
}

#[tokio::test(start_paused = true)]
async fn invalidated_credentials_are_not_reused() {
    let fixture = Fixture::new(None);
    assert_eq!(key(fixture.request().await), "KEY1");
    fixture.layer.credentials().invalidate();
    assert_eq!(key(fixture.request().await), "KEY2");
    assert_eq!(fixture.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn expired_credentials_are_not_used_after_a_failed_refresh() {
    let fixture = Fixture::new(Some(600));
    assert_eq!(key(fixture.request().await), "KEY1");
    fixture.set_down(true);
    fixture.advance(598).await; // the first call took a second
    assert_eq!(
        key(fixture.request().await),
        "KEY1",
        "valid for another second"
    );
    fixture.advance(2).await;
    let error = fixture.request().await.expect_err("expired");
    assert_eq!(error.kind(), ErrorKind::Credentials);
}

#[tokio::test(start_paused = true)]
async fn pending_load_is_not_cached_after_invalidation() {
    let fixture = Fixture::new(None);
    let request = tokio::spawn(fixture.request());
    tokio::task::yield_now().await;
    fixture.layer.credentials().invalidate();
    assert_eq!(key(request.await.expect("not cancelled")), "KEY1");
    assert_eq!(key(fixture.request().await), "KEY2");
}

#[tokio::test(start_paused = true)]
async fn failed_refresh_does_not_restore_invalidated_credentials() {
    let fixture = Fixture::new(Some(600));
    assert_eq!(key(fixture.request().await), "KEY1");
    fixture.set_down(true);
    fixture.advance(500).await;
    let request = tokio::spawn(fixture.request());
    tokio::task::yield_now().await;
    fixture.layer.credentials().invalidate();
    assert_eq!(
        key(request.await.expect("not cancelled")),
        "KEY1",
        "still valid"
    );
    fixture.set_down(false);
    assert_eq!(key(fixture.request().await), "KEY3");
}

#[tokio::test(start_paused = true)]
async fn previous_error_does_not_reach_later_requests() {
    let fixture = Fixture::new(None);
    fixture.set_down(true);
    fixture.request().await.expect_err("down");
    fixture.set_down(false);
    let first = tokio::spawn(fixture.request());
    tokio::task::yield_now().await;
    let second = tokio::spawn(fixture.request());
    tokio::task::yield_now().await;
    fixture.layer.credentials().invalidate();
    assert_eq!(key(first.await.expect("not cancelled")), "KEY2");
    assert_eq!(
        key(second.await.expect("not cancelled")),
        "KEY2",
        "started before"
    );
    assert_eq!(key(fixture.request().await), "KEY3");
}

#[tokio::test(start_paused = true)]
async fn fallback_of_the_provider_is_used_after_a_timeout() {
    #[derive(Debug)]
    struct Hangs;
    impl ProvideCredentials for Hangs {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(std::future::pending())
        }
        fn fallback_on_interrupt(&self) -> Option<Credentials> {
            Some(Credentials::new("FALLBACK", "secret", None, None, "test"))
        }
    }
    let fixture = Fixture {
        layer: signing(Hangs),
        ..Fixture::new(None)
    };
    assert_eq!(key(fixture.request().await), "FALLBACK");
}

#[tokio::test(start_paused = true)]
async fn requests_never_use_an_expired_key_across_rotations() {
    let fixture = Fixture::new(Some(900));
    let mut last = 0;
    for round in 0..1000 {
        for result in fixture.requests(10).await {
            let number: usize = key(result)["KEY".len()..].parse().expect("a number");
            assert!(
                number == last || number == last + 1,
                "round {round}: {number} after {last}"
            );
            let expiry = fixture.provider.expiries.lock().unwrap()[number - 1];
            assert!(
                fixture.provider.clock.now() < expiry,
                "round {round}: {number} has expired"
            );
            last = number;
        }
        fixture.advance(5).await;
    }
    // Each key serves at most its lifetime, and at least up to its refresh window.
    let elapsed = fixture.started.elapsed().as_secs() as usize;
    assert!(
        (elapsed / 900..=elapsed / 600 + 1).contains(&fixture.calls()),
        "{}",
        fixture.calls()
    );
}

#[tokio::test(start_paused = true)]
async fn provider_calls_time_out() {
    let mut fixture = Fixture::new(None);
    let cache = CredentialsCache::new(fixture.provider.clone())
        .with_load_timeout(Duration::from_millis(100));
    fixture.layer = signing(cache);
    let error = fixture.request().await.expect_err("too slow");
    assert_eq!(error.kind(), ErrorKind::CredentialsTimeout);
    assert_eq!(error.status(), 504);
    assert!(error.to_string().contains("100ms"), "{error}");
}
