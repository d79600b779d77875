//! Connects to origins, with TLS or without.

use std::{env, path::Path, sync::Arc, time::Duration};

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_native_certs::{load_certs_from_paths, load_native_certs};
use tokio::net::TcpStream;
use tower::{
    timeout::Timeout,
    util::{BoxCloneSyncService, MapResponse},
};

use super::early_response::EarlyResponseStream;
use crate::BoxError;

pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time after which an unused connection is closed.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

type TcpConnector =
    MapResponse<HttpConnector, fn(TokioIo<TcpStream>) -> TokioIo<EarlyResponseStream>>;

/// Connects within the timeout, which includes TLS.
pub(super) type TimedConnector =
    BoxCloneSyncService<Uri, MaybeHttpsStream<TokioIo<EarlyResponseStream>>, BoxError>;

/// Connectors with the same settings.
pub(super) struct Connectors {
    tcp: TcpConnector,
    tls: ClientConfig,
}

impl Connectors {
    pub(super) fn new() -> Result<Self, BoxError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        Ok(Self {
            tcp: TcpConnector::new(tcp, EarlyResponseStream::wrap),
            tls: tls_config()?,
        })
    }

    pub(super) fn http1(&self) -> TimedConnector {
        let builder = HttpsConnectorBuilder::new().with_tls_config(self.tls.clone());
        timed(
            builder
                .https_or_http()
                .enable_http1()
                .wrap_connector(self.tcp.clone()),
        )
    }

    /// Returns a connector that negotiates HTTP/2 or HTTP/1.1.
    pub(super) fn http2(&self) -> TimedConnector {
        let builder = HttpsConnectorBuilder::new().with_tls_config(self.tls.clone());
        timed(
            builder
                .https_or_http()
                .enable_all_versions()
                .wrap_connector(self.tcp.clone()),
        )
    }
}

pub(crate) fn tls_config() -> Result<ClientConfig, BoxError> {
    Ok(
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots()?)
            .with_no_client_auth(),
    )
}

/// Limits the time for TCP and TLS together. The timeout of `tcp` is divided among the addresses of a host.
fn timed(connector: HttpsConnector<TcpConnector>) -> TimedConnector {
    TimedConnector::new(Timeout::new(connector, CONNECT_TIMEOUT))
}

/// Returns the certificates that the system trusts, or those of `SSL_CERT_FILE`; or else Mozilla's.
fn roots() -> Result<RootCertStore, BoxError> {
    if let Some(file) = env::var_os("SSL_CERT_FILE") {
        check_certificates(Path::new(&file))?;
    }
    let mut roots = RootCertStore::empty();
    let native = load_native_certs();
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(roots)
}

/// Rejects a file that `load_native_certs` would ignore.
fn check_certificates(file: &Path) -> Result<(), BoxError> {
    let loaded = load_certs_from_paths(Some(file), None);
    let path = file.display();
    match loaded.errors.first() {
        Some(error) => Err(format!("cannot read SSL_CERT_FILE {path}: {error}").into()),
        None if loaded.certs.is_empty() => {
            Err(format!("SSL_CERT_FILE {path} contains no certificate in PEM").into())
        }
        None => Ok(()),
    }
}
