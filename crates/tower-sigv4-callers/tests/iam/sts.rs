//! A stand-in for STS behind a [`VerifyLayer`], and callers with keys for it.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HOST},
    request::Parts,
};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, SigningSettings, VerifyLayer,
    body::VerifiedBody,
    credentials::Credentials,
    sigv4::{Identity, PayloadHash, Signer, SigningParams},
    verify::{StaticKeys, Verified, VerifySettings},
};
use tower_sigv4_callers::{
    BoxError, HttpClient,
    iam::{IamSettings, IamVerifier, Rejection, RejectionKind, VerifiedPrincipal},
};

pub(crate) const SERVER_ID: &str = "gateway.example.com";
pub(crate) const ALICE: &str = "arn:aws:iam::123456789012:user/team/alice";
pub(crate) const ORDERS: &str = "arn:aws:sts::123456789012:assumed-role/orders/session";

pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_440_938_160)
}

pub(crate) fn key() -> Credentials {
    Credentials::new("AKIDALICE", "secret", None, None, "test")
}

pub(crate) fn role_key() -> Credentials {
    let token = "a/session+token==".to_owned();
    Credentials::new("ASIAORDERS", "role secret", Some(token), None, "test")
}

/// A URL to presign.
pub(crate) struct Presign {
    pub(crate) key: Credentials,
    pub(crate) url: String,
    pub(crate) region: &'static str,
    pub(crate) server_id: Option<&'static str>,
    pub(crate) extra_header: Option<&'static str>,
    pub(crate) signed_at: SystemTime,
    pub(crate) expires: u64,
}

impl Default for Presign {
    fn default() -> Self {
        Self {
            key: key(),
            url: "https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15"
                .to_owned(),
            region: "us-east-1",
            server_id: Some(SERVER_ID),
            extra_header: None,
            signed_at: now(),
            expires: 300,
        }
    }
}

impl Presign {
    pub(crate) fn url(self) -> String {
        let settings = SigningSettings::new("sts", self.region).expect("a scope");
        let settings = settings.with_signed_headers(|_: &http::HeaderName| true);
        let identity = Identity::new(self.key).expect("valid");
        let payload = PayloadHash::EMPTY;
        let params = SigningParams::new(&settings, &identity, payload, self.signed_at);
        let mut request = Request::get(&self.url);
        if let Some(id) = self.server_id {
            request = request.header("x-sigv4-server-id", id);
        }
        if let Some(name) = self.extra_header {
            request = request.header(name, "1");
        }
        let (mut head, ()) = request.body(()).expect("a request").into_parts();
        let expires = Duration::from_secs(self.expires);
        Signer::new()
            .presign(&mut head, &params, expires)
            .expect("presigned");
        let url = head.uri.to_string();
        assert!(
            url.starts_with(self.url.split('?').next().expect("a base")),
            "{url}"
        );
        url
    }
}

/// STS: counts the requests that it gets, and verifies them.
#[derive(Clone)]
pub(crate) struct Sts(Arc<State>);

pub(crate) struct State {
    pub(crate) requests: AtomicUsize,
    pub(crate) seen: Mutex<Vec<Parts>>,
    pub(crate) reply: Mutex<Reply>,
}

#[derive(Clone)]
pub(crate) enum Reply {
    /// As STS does.
    Verify,
    /// This response to any request.
    Always(StatusCode, &'static str, String),
    Down,
    Hang,
}

impl Sts {
    pub(crate) fn new(reply: Reply) -> Self {
        Self(Arc::new(State {
            requests: AtomicUsize::new(0),
            seen: Mutex::default(),
            reply: Mutex::new(reply),
        }))
    }

    pub(crate) fn set(&self, reply: Reply) {
        *self.0.reply.lock().expect("not poisoned") = reply;
    }

    pub(crate) fn requests(&self) -> usize {
        self.0.requests.load(SeqCst)
    }

    pub(crate) fn last(&self) -> Parts {
        let seen = self.0.seen.lock().expect("not poisoned");
        seen.last().expect("a request").clone()
    }

