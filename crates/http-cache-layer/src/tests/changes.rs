//! Invalidation, and requests that wait for others.

use http::HeaderMap;

use super::*;
use crate::{Entry, Found, Key, Purge, PurgeOutcome, Store, StoreFuture, Ticket};

fn with_origin<F>(
    origin: impl Fn(Request<Body>) -> F + Clone + Send + Sync + 'static,
) -> (Stack, CacheLayer)
where
    F: Future<Output = Result<Response, BoxError>> + Send + 'static,
{
    let layer = layer(1 << 20, 8);
    (stack(&layer, service_fn(origin)), layer)
}

async fn status_of(stack: &Stack, target: &str) -> String {
    status(&send(stack, request("GET", target, "")).await.0).to_owned()
}

#[tokio::test]
async fn purge_removes_one_url_and_clear_all() {
    let (stack, layer) = with_origin(async |_| Ok(response(200, A, Body::from("body"))));
    for target in ["/a?b", "/c"] {
        status_of(&stack, target).await;
    }
    layer.purge(Purge::url("H", "/a?b")).await;
    assert_eq!(status_of(&stack, "/c").await, "hit");
    assert_eq!(status_of(&stack, "/a?b").await, "fwd=uri-miss; stored");
    layer.purge(Purge::All).await;
    for target in ["/a?b", "/c"] {
        assert_eq!(status_of(&stack, target).await, "fwd=uri-miss; stored");
    }
}

#[tokio::test]
async fn changes_invalidate_related_urls_on_the_same_host() {
    let lines =
        "cache-control: max-age=60|location: http://h/named|content-location: ../other|x: y";
    let (stack, _) =
        with_origin(move |_| async move { Ok(response(200, lines, Body::from("body"))) });
    let targets = ["/named", "/other", "/d/e", "/d/f"];
    for target in targets {
        status_of(&stack, target).await;
    }
    send(&stack, request("POST", "/d/e", "")).await;
    let mut hits = Vec::new();
    for target in targets {
        hits.push(status_of(&stack, target).await == "hit");
    }
    assert_eq!(hits, [false, false, false, true]);
    let mut head = HeaderMap::new();
    head.insert(
        "location",
        http::HeaderValue::from_static("http://elsewhere/a"),
    );
    assert_eq!(Key::new("h", "/").related(&head).count(), 0);
}

/// A store whose removals take forever.
struct SlowRemoval(MemoryStore);

impl Store for SlowRemoval {
    fn find<'a>(&'a self, key: &'a Key, request: &'a HeaderMap) -> StoreFuture<'a, Found> {
        self.0.find(key, request)
    }

    fn put(&self, key: &Key, entry: Arc<Entry>, ticket: Ticket) {
        self.0.put(key, entry, ticket);
    }

    fn remove(&self, purge: Purge) -> StoreFuture<'_, PurgeOutcome> {
        drop(self.0.remove(purge));
        StoreFuture::new(std::future::pending())
    }

    fn entry_limit(&self) -> u64 {
        self.0.entry_limit()
    }

    fn memory_limit(&self) -> u64 {
        self.0.memory_limit()
    }
}

#[tokio::test(start_paused = true)]
async fn changes_invalidate_even_if_the_client_leaves() {
    let lines = "cache-control: max-age=60|location: /named";
    let origin = service_fn(async move |_| Ok(response(200, lines, Body::from("body"))));
    let store = SlowRemoval(MemoryStore::new(1 << 20));
    let stack = stack(&CacheLayer::new(store).with_name(NAME), origin);
    for target in ["/named", "/"] {
        status_of(&stack, target).await;
    }
    let change = stack.clone().oneshot(request("POST", "/", ""));
    assert!(time::timeout(Duration::from_secs(1), change).await.is_err());
    for target in ["/named", "/"] {
        assert_eq!(status_of(&stack, target).await, "fwd=uri-miss; stored");
    }
}

/// An empty store that other processes change.
#[derive(Clone, Default)]
struct Changing(Arc<AtomicUsize>);

