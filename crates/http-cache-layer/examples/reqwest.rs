//! A reqwest client whose responses are cached.
//!
//! It sends two requests to a server of its own: `cargo run -p http-cache-layer --example reqwest`.

use axum::{Router, http::header, routing::get};
use http::{Request, Response};
use http_body_util::BodyExt;
use http_cache_layer::{CacheLayer, CacheStatus, MemoryStore};
use reqwest::{Body, Client};
use tokio::net::TcpListener;
use tower::{BoxError, ServiceBuilder, ServiceExt};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let hello = async || ([(header::CACHE_CONTROL, "max-age=60")], "hello");
    let server = axum::serve(listener, Router::new().route("/", get(hello)));
    tokio::spawn(server.into_future());

    let client = Client::new();
    let service = ServiceBuilder::new()
        .layer(CacheLayer::new(MemoryStore::new(64 * 1024 * 1024)))
        .service_fn(move |request: Request<Body>| {
            let sender = client.clone();
            async move {
                let response = sender.execute(request.try_into()?).await?;
                Ok::<_, BoxError>(Response::<Body>::from(response))
            }
        });
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        let request = Request::get(&url).body(Body::default())?;
        let response = service.clone().oneshot(request).await?;
        outcomes.extend(response.extensions().get::<CacheStatus>().copied());
        // A response is stored once its body is complete.
        let text = response.into_body().collect().await?.to_bytes();
        println!("{}", String::from_utf8_lossy(&text));
    }
    println!("{outcomes:?}");
    assert_eq!(outcomes.last(), Some(&CacheStatus::Hit));
    Ok(())
}
