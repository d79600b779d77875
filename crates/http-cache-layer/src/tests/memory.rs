//! Memory: stored responses own their bytes, and are counted with their real cost.

use std::{env, process::Command, time::SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, header::ACCEPT};
use http_body_util::StreamBody;

use super::*;
use crate::{
    Entry, Key, Purge, Store, Ticket, key::Partition, store::MAX_VARIANTS, stored_body::BodyCopy,
};

/// glibc's header, and half of a step.
const HEADER: u64 = 16;

fn entry(lines: &str, body: usize) -> Entry {
    let (request, ()) = Request::get("/")
        .header("accept", "a")
        .body(())
        .expect("valid")
        .into_parts();
    let (parts, _) = response(200, lines, Body::empty()).into_parts();
    let entry = Entry::from_response(&Key::new("h", "/"), &request, &parts, SystemTime::now())
        .expect("storable");
    let mut copy = BodyCopy::default();
    copy.push(&vec![7; body]);
    entry.with_body(copy.finish())
}

/// Bytes that the heap grows by, with what the allocator adds.
fn allocated_by(work: impl FnOnce()) -> u64 {
    let info = allocation_counter::measure(work);
    let (bytes, count) = (info.bytes_current, info.count_current);
    u64::try_from(bytes).expect("it grows") + HEADER * u64::try_from(count).expect("it grows")
}

#[test]
fn the_size_of_an_entry_is_its_memory() {
    let many: String = (0..60)
        .map(|number| format!("|x-header-{number}: value"))
        .collect();
    let repeated = "|link: </style.css>; rel=preload".repeat(40);
    let directives: String = (0..100).map(|number| format!(", d{number}=1")).collect();
    let long = format!("{A}|x: {}", "x".repeat(30_000));
    for (name, lines, body) in [
        ("one byte", A.to_owned(), 1),
        (
            "usual headers",
            format!("{A}|vary: accept, accept-encoding|etag: \"e\"|date: x|server: s"),
            1,
        ),
        ("many headers", format!("{A}{many}"), 100),
        ("a repeated header", format!("{A}{repeated}"), 0),
        ("many directives", format!("{A}{directives}"), 0),
        ("a long header", long, 10),
        ("a large body", A.to_owned(), 100_000),
    ] {
        let mut counted = 0;
        let allocated = allocated_by(|| {
            let entry = Arc::new(entry(&lines, body));
            drop(entry.head.headers.clone()); // as a hit does
            entry.body.iter().cloned().for_each(drop);
            counted = entry.size() as u64;
            std::mem::forget(entry);
        });
        assert!(
            counted >= allocated,
            "{name}: allocated {allocated}, counted {counted}"
        );
        assert!(
            counted <= 2 * allocated,
            "{name}: allocated {allocated}, counted {counted}"
        );
    }
}

/// Runs in a process of its own: moka frees its old tables later while other tests use moka too.
#[test]
fn the_size_of_a_slot_is_its_memory() {
    const ENTRIES: u64 = 5000;
    if env::var_os("RUNS_ALONE").is_none() {
        let mut alone = Command::new(env::current_exe().expect("a path"));
        alone.args(["--exact", "tests::memory::the_size_of_a_slot_is_its_memory"]);
        let result = alone.env("RUNS_ALONE", "1").output();
        let output = result.expect("the test starts");
        let log = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && log.contains("1 passed"), "{log}");
        return;
    }
    let memory = MemoryStore::new(1 << 30);
    let entry = Arc::new(entry(A, 1));
    let all = allocated_by(|| {
        for number in 0..ENTRIES {
            memory.put(
                &Key::new("h", &format!("/{number:08}")),
                entry.clone(),
                Ticket::default(),
            );
        }
    });
    let counted = memory.weight() / ENTRIES - entry.size() as u64;
    let slot = all / ENTRIES;
    assert!(
        counted >= slot && counted <= 2 * slot,
        "allocated {slot}, counted {counted}"
    );
}