impl Store for Changing {
    fn find<'a>(&'a self, _: &'a Key, _: &'a HeaderMap) -> StoreFuture<'a, Found> {
        StoreFuture::ready(Found {
            ticket: Ticket::new(self.0.load(Ordering::SeqCst).to_string()),
            ..Found::default()
        })
    }

    fn put(&self, _: &Key, _: Arc<Entry>, _: Ticket) {}

    fn remove(&self, _: Purge) -> StoreFuture<'_, PurgeOutcome> {
        StoreFuture::ready(PurgeOutcome::Complete)
    }

    fn entry_limit(&self) -> u64 {
        8
    }

    fn memory_limit(&self) -> u64 {
        1 << 20
    }

    fn is_shared(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn responses_older_than_a_change_by_another_process_are_not_shared() {
    for changes in [0, 1] {
        let changing = Changing::default();
        let count = Arc::new(AtomicUsize::new(0));
        let seen = count.clone();
        let origin = service_fn(move |_: Request<Body>| {
            seen.fetch_add(1, Ordering::SeqCst);
            async {
                time::sleep(Duration::from_millis(100)).await;
                Ok(response(200, A, Body::from("body")))
            }
        });
        let stack = stack(&CacheLayer::new(changing.clone()).with_name(NAME), origin);
        let clone = stack.clone();
        let before = tokio::spawn(async move { status_of(&clone, "/").await });
        time::sleep(Duration::from_millis(10)).await;
        changing.0.fetch_add(changes, Ordering::SeqCst);
        status_of(&stack, "/").await;
        before.await.expect("not cancelled");
        assert_eq!(count.load(Ordering::SeqCst), 1 + changes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_304_without_a_date_makes_a_response_fresh() {
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let lines: &'static str = format!("{TAG}|date: {date}").leak();
    let (stack, _) = with_origin(async move |request: Request<Body>| {
        Ok(if request.headers().contains_key("if-none-match") {
            response(304, "", Body::empty())
        } else {
            response(200, lines, Body::from("body"))
        })
    });
    status_of(&stack, "/").await;
    time::advance(Duration::from_secs(61)).await;
    assert_eq!(status_of(&stack, "/").await, "fwd=stale; fwd-status=304");
    assert_eq!(status_of(&stack, "/").await, "hit");
}

#[tokio::test(start_paused = true)]
async fn changes_with_an_unread_response_invalidate() {
    let (stack, _) = cached(200, A);
    status_of(&stack, "/").await;
    let change = stack.clone().oneshot(request("PUT", "/", ""));
    assert!(
        time::timeout(Duration::from_millis(50), change)
            .await
            .is_err()
    );
    assert_eq!(status_of(&stack, "/").await, "fwd=uri-miss; stored");
}

#[tokio::test(start_paused = true)]
async fn responses_older_than_a_change_are_not_stored() {
    let (stack, _) = cached(200, A);
    let changing = tokio::spawn(stack.clone().oneshot(request("PUT", "/", "")));
    time::sleep(Duration::from_millis(50)).await;
    let clone = stack.clone();
    let slow = tokio::spawn(async move { status_of(&clone, "/").await });
    assert!(changing.await.expect("not cancelled").is_ok());
    slow.await.expect("not cancelled");
    assert_eq!(status_of(&stack, "/").await, "fwd=uri-miss; stored");
}

#[tokio::test(start_paused = true)]
async fn waiters_take_over_after_leader_failure_or_timeout() {
    for (after, error, requests) in [(1, true, 2), (60, false, 2)] {
        let count = Arc::new(AtomicUsize::new(0));
        let seen = count.clone();
        let (stack, _) = with_origin(move |_| {
            let first = seen.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                if first {
                    time::sleep(Duration::from_secs(after)).await;
                    if error {
                        return Err(BoxError::from("unreachable"));
                    }
                }
                Ok(response(200, A, Body::from("body")))
            }
        });
        let leader = tokio::spawn(stack.clone().oneshot(request("GET", "/", "")));
        time::sleep(Duration::from_millis(10)).await;
        let start = time::Instant::now();
        assert!(status_of(&stack, "/").await.starts_with("fwd=uri-miss"));
        assert!(start.elapsed() < Duration::from_secs(6));
        assert_eq!(count.load(Ordering::SeqCst), requests);
        leader.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn variants_of_a_new_url_do_not_wait_for_each_other() {
    let (stack, _) = cached(200, "cache-control: max-age=60|vary: a");
    let start = time::Instant::now();
    let all: Vec<_> = (0..10)
        .map(|number| {
            let request = request("GET", "/", &format!("a: {number}"));
            let clone = stack.clone();
            tokio::spawn(async move { send(&clone, request).await })
        })
        .collect();
    for one in all {
        one.await.expect("not cancelled");
    }
    assert!(
        start.elapsed() < Duration::from_millis(300),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_304_for_another_tag_is_ignored() {
    let (stack, _) = with_origin(async |request: Request<Body>| {
        Ok(if request.headers().contains_key("if-none-match") {
            response(304, "etag: \"other\"", Body::empty())
        } else {
            response(200, TAG, Body::from("body"))
        })
    });
    status_of(&stack, "/").await;
    time::advance(Duration::from_secs(61)).await;
    let (head, body) = send(&stack, request("GET", "/", "")).await;
    assert_eq!((status(&head), &*body), ("fwd=stale; stored", "body"));
}
