//! Calls that requests share.

use super::*;

#[tokio::test(start_paused = true)]
async fn concurrent_requests_share_one_load() {
    let fixture = Fixture::new(None);
    for result in fixture.requests(100).await {
        assert_eq!(key(result), "KEY1");
    }
    fixture.advance(365 * 24 * 3600).await;
    assert_eq!(
        key(fixture.request().await),
        "KEY1",
        "credentials without expiry"
    );
    assert_eq!(fixture.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn readiness_loads_credentials_once() {
    let mut fixture = Fixture::new(Some(3600));
    fixture.provider.clock = Clock::system();
    let cache = CredentialsCache::new(fixture.provider.clone());
    fixture.set_down(true);
    assert!(cache.ready().await.is_err());
    assert_eq!((cache.expiry(), fixture.calls()), (None, 1));
    fixture.set_down(false);
    cache.ready().await.expect("loaded");
    cache.ready().await.expect("cached");
    let expiry = fixture.provider.expiries.lock().unwrap()[0];
    assert_eq!((cache.expiry(), fixture.calls()), (Some(expiry), 2));
    cache.invalidate();
    assert_eq!(cache.expiry(), None);
}

/// Five presigned URLs and the layer's own requests need one call of the provider.
#[tokio::test(start_paused = true)]
async fn cache_provides_the_credentials_of_the_layer() {
    let fixture = Fixture::new(Some(3600));
    let cache = fixture.layer.credentials();
    for _ in 0..5 {
        let credentials = cache.provide_credentials().await.expect("loaded");
        let identity = Identity::new(credentials).expect("valid");
        let settings = SigningSettings::new("s3", "us-east-1").expect("a scope");
        let params = SigningParams::new(&settings, &identity, Payload::Unsigned, fixture.now());
        let request = Request::get("https://bucket.s3.us-east-1.amazonaws.com/key").body(());
        let (mut head, ()) = request.expect("a request").into_parts();
        let expires = Duration::from_secs(60);
        Signer::new()
            .presign(&mut head, &params, expires)
            .expect("signed");
        let query = head.uri.query().expect("a signature");
        assert!(query.contains("X-Amz-Credential=KEY1%2F"), "{query}");
    }
    assert_eq!(key(fixture.request().await), "KEY1");
    assert_eq!(fixture.calls(), 1);

    // A cache of a cache is that cache.
    let shared = CredentialsCache::new(cache.clone());
    shared.invalidate();
    assert_eq!(key(fixture.request().await), "KEY2");
    assert_eq!(shared.expiry(), cache.expiry());

    fixture.set_down(true);
    shared.invalidate();
    let error = cache.provide_credentials().await.expect_err("down");
    let kind = Error::find(&error).map(Error::kind);
    assert_eq!(kind, Some(ErrorKind::Credentials));
}

/// Also behind a second cache, in front of a wrapped one.
#[tokio::test(start_paused = true)]
async fn shared_providers_are_called_once_per_refresh() {
    type Shared = Arc<dyn ProvideCredentials>;
    let cache = |provider: Provider| {
        let clock = provider.clock.clone();
        CredentialsCache::new(provider).with_clock(clock)
    };
    let forms: [&dyn Fn(Provider) -> SigningLayer; 5] = [
        &|provider| signing(cache(provider)),
        &|provider| signing(Arc::new(provider) as Shared),
        &|provider| signing(SharedCredentialsProvider::new(provider)),
        &|provider| signing(Arc::new(cache(provider)) as Shared),
        &|provider| signing(SharedCredentialsProvider::new(cache(provider))),
    ];
    for (index, form) in forms.into_iter().enumerate() {
        let mut fixture = Fixture::new(Some(600));
        let clock = fixture.provider.clock.clone();
        fixture.layer = form(fixture.provider.clone()).with_clock(clock);
        for _ in 0..61 {
            key(fixture.request().await);
            fixture.advance(10).await;
        }
        assert_eq!(key(fixture.request().await), "KEY2", "form {index}");
        assert_eq!(fixture.calls(), 2, "form {index}");
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_a_request_does_not_cancel_its_load() {
    let fixture = Fixture::new(None);
    let first = tokio::spawn(fixture.request());
    tokio::task::yield_now().await;
    let second = tokio::spawn(fixture.request());
    tokio::task::yield_now().await;
    assert_eq!(fixture.calls(), 1);
    first.abort();
    assert_eq!(key(second.await.expect("not cancelled")), "KEY1");
    assert_eq!(fixture.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn load_continues_without_waiting_requests() {
    let fixture = Fixture::new(None);
    let request = time::timeout(Duration::from_millis(200), fixture.request());
    request.await.expect_err("the provider takes a second");
    fixture.advance(1).await;
    let started = time::Instant::now();
    assert_eq!(key(fixture.request().await), "KEY1");
    assert_eq!((fixture.calls(), started.elapsed()), (1, Duration::ZERO));
}

/// Callers time out before the provider responds; none of 10,000 requests fails.
#[tokio::test(start_paused = true)]
async fn request_timeouts_do_not_stop_a_refresh() {
    let fixture = Fixture::new(Some(600));
    fixture.set_pause(Duration::from_millis(300));
    assert_eq!(key(fixture.request().await), "KEY1");
    for request in 0..10_000 {
        fixture.now();
        let result = time::timeout(Duration::from_millis(200), fixture.request()).await;
        key(result.unwrap_or_else(|_| panic!("request {request} waited")));
        time::sleep(Duration::from_millis(250)).await;
    }
    let calls = fixture.calls();
    assert!((5..=9).contains(&calls), "{calls} calls in 2,500 seconds");
}
