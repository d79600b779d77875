//! Changes of what is stored, and requests that wait for others.

use super::*;
use crate::cache::{
    Clock, Key,
    entry::Entry,
    memory::Limit,
    redis::Ticket,
    store::{Found, Memory, Soon, Store},
};

/// A stack whose origin does as it is told, and what it shares.
fn shared<F>(origin: impl Fn(Request<Body>) -> F + Clone + Send + Sync + 'static) -> (Stack, Shared)
where
    F: Future<Output = Result<Response, BoxError>> + Send + 'static,
{
    let shared = Shared::in_memory(1 << 20, 8);
    (
        BoxCloneSyncService::new(shared.layer("").layer(service_fn(origin))),
        shared,
    )
}

async fn says(stack: &Stack, target: &str) -> String {
    told(&send(stack, request("GET", target, "")).await.0).to_owned()
}

#[tokio::test]
async fn purging_forgets_one_url_and_clearing_all() {
    let (stack, shared) = shared(async |_| Ok(response(200, A, Body::from("body"))));
    for target in ["/a?b", "/c"] {
        says(&stack, target).await;
    }
    shared.purge("H", "/a?b").await;
    assert_eq!(says(&stack, "/c").await, "hit");
    assert_eq!(says(&stack, "/a?b").await, "fwd=uri-miss; stored");
    shared.clear().await;
    for target in ["/a?b", "/c"] {
        assert_eq!(says(&stack, target).await, "fwd=uri-miss; stored");
    }
}

#[tokio::test]
async fn a_change_goes_for_what_it_names_on_the_same_host() {
    let lines =
        "cache-control: max-age=60|location: http://h/named|content-location: ../other|x: y";
    let (stack, _) = shared(move |_| async move { Ok(response(200, lines, Body::from("body"))) });
    let targets = ["/named", "/other", "/d/e", "/d/f"];
    for target in targets {
        says(&stack, target).await;
    }
    send(&stack, request("POST", "/d/e", "")).await;
    let mut hits = Vec::new();
    for target in targets {
        hits.push(says(&stack, target).await == "hit");
    }
    assert_eq!(hits, [false, false, false, true]);
    let mut head = http::HeaderMap::new();
    head.insert(
        "location",
        http::HeaderValue::from_static("http://elsewhere/a"),
    );
    assert_eq!(Key::new("h", "/").related(&head).count(), 0);
}

/// A store that is slow to remove.
struct Slow(Memory);

impl Store for Slow {
    fn find<'a>(&'a self, key: &'a Key) -> Soon<'a, Found> {
        self.0.find(key)
    }

    fn put(&self, key: &Key, entry: Arc<Entry>, ticket: Ticket) {
        self.0.put(key, entry, ticket);
    }

    fn remove(&self, key: Key) -> Soon<'_, ()> {
        drop(self.0.remove(key));
        Box::pin(std::future::pending())
    }

    fn clear(&self) -> Soon<'_, ()> {
        self.0.clear()
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_after_its_change_leaves_nothing_of_what_was_before() {
    let lines = "cache-control: max-age=60|location: /named";
    let origin = service_fn(async move |_| Ok(response(200, lines, Body::from("body"))));
    let clock = Clock::Steady(std::time::SystemTime::now(), time::Instant::now());
    let shared = Shared::new(
        Arc::new(Slow(Memory::new(1 << 20))),
        Limit::new(1 << 20),
        8,
        clock,
    );
    let stack: Stack = BoxCloneSyncService::new(shared.layer("").layer(origin));
    for target in ["/named", "/"] {
        says(&stack, target).await;
    }
    let change = stack.clone().oneshot(request("POST", "/", ""));
    assert!(time::timeout(Duration::from_secs(1), change).await.is_err());
    for target in ["/named", "/"] {
        assert_eq!(says(&stack, target).await, "fwd=uri-miss; stored");
    }
}

/// A store that holds nothing and that others change.
#[derive(Clone, Default)]
struct Changing(Arc<AtomicUsize>);

impl Store for Changing {
    fn find<'a>(&'a self, _: &'a Key) -> Soon<'a, Found> {
        let epoch = self.0.load(Ordering::SeqCst).to_string();
        let found = crate::cache::redis::found(epoch.into(), Default::default());
        Box::pin(std::future::ready(found))
    }

    fn put(&self, _: &Key, _: Arc<Entry>, _: Ticket) {}

    fn remove(&self, _: Key) -> Soon<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn clear(&self) -> Soon<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_after_a_change_through_another_gateway_is_not_handed_what_was_before() {
    for changes in [0, 1] {
        let changing = Changing::default();
        let shared = Shared::new(
            Arc::new(changing.clone()),
            Limit::new(1 << 20),
            8,
            Clock::Wall,
        );
        let count = Arc::new(AtomicUsize::new(0));
        let seen = count.clone();
        let origin = service_fn(move |_: Request<Body>| {
            seen.fetch_add(1, Ordering::SeqCst);
            async {
                time::sleep(Duration::from_millis(100)).await;
                Ok(response(200, A, Body::from("body")))
            }
        });
        let stack: Stack = BoxCloneSyncService::new(shared.layer("").layer(origin));
        let before = stack.clone();
        let before = tokio::spawn(async move { says(&before, "/").await });
        time::sleep(Duration::from_millis(10)).await;
        changing.0.fetch_add(changes, Ordering::SeqCst);
        says(&stack, "/").await;
        before.await.expect("not cancelled");
        assert_eq!(count.load(Ordering::SeqCst), 1 + changes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_304_without_a_date_makes_an_answer_young() {
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let lines: &'static str = format!("{TAG}|date: {date}").leak();
    let (stack, _) = shared(async move |request: Request<Body>| {
        Ok(match request.headers().contains_key("if-none-match") {
            true => response(304, "", Body::empty()),
            false => response(200, lines, Body::from("body")),
        })
    });
    says(&stack, "/").await;
    time::advance(Duration::from_secs(61)).await;
    assert_eq!(says(&stack, "/").await, "fwd=stale; fwd-status=304");
    assert_eq!(says(&stack, "/").await, "hit");
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_answer_nobody_hears_counts() {
    let (stack, _) = cached(200, A);
    says(&stack, "/").await;
    let change = stack.clone().oneshot(request("PUT", "/", ""));
    assert!(
        time::timeout(Duration::from_millis(50), change)
            .await
            .is_err()
    );
    assert_eq!(says(&stack, "/").await, "fwd=uri-miss; stored");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_older_than_a_change_is_not_stored() {
    let (stack, _) = cached(200, A);
    let changing = tokio::spawn(stack.clone().oneshot(request("PUT", "/", "")));
    time::sleep(Duration::from_millis(50)).await;
    let slow = stack.clone();
    let slow = tokio::spawn(async move { says(&slow, "/").await });
    assert!(changing.await.expect("not cancelled").is_ok());
    slow.await.expect("not cancelled");
    assert_eq!(says(&stack, "/").await, "fwd=uri-miss; stored");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_one_that_fails_goes_next_and_who_waits_long_goes_alone() {
    for (after, error, requests) in [(1, true, 2), (60, false, 2)] {
        let count = Arc::new(AtomicUsize::new(0));
        let seen = count.clone();
        let (stack, _) = shared(move |_| {
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
        assert!(says(&stack, "/").await.starts_with("fwd=uri-miss"));
        assert!(start.elapsed() < Duration::from_secs(6));
        assert_eq!(count.load(Ordering::SeqCst), requests);
        leader.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn variants_of_a_cold_url_do_not_wait_for_each_other_in_a_row() {
    let (stack, _) = cached(200, "cache-control: max-age=60|vary: a");
    let start = time::Instant::now();
    let all: Vec<_> = (0..10)
        .map(|number| {
            let request = request("GET", "/", &format!("a: {number}"));
            let stack = stack.clone();
            tokio::spawn(async move { send(&stack, request).await })
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
async fn a_304_about_another_answer_is_not_believed() {
    let (stack, _) = shared(async |request: Request<Body>| {
        Ok(match request.headers().contains_key("if-none-match") {
            true => response(304, "etag: \"other\"", Body::empty()),
            false => response(200, TAG, Body::from("body")),
        })
    });
    says(&stack, "/").await;
    time::advance(Duration::from_secs(61)).await;
    let (head, body) = send(&stack, request("GET", "/", "")).await;
    assert_eq!((told(&head), &*body), ("fwd=stale; stored", "body"));
}

#[tokio::test(start_paused = true)]
async fn of_many_variants_the_newest_are_kept() {
    use crate::cache::store::VARIANTS;
    let (stack, _) = cached(200, "cache-control: max-age=60|vary: a");
    for number in 0..=VARIANTS {
        send(&stack, request("GET", "/", &format!("a: {number}"))).await;
    }
    for (number, expected) in [(1, "hit"), (VARIANTS, "hit"), (0, "fwd=vary-miss; stored")] {
        let (head, _) = send(&stack, request("GET", "/", &format!("a: {number}"))).await;
        assert_eq!(told(&head), expected, "{number}");
    }
}

#[tokio::test]
async fn memory_is_bounded() {
    use crate::cache::key::RouteId;
    let (memory, limit) = (Memory::new(100_000), 100_000);
    let (head, _) = request("GET", "/", "").into_parts();
    let (answer, _) = response(200, A, Body::empty()).into_parts();
    for number in 0..1000 {
        let entry = Entry::of(
            RouteId::of(""),
            &head,
            &answer,
            std::time::SystemTime::now(),
        );
        let entry = entry
            .expect("it may be stored")
            .with_body(Bytes::from(vec![0; 1000]).into());
        memory.put(
            &Key::new("h", &format!("/{number}")),
            Arc::new(entry),
            Ticket::default(),
        );
    }
    memory.0.run_pending_tasks();
    assert!(memory.0.weighted_size() <= limit && memory.0.entry_count() > 10);
}
