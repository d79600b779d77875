//! Origin that verifies signatures.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Extension, Router, extract::State, response::IntoResponse};
use http::{HeaderMap, header};
use tokio::net::TcpListener;
use tower_sigv4::{
    VerifyLayer,
    verify::{KeyRequest, Verified, VerifySettings},
};

use super::Keys;
use crate::REGION;

/// Origin that responds with the access key ID of the signature.
pub struct Origin {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
struct OriginState {
    cache_control: &'static str,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Origin {
    pub async fn start(keys: Keys) -> Self {
        Self::cacheable(keys, "no-store").await
    }

    pub async fn cacheable(keys: Keys, cache_control: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let state = OriginState {
            cache_control,
            seen: seen.clone(),
        };
        let lookup = move |request: KeyRequest<'static>| {
            let found = keys.find(request.access_key_id());
            async move { Ok::<_, std::convert::Infallible>(found) }
        };
        let settings = VerifySettings::new("execute-api", REGION).expect("a scope");
        let router = Router::new()
            .fallback(respond)
            .with_state(state)
            .layer(VerifyLayer::new(lookup, settings));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, seen }
    }

    /// Returns the access key IDs of the requests so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("not poisoned").clone()
    }

    /// Returns the different access key IDs, in the order of their first request.
    pub fn different(&self) -> Vec<String> {
        let mut ids = Vec::new();
        for id in self.seen() {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }
}

async fn respond(
    State(state): State<OriginState>,
    Extension(caller): Extension<Verified>,
) -> impl IntoResponse {
    let id = caller.access_key_id().to_owned();
    state.seen.lock().expect("not poisoned").push(id.clone());
    let mut headers = HeaderMap::new();
    let value = state.cache_control.parse().expect("a header value");
    headers.insert(header::CACHE_CONTROL, value);
    (headers, id)
}
