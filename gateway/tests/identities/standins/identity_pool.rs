//! Amazon Cognito identity pool: `GetId` and `GetCredentialsForIdentity`.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

use super::{Issuer, Keys, temporary};

/// ID of the pool.
pub const POOL_ID: &str = "eu-west-1:00000000-1111-2222-3333-444444444444";

/// Behavior of the pool.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum PoolState {
    #[default]
    Up,
    Down,
    Throttled,
    /// Rejects one user.
    Denied(String),
    /// Rejects all users, and quotes their tokens.
    Echo,
    /// Keeps requests until the state changes.
    Held,
}

#[derive(Clone)]
pub struct IdentityPool {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    issuer: Issuer,
    keys: Keys,
    state: watch::Sender<PoolState>,
    lifetime: Mutex<Duration>,
    /// Operations, with the user of a valid token.
    calls: Mutex<Vec<(String, Option<String>)>>,
    issued: AtomicUsize,
}

impl IdentityPool {
    pub async fn start(issuer: &Issuer, keys: &Keys) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let shared = Arc::new(Shared {
            issuer: issuer.clone(),
            keys: keys.clone(),
            state: watch::Sender::default(),
            lifetime: Mutex::new(Duration::from_secs(3600)),
            calls: Mutex::default(),
            issued: AtomicUsize::new(0),
        });
        let address = listener.local_addr().expect("an address");
        let router = Router::new().fallback(call).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, shared }
    }

    pub fn set(&self, state: PoolState) {
        self.shared.state.send_replace(state);
    }

    /// Sets the lifetime of credentials issued from now on.
    pub fn set_lifetime(&self, lifetime: Duration) {
        *self.shared.lifetime.lock().expect("not poisoned") = lifetime;
    }

    /// Returns the number of calls of an operation.
    pub fn count(&self, operation: &str) -> usize {
        let calls = self.shared.calls.lock().expect("not poisoned");
        calls.iter().filter(|(name, _)| name == operation).count()
    }

    /// Returns `true` if all tokens so far were valid.
    pub fn has_seen_only_valid_tokens(&self) -> bool {
        let calls = self.shared.calls.lock().expect("not poisoned");
        calls.iter().all(|(_, user)| user.is_some())
    }
}

async fn call(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: String) -> Response {
    assert!(!headers.contains_key(header::AUTHORIZATION));
    assert_eq!(headers[header::CONTENT_TYPE], "application/x-amz-json-1.1");
    let target = headers["x-amz-target"].to_str().expect("ASCII");
    let operation = target
        .strip_prefix("AWSCognitoIdentityService.")
        .expect(target);
    let request: Value = serde_json::from_str(&body).expect("JSON");
    let token = request["Logins"][shared.issuer.login()].as_str();
    let claims = token.and_then(|it| shared.issuer.claims(it));
    let user = claims.and_then(|it| it["sub"].as_str().map(str::to_owned));
    let seen = (operation.to_owned(), user.clone());
    shared.calls.lock().expect("not poisoned").push(seen);
    let mut states = shared.state.subscribe();
    let state = states.wait_for(|it| *it != PoolState::Held).await;
    let state = state.expect("the sender lives").clone();
    match (state, user) {
        (PoolState::Down, _) => error(500, "InternalErrorException", "down"),
        (PoolState::Throttled, _) => error(400, "TooManyRequestsException", "Rate exceeded"),
        (PoolState::Denied(denied), Some(user)) if denied == user => error(
            400,
            "NotAuthorizedException",
            "Access to Identity is forbidden.",
        ),
        (_, None) | (PoolState::Echo, _) => {
            // The real one does not quote the token. The gateway must not depend on that.
            let message = format!("Invalid login token {}", token.unwrap_or_default());
            error(400, "NotAuthorizedException", &message)
        }
        (_, Some(user)) => shared.respond(operation, &request, &user),
    }
}

fn error(status: u16, code: &str, message: &str) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    (status, Json(json!({ "__type": code, "message": message }))).into_response()
}

impl Shared {
    fn respond(&self, operation: &str, request: &Value, user: &str) -> Response {
        let id = format!("eu-west-1:{user}");
        match operation {
            "GetId" => {
                assert_eq!(request["IdentityPoolId"], POOL_ID);
                Json(json!({ "IdentityId": id })).into_response()
            }
            "GetCredentialsForIdentity" => {
                assert_eq!(request["IdentityId"], id, "the identity of another user");
                let number = self.issued.fetch_add(1, Ordering::SeqCst);
                let lifetime = *self.lifetime.lock().expect("not poisoned");
                let credentials = temporary(&format!("ASIA{number:06}{user}"), lifetime);
                self.keys.add(credentials.clone());
                let expiry = credentials.expiry().expect("temporary credentials");
                let since = expiry.duration_since(std::time::UNIX_EPOCH);
                Json(json!({
                    "IdentityId": id,
                    "Credentials": {
                        "AccessKeyId": credentials.access_key_id(),
                        "SecretKey": credentials.secret_access_key(),
                        "SessionToken": credentials.session_token(),
                        "Expiration": since.expect("after the epoch").as_secs_f64(),
                    },
                }))
                .into_response()
            }
            other => panic!("unknown operation {other}"),
        }
    }
}
