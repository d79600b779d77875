use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use http::{Request, Response};
use tokio::{net::TcpListener, time::Instant};

use super::{Redis, stored};
use crate::cache::{Key, entry::Entry, key::RouteId, store::Store};

fn entry() -> Entry {
    let request = Request::get("/")
        .header("cookie", "secret=1")
        .body(())
        .expect("a request");
    let answer = Response::builder().header("cache-control", "public, max-age=60");
    let answer = answer
        .header("vary", "cookie")
        .header("x", "y")
        .body(())
        .expect("an answer");
    let (request, answer) = (request.into_parts().0, answer.into_parts().0);
    let entry = Entry::of(RouteId::of(""), &request, &answer, SystemTime::now());
    entry
        .expect("it may be stored")
        .with_body(Bytes::from("body").into())
}

#[test]
fn what_is_stored_is_read_and_anything_else_is_not() {
    let (entry, now) = (entry(), SystemTime::now());
    let bytes = Bytes::from(stored::to_bytes(&entry).expect("bytes"));
    assert!(!String::from_utf8_lossy(&bytes).contains("secret"));
    let read = stored::from_bytes(&bytes, now).expect("an entry");
    assert!(read.replaces(&entry));
    let body = |entry: &Entry| entry.body.iter().flatten().copied().collect::<Vec<_>>();
    assert_eq!(
        (body(&read), read.head.headers),
        (body(&entry), entry.head.headers)
    );
    assert!(
        stored::from_bytes(&bytes, now - Duration::from_secs(60)).is_none(),
        "the future"
    );
    for length in 0..bytes.len() {
        assert!(
            stored::from_bytes(&bytes.slice(..length), now).is_none(),
            "{length}"
        );
    }
    for place in 0..bytes.len() {
        let mut broken = bytes.to_vec();
        broken[place] ^= 0xff;
        drop(stored::from_bytes(&broken.into(), now)); // it does not panic
    }
    let other = Bytes::from([&[2], &bytes[1..]].concat());
    assert!(stored::from_bytes(&other, now).is_none(), "another version");
}

#[tokio::test]
async fn a_redis_that_is_silent_is_waited_for_once() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!(
        "redis://:password@{}",
        silent.local_addr().expect("an address")
    );
    let redis = Redis::new(&url, "test", Duration::from_millis(50)).expect("a URL");
    let start = Instant::now();
    for _ in 0..100 {
        assert!(redis.find(&Key::new("h", "/")).await.variants.is_none());
    }
    assert!(
        start.elapsed() < Duration::from_millis(900),
        "{:?}",
        start.elapsed()
    );
}
