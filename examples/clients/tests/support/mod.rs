//! Runs the examples as processes, against an origin that verifies their requests.
#![allow(dead_code, unreachable_pub)] // each test uses some of it

use std::{
    io::Write,
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::{any, post},
};
use http::{HeaderMap, Version};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    process::Command,
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};
use tower_sigv4::{
    VerifyLayer,
    credentials::Credentials,
    verify::{StaticKeys, Verified, VerifySettings},
};

/// Environment variables with credentials.
pub const CREDENTIALS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
];

pub fn credentials() -> Credentials {
    Credentials::new("AKIDEXAMPLE", "secret", None, None, "test")
}

/// Maximum run time of an example.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Exit status and output of an example.
pub struct Output {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

/// A command whose environment has only these variables.
pub fn command(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a program to its end.
pub async fn run(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let output = command(program, arguments, variables).output();
    let output = timeout(TIMEOUT, output)
        .await
        .expect("program ends in time")
        .expect("program starts");
    Output {
        success: output.status.success(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

pub fn temporary(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

/// An accepted request.
pub struct Seen {
    pub version: Version,
    pub host: String,
    pub headers: HeaderMap,
    pub verified: Verified,
}

/// An origin that accepts requests signed with one key, and echoes their bodies.
pub struct Origin {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Origin {
    pub async fn start(key: Credentials, service: &str) -> Self {
        Self::serve(key, service, None, Router::new()).await
    }

    /// Starts an origin with TLS that negotiates these protocols.
    pub async fn with_tls(identity: &Identity, protocols: &[&str]) -> Self {
        let tls = identity.acceptor(protocols);
        Self::serve(credentials(), "execute-api", Some(tls), Router::new()).await
    }

    /// Starts an origin with TLS and additional routes.
    pub async fn with_tls_and_routes(identity: &Identity, routes: Router) -> Self {
        let tls = identity.acceptor(&["h2", "http/1.1"]);
        Self::serve(credentials(), "execute-api", Some(tls), routes).await
    }

    /// Starts an origin with additional routes.
    pub async fn with_routes(key: Credentials, service: &str, routes: Router) -> Self {
        Self::serve(key, service, None, routes).await
    }

    async fn serve(
        key: Credentials,
        service: &str,
        tls: Option<TlsAcceptor>,
        routes: Router,
    ) -> Self {
        let keys = StaticKeys::new([key]).expect("a key");
        let settings = VerifySettings::new(service, "us-east-1").expect("a scope");
        let seen = Arc::default();
        let router = routes
            .route("/conversation", post(echo_frames))
            .fallback(any(echo))
            .layer(from_fn_with_state(Arc::clone(&seen), record))
            .layer(VerifyLayer::new(keys, settings.with_explain(true)));
        Self {
            address: serve(router, tls).await,
            seen,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the requests accepted since the last call.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().expect("not poisoned"))
    }
}

async fn record(
    State(seen): State<Arc<Mutex<Vec<Seen>>>>,
    request: Request,
    next: Next,
) -> Response {
    let (uri, headers) = (request.uri(), request.headers());
    let host = uri.authority().map(|host| host.as_str().to_owned());
    let header = || headers["host"].to_str().expect("ASCII").to_owned();
    seen.lock().expect("not poisoned").push(Seen {
        version: request.version(),
        host: host.unwrap_or_else(header),
        headers: headers.clone(),
        verified: request.extensions().get().cloned().expect("verified"),
    });
    next.run(request).await
}

async fn echo(request: Request) -> Body {
    request.into_body()
}

/// Echoes each frame as it arrives, and trailers with trailers.
async fn echo_frames(request: Request) -> Body {
    Body::new(
        request
            .into_body()
            .map_frame(|frame| match frame.into_data() {
                Ok(data) => Frame::data(Bytes::from([b"got ", &data[..]].concat())),
                Err(frame) => {
                    let mut trailers = frame.into_trailers().expect("data or trailers");
                    trailers.insert("conversation", "over".parse().expect("a value"));
                    Frame::trailers(trailers)
                }
            }),
    )
}

/// Serves HTTP/1.1 and HTTP/2 on loopback until the test ends.
pub async fn serve(router: Router, tls: Option<TlsAcceptor>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (router, tls) = (router.clone(), tls.clone());
            tokio::spawn(async move {
                let Some(tls) = tls else {
                    return serve_connection(stream, router).await;
                };
                if let Ok(stream) = tls.accept(stream).await {
                    serve_connection(stream, router).await;
                }
            });
        }
    });
    address
}

async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
) {
    let service = TowerToHyperService::new(router);
    let builder = auto::Builder::new(TokioExecutor::new());
    drop(
        builder
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}

/// A certificate for `localhost`, and the authority that signed it.
pub struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
    ca_file: NamedTempFile,
}

impl Identity {
    pub fn new() -> Self {
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca =
            CertifiedIssuer::self_signed(ca, KeyPair::generate().expect("a key")).expect("a CA");
        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let certificate = leaf.signed_by(&key, &ca).expect("a certificate");
        Self {
            certificate,
            key,
            ca_file: temporary(&ca.pem()),
        }
    }

    pub fn ca_file(&self) -> &str {
        self.ca_file.path().to_str().expect("UTF-8")
    }

    fn acceptor(&self, protocols: &[&str]) -> TlsAcceptor {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).expect("a key");
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.der().clone()], key)
            .expect("a certificate");
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        TlsAcceptor::from(Arc::new(config))
    }
}
