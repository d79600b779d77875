//! Keys of stored responses.

use std::sync::Arc;

use http::{HeaderMap, Method, header, request::Parts};
use sha2::{Digest, Sha256};
use url::{Position, Url};

use crate::cost;

/// Host, path and query of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(Arc<str>);

impl Key {
    /// Returns `None` if the request has no single, readable host.
    pub(crate) fn from_request(head: &Parts) -> Option<Self> {
        let mut hosts = head.headers.get_all(header::HOST).iter();
        let host = match (head.uri.authority(), hosts.next(), hosts.next()) {
            (Some(authority), ..) => authority.as_str(),
            (None, Some(host), None) => host.to_str().ok()?,
            _ => return None,
        };
        Some(Self::new(host, head.uri.path_and_query()?.as_str()))
    }

    pub(crate) fn new(host: &str, path_and_query: &str) -> Self {
        Self(format!("{} {path_and_query}", host.to_ascii_lowercase()).into())
    }

    /// Memory that one copy uses together with its clones.
    pub(crate) fn size(&self) -> usize {
        cost::allocation(cost::ARC_COUNTS + self.0.len())
    }

    #[cfg(feature = "redis")]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Other URLs on the same host that the response to an unsafe request invalidates (RFC 9111, section 4.4).
    pub(crate) fn related<'a>(
        &self,
        response: &'a HeaderMap,
    ) -> impl Iterator<Item = Self> + use<'a> {
        let (own_host, path_and_query) = self.0.split_once(' ').unwrap_or_default();
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

/// Digest of a partition's description.
///
/// It depends on the description alone, so that processes that share a store agree on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "redis", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Partition([u8; 32]);

impl Partition {
    pub(crate) fn new(description: &str) -> Self {
        Self(Sha256::digest(description).into())
    }
}

pub(crate) fn is_cacheable(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// Returns `true` for requests that only the origin can handle: partial responses are not stored (RFC 9111, section
/// 3.3), and only the origin can evaluate these conditions (section 4.3.2).
pub(crate) fn needs_origin(headers: &HeaderMap) -> bool {
    [
        header::RANGE,
        header::IF_RANGE,
        header::IF_MATCH,
        header::IF_UNMODIFIED_SINCE,
    ]
    .iter()
    .any(|name| headers.contains_key(name))
}
