//! An origin that reads requests as S3 does: it decodes once, and records the objects that it would touch.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode};
use http::request::Parts;
use tokio::net::TcpListener;

use crate::touches::{Touch, touches};

/// A request that has arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) touches: Vec<Touch>,
}

#[derive(Clone)]
pub(crate) struct ObjectOrigin {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Arrived>>>,
}

impl ObjectOrigin {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let origin = Self {
            address: listener.local_addr().expect("an address"),
            seen: Arc::default(),
        };
        let router = Router::new().fallback(handle).with_state(origin.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        origin
    }

    /// Returns the requests since the last call.
    pub(crate) fn take(&self) -> Vec<Arrived> {
        std::mem::take(&mut self.seen.lock().expect("not poisoned"))
    }
}

async fn handle(
    State(origin): State<ObjectOrigin>,
    head: Parts,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let touches = touches(&head, &String::from_utf8_lossy(&body));
    let arrived = Arrived { touches };
    origin.seen.lock().expect("not poisoned").push(arrived);
    (StatusCode::OK, "touched")
}
