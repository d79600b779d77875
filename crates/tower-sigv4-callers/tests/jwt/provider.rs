//! An identity provider on paper: an HTTP client that responds without a network.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tower_sigv4_callers::{BoxError, HttpClient};

use crate::{ISSUER, signing_key::SigningKey};

#[derive(Clone)]
pub(crate) struct Provider {
    state: Arc<Mutex<State>>,
}

pub(crate) struct State {
    pub(crate) discovery: String,
    pub(crate) jwks: String,
    pub(crate) cache_control: &'static str,
    pub(crate) status: StatusCode,
    /// Time until each response.
    pub(crate) delay: Duration,
    /// URLs of all requests.
    pub(crate) requests: Vec<String>,
}

impl Provider {
    /// Publishes these keys.
    pub(crate) fn new<'a>(keys: impl IntoIterator<Item = &'a SigningKey>) -> Self {
        let discovery = json!({
            "issuer": ISSUER,
            "jwks_uri": "https://keys.example.com/jwks.json",
        });
        let state = State {
            discovery: discovery.to_string(),
            jwks: jwks(keys),
            cache_control: "public, max-age=1000",
            status: StatusCode::OK,
            delay: Duration::ZERO,
            requests: Vec::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    /// Returns the number of requests for keys since the last call.
    pub(crate) fn take_fetches(&self) -> usize {
        let requests = self.change(|state| std::mem::take(&mut state.requests));
        let is_fetch = |url: &&String| url.ends_with("/jwks.json");
        requests.iter().filter(is_fetch).count()
    }

    pub(crate) fn client(&self) -> HttpClient {
        let provider = self.clone();
        HttpClient::new(tower::service_fn(move |request: Request<Full<Bytes>>| {
            let response = provider.respond(&request.uri().to_string());
            async move {
                let (delay, head) = response;
                tokio::time::sleep(delay).await;
                Ok::<_, BoxError>(head)
            }
        }))
    }

    fn respond(&self, url: &str) -> (Duration, Response<Full<Bytes>>) {
        self.change(|state| {
            state.requests.push(url.to_owned());
            let body = match url {
                "https://login.example.com/pool/.well-known/openid-configuration" => {
                    &state.discovery
                }
                "https://keys.example.com/jwks.json" => &state.jwks,
                other => panic!("unexpected request to {other}"),
            };
            let response = Response::builder()
                .status(state.status)
                .header("cache-control", state.cache_control)
                .body(Full::from(body.clone()))
                .unwrap();
            (state.delay, response)
        })
    }
}

/// Returns a JWK Set.
pub(crate) fn jwks<'a>(keys: impl IntoIterator<Item = &'a SigningKey>) -> String {
    let jwks: Vec<Value> = keys.into_iter().map(SigningKey::jwk).collect();
    json!({ "keys": jwks }).to_string()
}
