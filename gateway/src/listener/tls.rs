//! TLS, with a certificate that is reloaded when its files change.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rustls::{
    CipherSuite, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{task, time};
use tokio_rustls::TlsAcceptor;

use crate::{BoxError, config::TlsFiles, error::chain, regular_file};

/// Interval at which the files are read: some file systems do not report changes.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Contents of both files.
#[derive(PartialEq)]
struct PemPair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// Reads the files, and returns an error if they cannot be used.
pub(crate) fn check(files: &TlsFiles) -> Result<(), BoxError> {
    PemPair::read(files)?.parse().map(drop)
}

impl PemPair {
    fn read(files: &TlsFiles) -> Result<Self, BoxError> {
        let read = |path: &str| {
            regular_file::read(path)
                .map_err(|error| format!("cannot read {path}: {error}; set the path of a PEM file"))
        };
        Ok(Self {
            certificate: read(&files.certificate)?,
            key: read(&files.key)?,
        })
    }

    fn parse(&self) -> Result<CertifiedKey, BoxError> {
        let chain = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<Vec<_>, _>>()
            .ok()
            .filter(|chain| !chain.is_empty())
            .ok_or("tls_certificate contains no PEM certificate; set the path of one")?;
        // The original error could quote the key.
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| "tls_key contains no PEM private key; set the path of one")?;
        // Rejects a key that does not match the certificate.
        Ok(CertifiedKey::from_der(
            chain,
            key,
            &ring::default_provider(),
        )?)
    }
}

#[derive(Debug)]
struct CurrentKey(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for CurrentKey {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(
            self.0
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        )
    }
}

/// Returns an acceptor that offers HTTP/2 and HTTP/1.1, and follows changes of the files.
pub(super) fn acceptor(files: TlsFiles) -> Result<TlsAcceptor, BoxError> {
    let pair = PemPair::read(&files)?;
    let current = Arc::new(CurrentKey(RwLock::new(Arc::new(pair.parse()?))));
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(current.clone());
    // All clients can resume, without memory here; rustls' own cache holds 256 sessions.
    config.ticketer = ring::Ticketer::new()?;
    config.ignore_client_order = true;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    tokio::spawn(follow(files, pair, current));
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Prefers AES-128, like BoringSSL: its suites hash with SHA-256, for which processors have instructions, and those of
/// AES-256 with SHA-384.
fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|supported| {
        !matches!(
            supported.suite(),
            CipherSuite::TLS13_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        )
    });
    provider
}

/// Replaces the key when the files change. Invalid files are logged once, and the last key stays.
async fn follow(files: TlsFiles, mut last: PemPair, current: Arc<CurrentKey>) {
    loop {
        time::sleep(POLL_INTERVAL).await;
        let paths = files.clone();
        // A missing file is about to be replaced.
        let Ok(Ok(pair)) = task::spawn_blocking(move || PemPair::read(&paths)).await else {
            continue;
        };
        if pair == last {
            continue;
        }
        match pair.parse() {
            Ok(key) => *current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key),
            Err(error) => {
                tracing::error!("keeping the previous certificate: {}", chain(&*error));
            }
        }
        last = pair;
    }
}
