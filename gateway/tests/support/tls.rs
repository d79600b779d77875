//! Origins with TLS, and HTTP/2 by ALPN.

use std::{
    convert::Infallible,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, response::Response};
use http::Request;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{net::TcpListener, sync::broadcast, task::JoinHandle};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};
use tower::{ServiceExt, service_fn};

use super::TempFile;

/// Origin with a certificate from its own authority.
pub struct TlsOrigin {
    /// Authority of its URL.
    pub authority: String,
    pub ca_file: String,
    connections: Arc<AtomicUsize>,
    end: broadcast::Sender<Close>,
    listening: JoinHandle<()>,
    _file: TempFile,
}

/// Kind of close of all connections. New ones are still accepted.
#[derive(Clone, Copy, PartialEq)]
pub enum Close {
    /// After the requests in flight, with `GOAWAY` in HTTP/2.
    Graceful,
    Abrupt,
}

/// Extension of a response: the origin resets the stream with `REFUSED_STREAM` instead.
#[derive(Clone)]
pub struct RefusedStream;

fn or_refused(result: Result<Response, Infallible>) -> Result<Response, h2::Error> {
    match result {
        Ok(response) if response.extensions().get::<RefusedStream>().is_some() => {
            Err(h2::Reason::REFUSED_STREAM.into())
        }
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

impl TlsOrigin {
    /// Passes the authority to `router`.
    pub async fn start(
        router: impl FnOnce(String) -> Router,
        alpn: &[&str],
        streams: Option<u32>,
    ) -> Self {
        let (acceptor, ca) = acceptor(alpn);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let file = TempFile::new(&ca);
        let authority = format!("localhost:{port}");
        let app = router(authority.clone());
        let service = TowerToHyperService::new(service_fn(move |request: Request<Incoming>| {
            let response = app.clone().oneshot(request);
            async move { or_refused(response.await) }
        }));
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http2().max_concurrent_streams(streams);
        let connections = Arc::<AtomicUsize>::default();
        let end = broadcast::Sender::new(1);
        let (counter, ends) = (connections.clone(), end.clone());
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let acceptor = acceptor.clone();
                let http = http.clone();
                let service = service.clone();
                let mut end = ends.subscribe();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let connection = http.serve_connection(TokioIo::new(stream), service);
                    let mut connection = pin!(connection);
                    tokio::select! {
                        _ = connection.as_mut() => return,
                        close = end.recv() => if close != Ok(Close::Graceful) { return },
                    }
                    connection.as_mut().graceful_shutdown();
                    drop(connection.await);
                });
            }
        });
        Self {
            authority,
            ca_file: file.path.clone(),
            connections,
            end,
            listening,
            _file: file,
        }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Closes the listener. Connections stay open.
    pub fn stop(&self) {
        self.listening.abort();
    }

    pub fn close_connections(&self, close: Close) {
        drop(self.end.send(close));
    }
}

/// Returns an acceptor with a certificate for `localhost`, and the authority's certificate as PEM.
fn acceptor(alpn: &[&str]) -> (TlsAcceptor, String) {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().expect("a key")).expect("a CA");
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let leaf = leaf.signed_by(&key, &ca).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .expect("a certificate");
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), ca.pem())
}
