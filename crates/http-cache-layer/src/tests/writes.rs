//! Writes touch their own URL.

use super::*;
use crate::{Key, Purge, Store};

/// An origin that takes 300 ms for GET, and responds to other methods at once.
fn origin() -> (Stack, CacheLayer, Arc<AtomicUsize>) {
    let layer = layer(1 << 20, 8);
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let origin = service_fn(move |request: Request<Body>| {
        let is_read = request.method() == http::Method::GET;
        if is_read {
            seen.fetch_add(1, Ordering::SeqCst);
        }
        async move {
            if is_read {
                time::sleep(Duration::from_millis(300)).await;
            }
            Ok(response(200, A, Body::from("body")))
        }
    });
    (stack(&layer, origin), layer, count)
}

/// Sends 200 writes a second to ever new URLs.
fn write_elsewhere(cache: &Stack) -> tokio::task::JoinHandle<()> {
    let client = cache.clone();
    tokio::spawn(async move {
        for number in 0.. {
            send(&client, request("POST", &format!("/other/{number}"), "")).await;
            time::sleep(Duration::from_millis(5)).await;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn writes_to_other_urls_do_not_keep_responses_from_being_stored() {
    let (cache, layer, count) = origin();
    let writes = write_elsewhere(&cache);
    for round in 0..2 {
        let all = (0..100).map(|number| {
            let client = cache.clone();
            let get = request("GET", &format!("/{number}"), "");
            tokio::spawn(async move { status(&send(&client, get).await.0).to_owned() })
        });
        for one in all.collect::<Vec<_>>() {
            let wanted = if round == 0 {
                "fwd=uri-miss; stored"
            } else {
                "hit"
            };
            assert_eq!(one.await.expect("not cancelled"), wanted);
        }
    }
    assert_eq!(
        (count.load(Ordering::SeqCst), layer.store().stats().stored),
        (100, 100)
    );
    writes.abort();
}

#[tokio::test(start_paused = true)]
async fn writes_to_other_urls_do_not_end_collapsing() {
    let (cache, _, count) = origin();
    let writes = write_elsewhere(&cache);
    let all = (0..200).map(|_| {
        let client = cache.clone();
        tokio::spawn(async move { send(&client, request("GET", "/", "")).await.1 })
    });
    for one in all.collect::<Vec<_>>() {
        assert_eq!(one.await.expect("not cancelled"), "body");
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
    writes.abort();
}

#[tokio::test(start_paused = true)]
async fn a_purge_includes_responses_that_are_on_their_way() {
    for purge in [
        Purge::url("h", "/a"),
        Purge::prefix("h", "/a"),
        Purge::host("h"),
        Purge::All,
    ] {
        let (cache, layer, count) = origin();
        let client = cache.clone();
        let slow = tokio::spawn(async move { send(&client, request("GET", "/a", "")).await.1 });
        time::sleep(Duration::from_millis(100)).await;
        layer.purge(purge.clone()).await;
        slow.await.expect("not cancelled");
        send(&cache, request("GET", "/a", "")).await;
        assert_eq!(count.load(Ordering::SeqCst), 2, "{purge:?}");
    }
}

#[tokio::test]
async fn a_lookup_in_memory_allocates_only_its_key() {
    let store = MemoryStore::new(1 << 20);
    let cache = stack(
        &CacheLayer::new(store.clone()),
        service_fn(async |_| Ok(response(200, A, Body::from("body")))),
    );
    let (_, body) = (cache.oneshot(request("GET", "/", "")).await)
        .expect("a response")
        .into_parts();
    body.collect().await.expect("complete body");
    let none = http::HeaderMap::new();
    let find = || {
        let key = Key::new("h", "/");
        let mut found = std::pin::pin!(store.find(&key, &none));
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(
            matches!(found.as_mut().poll(&mut context), Poll::Ready(result) if result.vary.is_some())
        );
    };
    find();
    assert_eq!(allocation_counter::measure(find).count_total, 1);
}
