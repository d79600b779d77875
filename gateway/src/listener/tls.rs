//! TLS in front: a certificate that is read anew when its files change.

use std::{
    fs,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{task, time};
use tokio_rustls::TlsAcceptor;

use crate::{BoxError, response::chain};

/// How often the files are looked at: they are replaced on disks that tell no one, too.
const POLL: Duration = Duration::from_secs(2);

/// The two files, as PEM.
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// What was read of them.
#[derive(PartialEq)]
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    /// Says what is wrong with them.
    pub(crate) fn check(&self) -> Result<(), BoxError> {
        self.read()?.parse().map(drop)
    }

    fn read(&self) -> Result<Pair, BoxError> {
        let read = |file: &String| {
            fs::read(file).map_err(|error| {
                format!("cannot read {file}: {error}; give the path of a PEM file")
            })
        };
        Ok(Pair {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
        })
    }
}

impl Pair {
    fn parse(&self) -> Result<CertifiedKey, BoxError> {
        let chain = CertificateDer::pem_slice_iter(&self.certificate);
        let chain = chain
            .collect::<Result<Vec<_>, _>>()
            .ok()
            .filter(|chain| !chain.is_empty());
        let chain = chain.ok_or("there is no certificate in tls_certificate, as PEM")?;
        // The error could quote the key.
        let key = PrivateKeyDer::from_pem_slice(&self.key);
        let key = key.map_err(|_| "there is no private key in tls_key, as PEM")?;
        // This refuses a key that is not the certificate's.
        Ok(CertifiedKey::from_der(
            chain,
            key,
            &ring::default_provider(),
        )?)
    }
}

#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(
            self.0
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        )
    }
}

/// Accepts TLS, with HTTP/2 for who asks for it, as long as the files say with which certificate.
pub(crate) fn acceptor(files: Files) -> Result<TlsAcceptor, BoxError> {
    let pair = files.read()?;
    let current = Arc::new(Current(RwLock::new(Arc::new(pair.parse()?))));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(current.clone());
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    tokio::spawn(follow(files, pair, current));
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Takes what the files say, if it is sound. What is not is told once, and the last pair stays.
async fn follow(files: Files, mut seen: Pair, current: Arc<Current>) {
    loop {
        time::sleep(POLL).await;
        let files = files.clone();
        // A file that is missing is about to be replaced.
        let Ok(Ok(pair)) = task::spawn_blocking(move || files.read()).await else {
            continue;
        };
        if pair == seen {
            continue;
        }
        match pair.parse() {
            Ok(key) => *current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key),
            Err(error) => {
                tracing::error!("the certificate stays the last one: {}", chain(&*error));
            }
        }
        seen = pair;
    }
}
