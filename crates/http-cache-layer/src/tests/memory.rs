//! Memory that the cache holds: stored responses own their bytes and are counted with their real cost.

use std::time::SystemTime;

use http::{HeaderName, HeaderValue};
use http_body_util::StreamBody;

use super::*;
use crate::cache::{
    Key, cost,
    entry::Entry,
    key::RouteId,
    pieces::Copying,
    redis::Ticket,
    store::{Memory, Store},
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
    let entry = Entry::of(RouteId::of(""), &request, &parts, SystemTime::now()).expect("storable");
    let mut copying = Copying::default();
    copying.push(&vec![7; body]);
    entry.with_body(copying.finish())
}

/// Bytes that the heap grows by, with what the allocator adds.
fn taken(work: impl FnOnce()) -> u64 {
    let info = allocation_counter::measure(work);
    let (bytes, count) = (info.bytes_current, info.count_current);
    u64::try_from(bytes).expect("it grows") + HEADER * u64::try_from(count).expect("it grows")
}

#[test]
fn an_entry_is_counted_with_the_memory_that_it_takes() {
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
        let entry_taken = taken(|| {
            let entry = Arc::new(entry(&lines, body));
            drop(entry.head.headers.clone()); // as a hit does
            entry.body.iter().cloned().for_each(drop);
            counted = entry.size() as u64;
            std::mem::forget(entry);
        });
        assert!(
            counted >= entry_taken,
            "{name}: takes {entry_taken}, counted {counted}"
        );
        assert!(
            counted <= 2 * entry_taken,
            "{name}: takes {entry_taken}, counted {counted}"
        );
    }
}

#[test]
fn a_place_in_the_store_is_counted_with_the_memory_that_it_takes() {
    const ENTRIES: u64 = 5000;
    let memory = Memory::new(1 << 30);
    let entry = Arc::new(entry(A, 1));
    let all = taken(|| {
        for number in 0..ENTRIES {
            memory.put(
                &Key::new("h", &format!("/{number:08}")),
                entry.clone(),
                Ticket::default(),
            );
        }
    });
    let list = cost::allocation(cost::COUNTS + size_of::<Arc<Entry>>());
    let counted = (cost::PLACE + Key::new("h", "/00000000").size() + list) as u64;
    let place = all / ENTRIES;
    assert!(
        counted >= place && counted <= 2 * place,
        "takes {place}, counted {counted}"
    );
}

/// A value of a message that hyper has parsed is a slice of its read buffer.
#[tokio::test]
async fn a_stored_response_holds_none_of_the_buffer_that_it_was_read_into() {
    let buffer = Bytes::from(b"max-age=60 accept \"tag\" body".repeat(10_000));
    let (read, shared) = (buffer.clone(), Shared::in_memory(1 << 20, 1000));
    let origin = service_fn(move |_: Request<Body>| {
        let value = |at| HeaderValue::from_maybe_shared(read.slice(at)).expect("a value");
        let piece = Ok::<_, BoxError>(Frame::data(read.slice(24..28)));
        let mut response = Response::new(Body::new(StreamBody::new(tokio_stream::iter([piece]))));
        let headers = response.headers_mut();
        headers.insert("cache-control", value(0..10));
        headers.insert("vary", value(11..17));
        headers.insert("etag", value(18..23));
        headers.insert(HeaderName::from_static("x-custom"), value(24..28));
        async { Ok::<_, BoxError>(response) }
    });
    let stack: Stack = BoxCloneSyncService::new(shared.layer("").layer(origin));
    send(&stack, request("GET", "/", "")).await;
    drop(stack);
    let found = shared
        .store
        .find(&Key::new("h", "/"))
        .await
        .variants
        .expect("stored");
    assert_eq!(found[0].head.headers["etag"], "\"tag\"");
    assert_eq!(found[0].body.iter().collect::<Vec<_>>(), ["body"]);
    assert!(buffer.is_unique());
}

#[tokio::test]
async fn copies_in_progress_and_evicted_entries_that_are_read_count() {
    const LARGE: usize = 200_000;
    const MOST: u64 = 3 * LARGE as u64 + 20_000 + 64 * 1024;
    let origin = service_fn(async |_: Request<Body>| {
        let piece = || Ok::<_, BoxError>(Frame::data(Bytes::from(vec![1; LARGE / 2])));
        let pieces = [piece(), piece()];
        Ok::<_, BoxError>(response(
            200,
            A,
            Body::new(StreamBody::new(tokio_stream::iter(pieces))),
        ))
    });
    let shared = Shared::in_memory(2 * LARGE as u64 + 20_000, LARGE as u64);
    let stack: Stack = BoxCloneSyncService::new(shared.layer("").layer(origin));
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
            unread.push(first); // in the middle of its copy
        } else {
            first.into_body().collect().await.expect("whole");
            unread.push(stack.clone().oneshot(get()).await.expect("a response"));
        }
        assert!(shared.limit.used() <= MOST, "{}", shared.limit.used());
    }
    let get = async || told(&send(&stack, request("GET", "/later", "")).await.0).to_owned();
    for _ in 0..2 {
        assert_eq!(get().await, "fwd=uri-miss; stored"); // but it was not, for want of memory
    }
    drop(unread);
    get().await;
    assert_eq!(get().await, "hit");
}

#[tokio::test]
async fn an_evicted_entry_gives_its_memory_back_at_once() {
    let origin = service_fn(async |_: Request<Body>| {
        let pieces = [Ok::<_, BoxError>(Frame::data(Bytes::from(vec![
            1;
            100_000
        ])))];
        Ok::<_, BoxError>(response(
            200,
            A,
            Body::new(StreamBody::new(tokio_stream::iter(pieces))),
        ))
    });
    let shared = Shared::in_memory(1 << 20, 200_000);
    let stack: Stack = BoxCloneSyncService::new(shared.layer("").layer(origin));
    for number in 0..50 {
        send(&stack, request("GET", &format!("/{number}"), "")).await;
        assert!(
            shared.limit.used() <= 1 << 20,
            "{number}: {}",
            shared.limit.used()
        );
    }
    shared.clear().await;
    assert_eq!(shared.limit.used(), 0);
}
