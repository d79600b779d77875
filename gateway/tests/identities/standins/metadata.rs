//! Metadata services: IMDSv2 of an instance, and the endpoint of a container or pod; and the portal of IAM Identity
//! Center.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use aws_credential_types::Credentials;
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, put},
};
use http::{HeaderMap, StatusCode, Uri};
use serde_json::json;
use tokio::net::TcpListener;

use super::{Keys, expiration, temporary};

const IMDS_TOKEN: &str = "imds-token";
/// Token of EKS Pod Identity.
const POD_TOKEN: &str = "pod-token";

#[derive(Clone)]
struct MetadataState {
    keys: Keys,
    lifetime: Duration,
    issued: Arc<AtomicUsize>,
    prefix: &'static str,
}

impl MetadataState {
    fn new(keys: &Keys, prefix: &'static str, lifetime: Duration) -> Self {
        Self {
            keys: keys.clone(),
            lifetime,
            issued: Arc::default(),
            prefix,
        }
    }

    fn issue(&self) -> Credentials {
        let number = self.issued.fetch_add(1, Ordering::SeqCst);
        let credentials = temporary(&format!("ASIA{}{number}", self.prefix), self.lifetime);
        self.keys.add(credentials.clone());
        credentials
    }

    fn credentials(&self) -> String {
        let credentials = self.issue();
        json!({
            "Code": "Success",
            "Type": "AWS-HMAC",
            "LastUpdated": "2026-01-01T00:00:00Z",
            "AccessKeyId": credentials.access_key_id(),
            "SecretAccessKey": credentials.secret_access_key(),
            "Token": credentials.session_token(),
            "Expiration": expiration(&credentials),
        })
        .to_string()
    }
}

/// IMDSv2: requests without a session token are rejected.
pub struct Instance {
    pub url: String,
}

impl Instance {
    pub async fn start(keys: &Keys, lifetime: Duration) -> Self {
        let path = "/latest/meta-data/iam/security-credentials/";
        let router = Router::new()
            .route("/latest/api/token", put(token))
            .route(path, get(role_name))
            .route(&format!("{path}worker"), get(role_credentials))
            .with_state(MetadataState::new(keys, "INSTANCE", lifetime));
        let address = serve(router).await;
        Self {
            url: format!("http://{address}"),
        }
    }
}

async fn token(headers: HeaderMap) -> Response {
    let ttl = "x-aws-ec2-metadata-token-ttl-seconds";
    let Some(value) = headers.get(ttl) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    ([(ttl, value.clone())], IMDS_TOKEN).into_response()
}

fn has_token(headers: &HeaderMap) -> bool {
    let token = headers.get("x-aws-ec2-metadata-token");
    token.is_some_and(|it| it == IMDS_TOKEN)
}

async fn role_name(headers: HeaderMap) -> Response {
    if has_token(&headers) {
        "worker".into_response()
    } else {
        StatusCode::UNAUTHORIZED.into_response()
    }
}

async fn role_credentials(State(state): State<MetadataState>, headers: HeaderMap) -> Response {
    if has_token(&headers) {
        state.credentials().into_response()
    } else {
        StatusCode::UNAUTHORIZED.into_response()
    }
}

/// Endpoint of an ECS task, or of EKS Pod Identity, which wants a token.
pub struct Container {
    pub url: String,
    pub token: &'static str,
}

impl Container {
    pub async fn start(keys: &Keys, lifetime: Duration) -> Self {
        let router = Router::new()
            .route("/v1/credentials", get(pod_credentials))
            .with_state(MetadataState::new(keys, "POD", lifetime));
        let address = serve(router).await;
        Self {
            url: format!("http://{address}/v1/credentials"),
            token: POD_TOKEN,
        }
    }
}

async fn pod_credentials(State(state): State<MetadataState>, headers: HeaderMap) -> Response {
    if headers
        .get("authorization")
        .is_some_and(|it| it == POD_TOKEN)
    {
        state.credentials().into_response()
    } else {
        StatusCode::UNAUTHORIZED.into_response()
    }
}

/// Portal of IAM Identity Center, which gives the credentials of a role for a token.
pub struct SsoPortal {
    pub url: String,
    pub token: &'static str,
}

const SSO_TOKEN: &str = "sso-token";

impl SsoPortal {
    pub async fn start(keys: &Keys, lifetime: Duration) -> Self {
        let router = Router::new()
            .route("/federation/credentials", get(sso_credentials))
            .with_state(MetadataState::new(keys, "SSO", lifetime));
        let address = serve(router).await;
        Self {
            url: format!("http://{address}"),
            token: SSO_TOKEN,
        }
    }
}

async fn sso_credentials(
    State(state): State<MetadataState>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let query = uri.query().unwrap_or_default();
    let is_asked = ["role_name=work", "account_id=123456789012"]
        .iter()
        .all(|it| query.contains(it));
    let token = headers.get("x-amz-sso_bearer_token");
    if !is_asked || token.is_none_or(|it| it != SSO_TOKEN) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let credentials = state.issue();
    let expiry = credentials.expiry().expect("temporary credentials");
    let since = expiry.duration_since(UNIX_EPOCH).expect("after the epoch");
    let body = json!({ "roleCredentials": {
        "accessKeyId": credentials.access_key_id(),
        "secretAccessKey": credentials.secret_access_key(),
        "sessionToken": credentials.session_token(),
        "expiration": since.as_millis() as u64,
    }});
    body.to_string().into_response()
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}
