//! An axum application whose responses are cached for ten seconds.
//!
//! `cargo run -p http-cache-layer --example axum`, then `curl -i http://127.0.0.1:8080/` twice.

use std::{io, time::SystemTime};

use axum::{Router, http::header, routing::get};
use http_cache_layer::{CacheLayer, MemoryStore};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> io::Result<()> {
    let store = MemoryStore::new(64 * 1024 * 1024).with_entry_limit(1024 * 1024);
    let cache = CacheLayer::new(store)
        .with_name("example")
        // URLs with credentials are never cached.
        .with_bypass(|head| {
            head.uri
                .query()
                .is_some_and(|query| query.contains("token="))
        });
    let app = Router::new().route("/", get(time)).layer(cache);
    axum::serve(TcpListener::bind("127.0.0.1:8080").await?, app).await
}

async fn time() -> ([(header::HeaderName, &'static str); 1], String) {
    let headers = [(header::CACHE_CONTROL, "max-age=10")];
    (headers, format!("{:?}\n", SystemTime::now()))
}
