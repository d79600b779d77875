//! AWS STS: `AssumeRole` behind signature verification, and `AssumeRoleWithWebIdentity`.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_credential_types::Credentials;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse, Response},
    routing::any,
};
use http::{Request, StatusCode, header, request::Parts};
use http_body_util::BodyExt;
use tokio::net::TcpListener;
use tower::ServiceExt;
use tower_sigv4::{
    VerifyLayer,
    verify::{KeyRequest, Verified, VerifySettings},
};
use url::form_urlencoded;

use super::{Keys, expiration, temporary};
use crate::{KEY_ID, REGION, SECRET};

/// A call that STS has accepted or rejected.
#[derive(Clone, Debug)]
pub struct StsCall {
    /// Access key ID of the signature, or `None` for a call with a token.
    pub signed_by: Option<String>,
    pub parameters: BTreeMap<String, String>,
}

impl StsCall {
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// Returns the name of the role.
    pub fn role(&self) -> &str {
        let arn = self.parameter("RoleArn").expect("a role");
        arn.rsplit_once('/').expect("an ARN").1
    }
}

#[derive(Clone)]
pub struct Sts {
    pub address: SocketAddr,
    /// Keys that STS has issued, and that of the base.
    pub keys: Keys,
    state: Arc<StsState>,
}

struct StsState {
    keys: Keys,
    calls: Mutex<Vec<StsCall>>,
    issued: AtomicUsize,
    lifetime: AtomicU64,
    /// Role that is rejected.
    denied: Mutex<Option<String>>,
}

impl Sts {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self::start_on(listener)
    }

    pub fn start_on(listener: TcpListener) -> Self {
        let (mut sts, router) = Self::new();
        sts.address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        sts
    }

    /// Returns STS with the router that serves it.
    pub fn new() -> (Self, Router) {
        let keys = Keys::default();
        keys.add(Credentials::new(KEY_ID, SECRET, None, None, "test"));
        let state = Arc::new(StsState {
            keys: keys.clone(),
            calls: Mutex::default(),
            issued: AtomicUsize::new(0),
            lifetime: AtomicU64::new(3600),
            denied: Mutex::default(),
        });
        let lookup_keys = keys.clone();
        let lookup = move |request: KeyRequest<'static>| {
            let found = lookup_keys.find(request.access_key_id());
            async move { Ok::<_, std::convert::Infallible>(found) }
        };
        let settings = VerifySettings::new("sts", REGION).expect("a scope");
        let signed = Router::new()
            .fallback(assume_role)
            .with_state(state.clone())
            .layer(VerifyLayer::new(lookup, settings));
        let unsigned = Router::new()
            .fallback(assume_role_with_web_identity)
            .with_state(state.clone());
        let router = Router::new()
            .fallback(any(dispatch))
            .with_state((signed, unsigned));
        let sts = Self {
            address: ([127, 0, 0, 1], 0).into(),
            keys,
            state,
        };
        (sts, router)
    }

    pub fn calls(&self) -> Vec<StsCall> {
        self.state.calls.lock().expect("not poisoned").clone()
    }

    /// Sets the lifetime of credentials issued from now on.
    pub fn set_lifetime(&self, lifetime: Duration) {
        self.state
            .lifetime
            .store(lifetime.as_secs(), Ordering::SeqCst);
    }

    /// Rejects a role from now on, or none.
    pub fn deny(&self, role: Option<&str>) {
        *self.state.denied.lock().expect("not poisoned") = role.map(str::to_owned);
    }
}

async fn dispatch(
    State((signed, unsigned)): State<(Router, Router)>,
    request: Request<Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    let is_unsigned = bytes
        .windows(b"Action=AssumeRoleWithWebIdentity".len())
        .any(|it| it == b"Action=AssumeRoleWithWebIdentity");
    let router = if is_unsigned { unsigned } else { signed };
    let request = Request::from_parts(head, Body::from(bytes));
    router.oneshot(request).await.expect("infallible")
}

async fn assume_role(State(state): State<Arc<StsState>>, head: Parts, body: Bytes) -> Response {
    let verified = head.extensions.get::<Verified>().expect("verified");
    state.respond(
        Some(verified.access_key_id().to_owned()),
        &body,
        "AssumeRole",
    )
}

async fn assume_role_with_web_identity(
    State(state): State<Arc<StsState>>,
    head: Parts,
    body: Bytes,
) -> Response {
    assert!(!head.headers.contains_key(header::AUTHORIZATION));
    state.respond(None, &body, "AssumeRoleWithWebIdentity")
}

impl StsState {
    fn respond(&self, signed_by: Option<String>, body: &[u8], action: &str) -> Response {
        let call = StsCall {
            signed_by,
            parameters: form_urlencoded::parse(body).into_owned().collect(),
        };
        assert_eq!(call.parameter("Action"), Some(action));
        let role = call.role().to_owned();
        self.calls.lock().expect("not poisoned").push(call);
        if *self.denied.lock().expect("not poisoned") == Some(role.clone()) {
            let error = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>\
                         <Type>Sender</Type><Code>AccessDenied</Code><Message>User: \
                         arn:aws:iam::123456789012:user/base is not authorized</Message></Error>\
                         <RequestId>r</RequestId></ErrorResponse>";
            return (StatusCode::FORBIDDEN, error).into_response();
        }
        let number = self.issued.fetch_add(1, Ordering::SeqCst);
        let lifetime = Duration::from_secs(self.lifetime.load(Ordering::SeqCst));
        let credentials = temporary(&format!("ASIA{number:06}{role}"), lifetime);
        self.keys.add(credentials.clone());
        let text = format!(
            "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>\
             <AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/{role}/s</Arn>\
             <AssumedRoleId>AROA:s</AssumedRoleId></AssumedRoleUser><Credentials>\
             <AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey>\
             <SessionToken>{}</SessionToken><Expiration>{}</Expiration></Credentials></{action}Result>\
             <ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{action}Response>",
            credentials.access_key_id(),
            credentials.secret_access_key(),
            credentials.session_token().expect("a token"),
            expiration(&credentials),
        );
        ([(header::CONTENT_TYPE, "text/xml")], text).into_response()
    }
}
