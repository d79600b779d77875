//! Tests with a server that is scripted, and with a real one (ignored; `scripts/interop` runs them).

mod logins;
mod outages;
mod scripted;
mod server;
mod shared;

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};

use super::RedisStore;
use crate::{Entry, Key, Store, Ticket};

fn headers(lines: &str) -> HeaderMap {
    let fields = lines.split('|').filter_map(|line| line.split_once(": "));
    fields
        .map(|(name, value)| {
            let parsed = name.parse::<http::HeaderName>().expect("a name");
            (parsed, value.parse().expect("a value"))
        })
        .collect()
}

/// The response to a request, with these headers each.
fn entry(key: &Key, request: &str, response: &str, body: &str) -> Arc<Entry> {
    let (mut sent, ()) = Request::new(()).into_parts();
    sent.headers = headers(request);
    let (mut received, ()) = Response::new(()).into_parts();
    received.headers = headers(response);
    let entry = Entry::from_response(key, &sent, &received, SystemTime::now());
    let complete = entry
        .expect("storable")
        .with_body(Bytes::from(body.to_owned()).into());
    Arc::new(complete)
}

fn body(entry: &Entry) -> String {
    let bytes: Vec<u8> = entry.body.iter().flatten().copied().collect();
    String::from_utf8(bytes).expect("UTF-8")
}

const FRESH: &str = "cache-control: public, max-age=60";

async fn found(store: &RedisStore, key: &Key, request: &str) -> Option<String> {
    let found = store.find(key, &headers(request)).await;
    found.entry.map(|entry| body(&entry))
}

async fn ticket(store: &RedisStore, key: &Key) -> Ticket {
    let ticket = store.find(key, &HeaderMap::new()).await.ticket;
    assert!(ticket.state().is_some(), "the server responds");
    ticket
}