/// A value of a message that hyper has parsed is a slice of its read buffer.
#[tokio::test]
async fn stored_responses_do_not_hold_the_read_buffer() {
    let buffer = Bytes::from(b"max-age=60 accept \"tag\" body".repeat(10_000));
    let read = buffer.clone();
    let layer = layer(1 << 20, 1000);
    let origin = service_fn(move |_: Request<Body>| {
        let value = |at| HeaderValue::from_maybe_shared(read.slice(at)).expect("a value");
        let frame = Ok::<_, BoxError>(Frame::data(read.slice(24..28)));
        let mut response = Response::new(Body::new(StreamBody::new(tokio_stream::iter([frame]))));
        let headers = response.headers_mut();
        headers.insert("cache-control", value(0..10));
        headers.insert("vary", value(11..17));
        headers.insert("etag", value(18..23));
        headers.insert(HeaderName::from_static("x-custom"), value(24..28));
        async { Ok::<_, BoxError>(response) }
    });
    let stack = stack(&layer, origin);
    send(&stack, request("GET", "/", "accept: a")).await;
    drop(stack);
    let key = Key::new("h", "/").with_partition(Partition::new(""));
    let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("a"))]);
    let found = layer.store().find(&key, &headers).await;
    let stored = found.entry.expect("stored");
    assert_eq!(stored.head.headers["etag"], "\"tag\"");
    assert_eq!(stored.body.iter().collect::<Vec<_>>(), ["body"]);
    assert!(buffer.is_unique());
}

#[tokio::test]
async fn the_limit_includes_copies_and_evicted_entries_in_use() {
    const LARGE: usize = 200_000;
    const MOST: u64 = 3 * LARGE as u64 + 20_000 + 64 * 1024;
    let origin = service_fn(async |_: Request<Body>| {
        let frame = || Ok::<_, BoxError>(Frame::data(Bytes::from(vec![1; LARGE / 2])));
        let frames = [frame(), frame()];
        Ok::<_, BoxError>(response(
            200,
            A,
            Body::new(StreamBody::new(tokio_stream::iter(frames))),
        ))
    });
    let layer = layer(2 * LARGE as u64 + 20_000, LARGE as u64);
    let stack = stack(&layer, origin);
    let mut unread = Vec::new();
    for number in 0..10 {
        let get = || request("GET", &format!("/{number}"), "");
        let mut first = stack.clone().oneshot(get()).await.expect("a response");
        first
            .body_mut()
            .frame()
            .await
            .expect("a frame")
            .expect("data");
        if number % 2 == 0 {
            unread.push(first); // a copy in progress
        } else {
            first.into_body().collect().await.expect("complete body");
            unread.push(stack.clone().oneshot(get()).await.expect("a response"));
        }
        assert!(
            layer.shared().limit.used() <= MOST,
            "{}",
            layer.shared().limit.used()
        );
    }
    let get = async || status(&send(&stack, request("GET", "/later", "")).await.0).to_owned();
    for _ in 0..2 {
        assert_eq!(get().await, "fwd=uri-miss; stored"); // in fact not stored: the limit is reached
    }
    drop(unread);
    get().await;
    assert_eq!(get().await, "hit");
}

#[tokio::test]
async fn eviction_releases_memory_immediately() {
    let origin = service_fn(async |_: Request<Body>| {
        let frames = [Ok::<_, BoxError>(Frame::data(Bytes::from(vec![
            1;
            100_000
        ])))];
        Ok::<_, BoxError>(response(
            200,
            A,
            Body::new(StreamBody::new(tokio_stream::iter(frames))),
        ))
    });
    let layer = layer(1 << 20, 200_000);
    let stack = stack(&layer, origin);
    for number in 0..50 {
        send(&stack, request("GET", &format!("/{number}"), "")).await;
        assert!(
            layer.shared().limit.used() <= 1 << 20,
            "{number}: {}",
            layer.shared().limit.used()
        );
    }
    layer.purge(Purge::All).await;
    assert_eq!(layer.shared().limit.used(), 0);
}

#[tokio::test]
async fn memory_is_bounded() {
    let (memory, limit) = (MemoryStore::new(100_000), 100_000);
    for number in 0..1000 {
        let key = Key::new("h", &format!("/{number}"));
        memory.put(&key, Arc::new(entry(A, 1000)), Ticket::default());
        assert!(memory.weight() <= limit);
    }
    assert!(memory.weight() > limit / 2);
    let stats = memory.stats();
    assert!(stats.stored == 1000 && stats.evicted > 900, "{stats:?}");
}