    pub(crate) fn client(&self) -> HttpClient {
        let state = self.0.clone();
        HttpClient::new(service_fn(move |request: Request<Full<Bytes>>| {
            let state = state.clone();
            async move {
                state.requests.fetch_add(1, SeqCst);
                let (head, body) = request.into_parts();
                state.seen.lock().expect("not poisoned").push(head.clone());
                tokio::task::yield_now().await;
                let reply = state.reply.lock().expect("not poisoned").clone();
                match reply {
                    Reply::Verify => verify(Request::from_parts(head, body)).await,
                    Reply::Always(status, content_type, text) => {
                        Ok(response(status, content_type, text))
                    }
                    Reply::Down => Err("connection refused".into()),
                    Reply::Hang => std::future::pending().await,
                }
            }
        }))
    }

    pub(crate) fn verifier(&self) -> IamVerifier {
        self.verifier_with(settings())
    }

    pub(crate) fn verifier_with(&self, settings: IamSettings) -> IamVerifier {
        let verifier = IamVerifier::new(self.client(), settings).expect("valid");
        verifier.with_clock(now)
    }
}

pub(crate) fn settings() -> IamSettings {
    let settings = IamSettings::new(SERVER_ID).expect("valid");
    settings
        .with_regions(["us-east-1", "eu-west-1"])
        .expect("regions")
}

async fn verify(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, BoxError> {
    let settings = VerifySettings::new("sts", "us-east-1")?.add_region("eu-west-1")?;
    let keys = StaticKeys::new([key(), role_key()])?;
    let layer = VerifyLayer::new(keys, settings).with_clock(Clock::manual(now()));
    let inner = service_fn(async |request: Request<VerifiedBody<Full<Bytes>>>| {
        Ok::<_, Infallible>(identity_of(&request.into_parts().0))
    });
    // In origin form, as a server receives it.
    let (mut head, body) = request.into_parts();
    head.uri = head
        .uri
        .path_and_query()
        .expect("a path")
        .as_str()
        .parse()?;
    let verified = layer
        .layer(inner)
        .oneshot(Request::from_parts(head, body))
        .await?;
    let (parts, body) = verified.into_parts();
    let text = http_body_util::BodyExt::collect(body).await?.to_bytes();
    Ok(Response::from_parts(parts, Full::new(text)))
}

fn identity_of(head: &Parts) -> Response<Full<Bytes>> {
    let caller = head.extensions.get::<Verified>().expect("verified");
    let (arn, user_id) = match caller.access_key_id() {
        "AKIDALICE" => (ALICE, "AIDAALICE"),
        _ => (ORDERS, "AROAORDERS:session"),
    };
    let is_bound = caller
        .signed_headers()
        .any(|name| name == "x-sigv4-server-id");
    assert!(is_bound && head.headers.contains_key(HOST));
    if head.headers.get(ACCEPT) != Some(&HeaderValue::from_static("application/json")) {
        return response(
            StatusCode::OK,
            "text/xml",
            "<GetCallerIdentityResponse/>".to_owned(),
        );
    }
    let text = identity("123456789012", arn, user_id);
    response(StatusCode::OK, "application/json", text)
}

pub(crate) fn identity(account: &str, arn: &str, user_id: &str) -> String {
    serde_json::json!({
        "GetCallerIdentityResponse": {
            "GetCallerIdentityResult": { "Account": account, "Arn": arn, "UserId": user_id },
            "ResponseMetadata": { "RequestId": "01234567-89ab-cdef-0123-456789abcdef" },
        },
    })
    .to_string()
}

fn response(status: StatusCode, content_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let value = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, value);
    response
}

pub(crate) fn head_with(urls: &[&str]) -> Parts {
    let (mut head, ()) = Request::get("/orders")
        .body(())
        .expect("a request")
        .into_parts();
    head.headers = urls
        .iter()
        .map(|url| {
            let value = HeaderValue::from_bytes(url.as_bytes()).expect("a value");
            (http::HeaderName::from_static("x-sigv4-caller-url"), value)
        })
        .fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        });
    head
}

pub(crate) async fn verify_url(
    verifier: &IamVerifier,
    url: &str,
) -> Result<VerifiedPrincipal, Rejection> {
    verifier.verify(&head_with(&[url])).await
}

pub(crate) async fn rejected(verifier: &IamVerifier, url: &str) -> Option<RejectionKind> {
    verify_url(verifier, url)
        .await
        .err()
        .map(|rejection| rejection.kind())
}
