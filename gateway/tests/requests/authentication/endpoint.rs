//! Keys endpoint in place of an operator's.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::post,
};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore};

/// Value of `authorization` that the endpoint requires.
pub(super) const AUTHORIZATION: &str = "Bearer secret-of-the-gateway";

#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    state: Arc<EndpointState>,
}

struct EndpointState {
    keys: Mutex<HashMap<String, Value>>,
    /// Response in place of a key.
    failure: Mutex<Option<(StatusCode, &'static str)>>,
    queries: Mutex<Vec<Value>>,
    /// Calls wait for a permit.
    permits: Semaphore,
}

impl Endpoint {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let state = Arc::new(EndpointState {
            keys: Mutex::default(),
            failure: Mutex::default(),
            queries: Mutex::default(),
            permits: Semaphore::new(Semaphore::MAX_PERMITS),
        });
        let endpoint = Self {
            address: listener.local_addr().expect("an address"),
            state: state.clone(),
        };
        let router = Router::new()
            .route("/lookup", post(lookup))
            .with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await });
        endpoint
    }

    /// Returns the gateway's table, with a variable `KEYS_AUTHORIZATION`.
    pub(super) fn table(&self, more: &str) -> String {
        format!(
            "[verify.keys_endpoint]\nurl = \"http://{}/lookup\"\nauthorization = \"env:KEYS_AUTHORIZATION\"\n{more}",
            self.address
        )
    }

    pub(super) fn add(&self, id: &str, key: Value) {
        let mut keys = self.state.keys.lock().expect("not poisoned");
        keys.insert(id.to_owned(), key);
    }

    /// Adds a key with the secret of all tests.
    pub(super) fn add_key(&self, id: &str) {
        self.add(id, json!({ "secret_access_key": super::SECRET }));
    }

    pub(super) fn remove(&self, id: &str) {
        self.state.keys.lock().expect("not poisoned").remove(id);
    }

    pub(super) fn fail_with(&self, failure: Option<(StatusCode, &'static str)>) {
        *self.state.failure.lock().expect("not poisoned") = failure;
    }

    pub(super) fn queries(&self) -> Vec<Value> {
        self.state.queries.lock().expect("not poisoned").clone()
    }

    /// Lets calls wait until [`Endpoint::resume`].
    pub(super) fn pause(&self) {
        self.state.permits.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(super) fn resume(&self) {
        self.state.permits.add_permits(1000);
    }
}

async fn lookup(
    State(state): State<Arc<EndpointState>>,
    headers: HeaderMap,
    Json(query): Json<Value>,
) -> Response {
    let id = query["access_key_id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    state.queries.lock().expect("not poisoned").push(query);
    let _permit = state.permits.acquire().await;
    if headers
        .get("authorization")
        .is_none_or(|it| it != AUTHORIZATION)
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if let Some(failure) = *state.failure.lock().expect("not poisoned") {
        return failure.into_response();
    }
    match state.keys.lock().expect("not poisoned").get(&id) {
        Some(key) => Json(key).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