#[tokio::test]
async fn a_large_response_is_stored_among_many_small_ones() {
    const MEMORY: u64 = 400_000;
    let memory = MemoryStore::new(MEMORY);
    let put = |path: &str, body: usize| {
        let stored = Arc::new(entry(A, body));
        memory.put(&Key::new("h", path), stored, Ticket::default());
    };
    for number in 0..1000 {
        put(&format!("/{number}"), 1000);
    }
    put("/large", 100_000);
    assert!(memory.weight() <= MEMORY);
    let large = Key::new("h", "/large");
    let found = memory.find(&large, &HeaderMap::new()).await;
    assert!(found.entry.is_some());
}

#[tokio::test(start_paused = true)]
async fn variants_that_are_requested_once_do_not_evict_those_in_use() {
    const IN_USE: usize = MAX_VARIANTS / 2;
    let (stack, _) = cached(200, "cache-control: max-age=60|vary: a");
    let get = async |number: usize| {
        let variant = format!("a: {number}");
        let (head, _) = send(&stack, request("GET", "/", &variant)).await;
        status(&head).to_owned()
    };
    for _ in 0..2 {
        for number in 0..IN_USE {
            get(number).await;
        }
    }
    for number in MAX_VARIANTS..4 * MAX_VARIANTS {
        assert!(get(number).await.ends_with("stored"));
    }
    for number in 0..IN_USE {
        assert_eq!(get(number).await, "hit", "{number}");
    }
    assert_eq!(get(4 * MAX_VARIANTS - 1).await, "hit");
    assert_eq!(get(MAX_VARIANTS).await, "fwd=vary-miss; stored");
}

#[tokio::test]
async fn a_removal_of_a_url_includes_its_parts_and_identities_and_no_other_url() {
    let memory = MemoryStore::new(1 << 20);
    let url = Key::new("h", "/a");
    let keys = [
        url.clone(),
        url.clone().with_part(b"https"),
        url.clone().with_identity(b"alice"),
        url.clone().with_identity(b"bob"),
    ];
    let other = Key::new("h", "/b").with_identity(b"alice");
    let none = HeaderMap::new();
    let (request, ()) = Request::new(()).into_parts();
    let (parts, _) = response(200, A, Body::empty()).into_parts();
    let put = |key: &Key| {
        let entry = Entry::from_response(key, &request, &parts, SystemTime::now());
        memory.put(key, Arc::new(entry.expect("storable")), Ticket::default());
    };
    let found = async |key: &Key| memory.find(key, &none).await.entry.is_some();
    for round in 0..3 {
        put(&other);
        for key in &keys {
            assert!(!found(key).await, "{round}: {key:?}");
            put(key);
        }
        for key in &keys {
            assert!(found(key).await, "{round}: {key:?}");
        }
        let purge = if round == 0 {
            Purge::Url(keys[3].clone())
        } else {
            Purge::prefix("H", "/a")
        };
        memory.remove(purge).await;
        assert!(found(&other).await, "{round}");
    }
}

#[tokio::test]
async fn a_purge_removes_the_urls_of_its_host_or_prefix() {
    const URLS: [(&str, &str); 5] = [
        ("h", "/a"),
        ("h", "/ab?x=1"),
        ("h", "/b"),
        ("h:81", "/a"),
        ("i", "/a"),
    ];
    for (purge, kept) in [
        (Purge::url("h", "/a"), vec![1, 2, 3, 4]),
        (Purge::prefix("H", "/a"), vec![2, 3, 4]),
        (Purge::prefix("h", "/ab?"), vec![0, 2, 3, 4]),
        (Purge::host("H"), vec![3, 4]),
        (Purge::host("h:81"), vec![0, 1, 2, 4]),
        (Purge::All, vec![]),
    ] {
        let memory = MemoryStore::new(1 << 20);
        let entry = Arc::new(entry(A, 1));
        for (host, target) in URLS {
            memory.put(&Key::new(host, target), entry.clone(), Ticket::default());
        }
        memory.remove(purge.clone()).await;
        let mut found = Vec::new();
        for (index, (host, target)) in URLS.into_iter().enumerate() {
            let key = Key::new(host, target);
            if memory.find(&key, &HeaderMap::new()).await.vary.is_some() {
                found.push(index);
            }
        }
        assert_eq!(found, kept, "{purge:?}");
    }
}
