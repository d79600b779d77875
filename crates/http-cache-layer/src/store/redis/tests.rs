use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response};
use tokio::{net::TcpListener, time::Instant};

use super::{Redis, RedisStore, encoding};
use crate::{
    entry::Entry,
    key::{Key, Partition},
    store::Backend,
};

fn entry() -> Entry {
    let request = Request::get("/")
        .header("cookie", "secret=1")
        .body(())
        .expect("a request");
    let response = Response::builder().header("cache-control", "public, max-age=60");
    let response = response
        .header("vary", "cookie")
        .header("x", "y")
        .body(())
        .expect("a response");
    let (request, response) = (request.into_parts().0, response.into_parts().0);
    let entry = Entry::from_response(Partition::new(""), &request, &response, SystemTime::now());
    entry
        .expect("storable")
        .with_body(Bytes::from("body").into())
}

#[test]
fn only_encoded_entries_are_decoded() {
    let (entry, now) = (entry(), SystemTime::now());
    let bytes = Bytes::from(encoding::encode(&entry).expect("bytes"));
    assert!(!String::from_utf8_lossy(&bytes).contains("secret"));
    let read = encoding::decode(&bytes, now).expect("an entry");
    assert!(read.replaces(&entry));
    let body = |entry: &Entry| entry.body.iter().flatten().copied().collect::<Vec<_>>();
    assert_eq!(
        (body(&read), read.head.headers),
        (body(&entry), entry.head.headers)
    );
    assert!(
        encoding::decode(&bytes, now - Duration::from_secs(60)).is_none(),
        "the future"
    );
    for length in 0..bytes.len() {
        assert!(
            encoding::decode(&bytes.slice(..length), now).is_none(),
            "{length}"
        );
    }
    for place in 0..bytes.len() {
        let mut broken = bytes.to_vec();
        broken[place] ^= 0xff;
        drop(encoding::decode(&broken.into(), now)); // it does not panic
    }
    let other = Bytes::from([&[2], &bytes[1..]].concat());
    assert!(encoding::decode(&other, now).is_none(), "another version");
}

#[tokio::test]
async fn only_one_request_waits_for_a_silent_server() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!(
        "redis://:password@{}",
        silent.local_addr().expect("an address")
    );
    let store = RedisStore::new(&url).expect("a URL");
    let redis = Redis::new(store.with_timeout(Duration::from_millis(50)));
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
