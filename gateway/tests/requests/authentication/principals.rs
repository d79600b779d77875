//! Callers that prove their IAM principal.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use axum::{Json, Router, extract::State};
use http::Request;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_sigv4::{
    SigningSettings, VerifyLayer,
    sigv4::{Identity, PayloadHash, Signer, SigningParams},
    verify::{KeyRequest, VerifySettings},
};

use super::{get, metrics, signatures, start};

const SERVER_ID: &str = "gateway.example.com";

/// STS, which verifies the signature of each request.
struct Sts {
    address: SocketAddr,
    calls: Arc<AtomicUsize>,
}

impl Sts {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let sts = Self {
            address: listener.local_addr().expect("an address"),
            calls: Arc::default(),
        };
        let keys = |request: KeyRequest<'static>| async move {
            let id = request.access_key_id().to_owned();
            Ok::<_, Infallible>(Some(Credentials::new(id, "secret", None, None, "test")))
        };
        let settings = VerifySettings::new("sts", "us-east-1").expect("a scope");
        let router = Router::new()
            .fallback(Self::respond)
            .with_state(sts.calls.clone())
            .layer(VerifyLayer::new(keys, settings));
        tokio::spawn(async { axum::serve(listener, router).await });
        sts
    }

    async fn respond(State(calls): State<Arc<AtomicUsize>>) -> Json<Value> {
        let number = calls.fetch_add(1, Ordering::SeqCst);
        Json(
            json!({ "GetCallerIdentityResponse": { "GetCallerIdentityResult": {
                "Account": "123456789012",
                "Arn": format!("arn:aws:sts::123456789012:assumed-role/orders-eu/session-{number}"),
                "UserId": format!("AROAEXAMPLE:session-{number}"),
            }}}),
        )
    }

    fn verify(&self) -> String {
        format!(
            "[verify.iam]\nserver_id = \"{SERVER_ID}\"\nsts_endpoint = \"http://{}\"\naccounts = [\"123456789012\"]\n",
            self.address
        )
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

/// Presigns a `GetCallerIdentity` for a server, and returns the header with it.
fn header(url: &str, server_id: &str, secret: &str) -> String {
    header_for(url, server_id, secret, 300)
}

/// Returns such a header with a URL that expires after some seconds.
fn header_for(url: &str, server_id: &str, secret: &str, seconds: u64) -> String {
    let settings = SigningSettings::new("sts", "us-east-1")
        .expect("a scope")
        .with_signed_headers(|_: &http::HeaderName| true);
    let key = Credentials::new("AKIDALICE", secret, None, None, "test");
    let identity = Identity::new(key).expect("valid");
    let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, SystemTime::now());
    let request = Request::get(url).header("x-sigv4-server-id", server_id);
    let (mut head, ()) = request.body(()).expect("valid").into_parts();
    Signer::new()
        .presign(&mut head, &params, Duration::from_secs(seconds))
        .expect("presigned");
    format!("x-sigv4-caller-url: {}\r\n", head.uri)
}

const URL: &str =
    "https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15";

#[tokio::test]
async fn callers_prove_their_principal_once_per_url() {
    let sts = Sts::start().await;
    let (origin, gateway) = start(&("[verify]\n".to_owned() + &sts.verify())).await;
    let valid = header(URL, SERVER_ID, "secret");
    for _ in 0..3 {
        let response = get(&gateway, "/orders", &valid).await;
        assert_eq!(response.status, 200, "{}", response.body);
    }
    assert_eq!(sts.calls(), 1);
    for request in origin.requests() {
        assert!(!request.contains("x-sigv4-caller-url"), "{request}");
        assert!(!request.contains("sts.us-east-1"), "{request}");
    }
    let reached = origin.requests().len();
    let foreign = URL.replace("sts.us-east-1.amazonaws.com", "sts.attacker.example.com");
    let other_action = URL.replace("GetCallerIdentity", "AssumeRole");
    for (headers, status, reason) in [
        (String::new(), 403, "no URL of STS"),
        (header(URL, "other.example.com", "secret"), 403, "STS"),
        (header(URL, SERVER_ID, "wrong"), 403, "STS rejects"),
        (header(&foreign, SERVER_ID, "secret"), 403, "endpoint"),
        (
            header(&other_action, SERVER_ID, "secret"),
            403,
            "GetCallerIdentity",
        ),
        (valid.clone() + &valid, 400, "send one of them"),
        (
            valid.clone() + "authorization: Bearer a.b.c\r\n",
            400,
            "send one of them",
        ),
        (
            "authorization: Bearer a.b.c\r\n".to_owned(),
            401,
            "bearer tokens are not accepted",
        ),
    ] {
        let response = get(&gateway, "/orders", &headers).await;
        assert_eq!(response.status, status, "{reason}: {}", response.body);
        assert!(
            response.body.contains(reason),
            "{reason}: {}",
            response.body
        );
    }
    assert_eq!(origin.requests().len(), reached);
    assert!(metrics(&gateway).await.contains("mechanism=\"iam\""));
}

#[tokio::test]
async fn principals_are_allowed_by_their_arn() {
    let sts = Sts::start().await;
    for (pattern, status) in [
        ("arn:aws:iam::123456789012:role/orders-*", 200),
        ("arn:aws:iam::123456789012:role/reports", 403),
    ] {
        let caller = format!(
            "[verify]\n{}[[caller]]\nmatch = {{ arn = \"{pattern}\" }}\nallow = \"*\"\n",
            sts.verify()
        );
        let (origin, gateway) = start(&caller).await;
        let valid = header(URL, SERVER_ID, "secret");
        let response = get(&gateway, "/orders", &valid).await;
        assert_eq!(response.status, status, "{pattern}: {}", response.body);
        assert_eq!(origin.requests().len(), usize::from(status == 200));
    }
}

#[tokio::test]
async fn sessions_of_a_role_share_its_rate() {
    let sts = Sts::start().await;
    let caller = format!(
        "[verify]\n{}[[caller]]\nmatch = {{ any = true }}\nallow = \"*\"\nrate = \"2/h\"\n",
        sts.verify()
    );
    let (origin, gateway) = start(&caller).await;
    for (seconds, status) in [(300, 200), (301, 200), (302, 429)] {
        let session = header_for(URL, SERVER_ID, "secret", seconds);
        let response = get(&gateway, "/orders", &session).await;
        assert_eq!(response.status, status, "{}", response.body);
    }
    assert_eq!((sts.calls(), origin.requests().len()), (3, 2));
}

#[tokio::test]
async fn principals_are_accepted_beside_signatures() {
    let sts = Sts::start().await;
    let key = "[[verify.key]]\n".to_owned() + &super::key("AKIDBOB");
    let (_origin, gateway) = start(&(signatures() + &sts.verify() + &key)).await;
    let valid = header(URL, SERVER_ID, "secret");
    assert_eq!(get(&gateway, "/orders", &valid).await.status, 200);
    assert_eq!(super::signed_status(&gateway, "AKIDBOB").await, 200);
    assert_eq!(get(&gateway, "/orders", "").await.status, 403);
}
