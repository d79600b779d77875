//! What an answer is stored under, and what requests say of caches.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tower_sigv4::verify::Verified;
use url::{Url, form_urlencoded};

use super::cost;

/// Host, path and query, as the client asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(Arc<str>);

impl Key {
    /// Without a host that can be read there is none.
    pub(super) fn of(head: &Parts) -> Option<Self> {
        let mut hosts = head.headers.get_all(header::HOST).iter();
        let host = match (head.uri.authority(), hosts.next(), hosts.next()) {
            (Some(authority), ..) => authority.as_str(),
            (None, Some(host), None) => host.to_str().ok()?,
            _ => return None,
        };
        Some(Self::new(host, head.uri.path_and_query()?.as_str()))
    }

    pub(super) fn new(host: &str, target: &str) -> Self {
        Self(format!("{} {target}", host.to_ascii_lowercase()).into())
    }

    /// Memory that one copy takes, with all its clones.
    pub(super) fn size(&self) -> usize {
        cost::allocation(cost::COUNTS + self.0.len())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// What else an answer to an unsafe request is about, on the same host (RFC 9111, section 4.4).
    pub(super) fn related<'a>(&self, answer: &'a HeaderMap) -> impl Iterator<Item = Self> + 'a {
        let (host, target) = self.0.split_once(' ').unwrap_or_default();
        let (host, base) = (
            host.to_owned(),
            Url::parse(&format!("http://{host}{target}")).ok(),
        );
        let named = [header::LOCATION, header::CONTENT_LOCATION];
        named.into_iter().filter_map(move |name| {
            let (named, base) = (answer.get(name)?.to_str().ok()?, base.as_ref()?);
            let url = base.join(named).ok()?;
            // Whether the client came by TLS is not known here, and one answer too few does no harm.
            let same = (url.host_str(), url.port()) == (base.host_str(), base.port());
            let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
            same.then(|| Self::new(&host, target))
        })
    }
}

/// Tells routes apart, since the same URL may lead to several origins by a header's value. It is made of what
/// a route is: by its place in the file, gateways that share a store would mix up their routes when the file
/// of one is changed before that of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct RouteId([u8; 32]);

impl RouteId {
    pub(super) fn of(description: &str) -> Self {
        Self(Sha256::digest(description).into())
    }
}

/// Whether the cache keeps out of it, though the method is one that it understands.
pub(super) fn bypasses(head: &Parts) -> bool {
    // Parts of an answer are not stored (RFC 9111, section 3.3), and of these conditions only the origin
    // can be the judge (section 4.3.2).
    let names = [
        header::RANGE,
        header::IF_RANGE,
        header::IF_MATCH,
        header::IF_UNMODIFIED_SINCE,
    ];
    // A presigned URL is another at each signing, and says who asks.
    let mut query = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
    names.iter().any(|name| head.headers.contains_key(name))
        || query.any(|(name, _)| name.to_ascii_lowercase().starts_with("x-amz-"))
}

pub(super) fn is_authorized(head: &Parts) -> bool {
    head.headers.contains_key(header::AUTHORIZATION) || head.extensions.get::<Verified>().is_some()
}

pub(super) fn is_cacheable(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// The request headers that an answer depends on, and digests of what they were (RFC 9111, section 4.1): a
/// cookie, say, is not to be read in a store that others use.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Vary(Vec<(String, [u8; 32])>);

impl Vary {
    /// None for `*`, which no other request matches, for what cannot be read, and for the client's address,
    /// which signing adds.
    pub(super) fn of(request: &HeaderMap, response: &HeaderMap) -> Option<Self> {
        // Origins write links and redirects by them and seldom say so: one client's are not for others.
        let always = ["forwarded", "x-forwarded-host", "x-forwarded-proto"];
        let mut fields = always
            .map(|name| (name.to_owned(), digest(request, name)))
            .to_vec();
        for value in response.get_all(header::VARY) {
            let names = value.to_str().ok()?.split(',').map(str::trim);
            for name in names.filter(|name| !name.is_empty()) {
                // `*` could be a header's name by its letters.
                let unknown = |name: &HeaderName| name == "*" || name == "x-forwarded-for";
                let name = HeaderName::try_from(name)
                    .ok()
                    .filter(|name| !unknown(name))?;
                fields.push((name.as_str().to_owned(), digest(request, name.as_str())));
            }
        }
        Some(Self(fields))
    }

    /// The same headers as another request has them.
    pub(super) fn in_request(&self, request: &HeaderMap) -> Self {
        Self(
            self.0
                .iter()
                .map(|(name, _)| (name.clone(), digest(request, name)))
                .collect(),
        )
    }

    pub(super) fn matches(&self, request: &HeaderMap) -> bool {
        self.0
            .iter()
            .all(|(name, values)| digest(request, name) == *values)
    }

    /// Memory beyond the value itself.
    pub(super) fn size(&self) -> usize {
        let names: usize = self
            .0
            .iter()
            .map(|(name, _)| cost::allocation(name.capacity()))
            .sum();
        cost::allocation(self.0.capacity() * size_of::<(String, [u8; 32])>()) + names
    }
}

fn digest(headers: &HeaderMap, name: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    for value in headers.get_all(name) {
        digest.update(value.len().to_be_bytes()); // so that two are not taken for one
        digest.update(value);
    }
    digest.finalize().into()
}

/// The directives of `cache-control`, in small letters (RFC 9111, section 5.2).
pub(super) struct Directives(Vec<String>);

impl Directives {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::CACHE_CONTROL).iter();
        let values = values.map(|value| match value.to_str() {
            Ok(text) => text.to_ascii_lowercase(),
            // Who knows what it forbids.
            Err(_) => "no-store".to_owned(),
        });
        let split = |value: String| {
            value
                .split(',')
                .map(|directive| directive.trim().to_owned())
                .collect::<Vec<_>>()
        };
        Self(values.flat_map(split).collect())
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|directive| {
            let (found, value) = directive.split_once('=').unwrap_or((directive, ""));
            (found.trim() == name).then(|| value.trim().trim_matches('"'))
        })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Memory that http-cache-semantics takes for its own copy of them.
    pub(super) fn size(&self) -> usize {
        self.0
            .iter()
            .map(|directive| cost::directive(directive.len()))
            .sum()
    }

    pub(super) fn seconds(&self, name: &str) -> Option<u64> {
        self.value(name)?.parse().ok()
    }

    /// As the crate reads them, which knows small letters alone. `max-stale` is left out: it would serve
    /// what the origin wants to be asked about (section 4.2.4), and need not be heeded.
    pub(super) fn to_value(&self) -> Option<HeaderValue> {
        let wanted = self
            .0
            .iter()
            .filter(|directive| !directive.starts_with("max-stale"));
        let wanted: Vec<_> = wanted.map(String::as_str).collect();
        HeaderValue::from_str(&wanted.join(", "))
            .ok()
            .filter(|value| !value.is_empty())
    }
}
