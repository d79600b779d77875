//! Keys of stored responses.

use std::{cell::RefCell, sync::Arc};

use http::{HeaderMap, header, request::Parts};
use sha2::{Digest, Sha256};
use url::{Position, Url};

thread_local! {
    /// Used again for each key, which is then one allocation.
    static BUFFER: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Identifies the stored responses to a request: host, path and query, and what separates responses beside `vary`.
///
/// ```
/// use http_cache_layer::Key;
///
/// let key = Key::new("API.example.com", "/orders?page=1");
/// assert_eq!((key.host(), key.path_and_query()), ("api.example.com", "/orders?page=1"));
/// assert_ne!(key.clone().with_identity(b"alice"), key.with_identity(b"bob"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Host, space, path and query.
    url: Arc<str>,
    partition: Partition,
    identity: Option<Identity>,
}

impl Key {
    /// Creates the key of a URL. The host may have a port.
    #[must_use]
    pub fn new(host: &str, path_and_query: &str) -> Self {
        let url = BUFFER.with_borrow_mut(|buffer| {
            buffer.clear();
            buffer.push_str(host);
            buffer.make_ascii_lowercase();
            buffer.push(' ');
            buffer.push_str(path_and_query);
            Arc::from(buffer.as_str())
        });
        Self {
            url,
            partition: Partition::default(),
            identity: None,
        }
    }

    /// Returns the key of a request, or `None` if it has no single, readable host.
    #[must_use]
    pub fn from_request(head: &Parts) -> Option<Self> {
        let mut hosts = head.headers.get_all(header::HOST).iter();
        let host = match (head.uri.authority(), hosts.next(), hosts.next()) {
            (Some(authority), ..) => authority.as_str(),
            (None, Some(host), None) => host.to_str().ok()?,
            _ => return None,
        };
        Some(Self::new(host, head.uri.path_and_query()?.as_str()))
    }

    /// Separates the responses of one caller from those of others.
    ///
    /// A store keeps a digest. Each identity has its own variants; a purge of the URL removes those of all identities.
    #[must_use]
    pub fn with_identity(mut self, identity: &[u8]) -> Self {
        self.identity = Some(Identity(Sha256::digest(identity).into()));
        self
    }

    /// Separates responses to one URL that differ by something that `vary` does not name, such as the scheme that a
    /// trusted proxy has forwarded.
    ///
    /// Parts add up, and their order counts. They share the URL's limit on variants.
    #[must_use]
    pub fn with_part(mut self, part: &[u8]) -> Self {
        let previous = self.partition.0;
        let digest = Sha256::new_with_prefix(previous).chain_update(part);
        self.partition = Partition(digest.finalize().into());
        self
    }

    /// Adds the partition of a layer. Parts of the key stay.
    pub(crate) fn with_partition(mut self, partition: Partition) -> Self {
        let parts = self.partition;
        self.partition = if parts == Partition::default() {
            partition
        } else {
            let digest = Sha256::new_with_prefix(partition.0).chain_update(parts.0);
            Partition(digest.finalize().into())
        };
        self
    }

    /// Returns the host in lower case, with its port if it has one.
    #[must_use]
    pub fn host(&self) -> &str {
        self.split().0
    }

    /// Returns path and query.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        self.split().1
    }

    fn split(&self) -> (&str, &str) {
        self.url.split_once(' ').unwrap_or_default()
    }

    /// Returns host, space, path and query.
    pub(crate) fn url(&self) -> &Arc<str> {
        &self.url
    }

    pub(crate) fn partition(&self) -> Partition {
        self.partition
    }

    pub(crate) fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Other URLs on the same host that the response to an unsafe request invalidates (RFC 9111, section 4.4).
    pub(crate) fn related<'a>(
        &self,
        response: &'a HeaderMap,
    ) -> impl Iterator<Item = Self> + use<'a> {
        let (own_host, path_and_query) = self.split();
        let base = Url::parse(&format!("http://{own_host}{path_and_query}")).ok();
        let host = own_host.to_owned();
        let names = [header::LOCATION, header::CONTENT_LOCATION];
        names.into_iter().filter_map(move |name| {
            let reference = response.get(name)?.to_str().ok()?;
            let own = base.as_ref()?;
            let url = own.join(reference).ok()?;
            // The client's scheme is unknown here; one stored response too few does no harm.
            let same_host = (url.host_str(), url.port()) == (own.host_str(), own.port());
            same_host.then(|| Self::new(&host, &url[Position::BeforePath..Position::AfterQuery]))
        })
    }
}

/// Digest of a partition's description and of a key's parts.
///
/// It depends on them alone, so that processes that share a store agree on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Partition(pub(crate) [u8; 32]);

impl Partition {
    pub(crate) fn new(description: &str) -> Self {
        Self(Sha256::digest(description).into())
    }
}

/// Digest of a caller's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity(pub(crate) [u8; 32]);
