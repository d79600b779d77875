//! What an answer is stored under, and what requests say of caches.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};
use tower_sigv4::verify::Verified;

/// Host, path and query, as the client asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(String);

impl Key {
    /// Without a host that can be read there is none.
    pub(super) fn of(head: &Parts) -> Option<Self> {
        let mut hosts = head.headers.get_all(header::HOST).iter();
        let host = match (head.uri.authority(), hosts.next(), hosts.next()) {
            (Some(authority), ..) => authority.as_str(),
            (None, Some(host), None) => host.to_str().ok()?,
            _ => return None,
        };
        let target = head.uri.path_and_query()?.as_str();
        Some(Self(format!("{} {target}", host.to_ascii_lowercase())))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Whether the cache keeps out of it, though the method is one that it understands.
pub(super) fn bypasses(head: &Parts) -> bool {
    // Parts of an answer are not stored (RFC 9111, section 3.3), and of these conditions only the origin
    // can be the judge (section 4.3.2).
    let names = [header::RANGE, header::IF_RANGE, header::IF_MATCH, header::IF_UNMODIFIED_SINCE];
    // A presigned URL is another at each signing, and says who asks.
    let query = head.uri.query().unwrap_or_default().to_ascii_lowercase().replace("%2d", "-");
    names.iter().any(|name| head.headers.contains_key(name))
        || query.split('&').any(|pair| pair.starts_with("x-amz-"))
}

pub(super) fn is_authorized(head: &Parts) -> bool {
    head.headers.contains_key(header::AUTHORIZATION) || head.extensions.get::<Verified>().is_some()
}

pub(super) fn is_cacheable(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// The request headers that an answer depends on, and what they were (RFC 9111, section 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Vary(Vec<(HeaderName, Vec<HeaderValue>)>);

impl Vary {
    /// None for `*`, which no other request matches, and for what cannot be read.
    pub(super) fn of(request: &HeaderMap, response: &HeaderMap) -> Option<Self> {
        let mut fields = Vec::new();
        for value in response.get_all(header::VARY) {
            let names = value.to_str().ok()?.split(',').map(str::trim);
            for name in names.filter(|name| !name.is_empty()) {
                // `*` could be a header's name by its letters.
                let name = HeaderName::try_from(name).ok().filter(|name| name != "*")?;
                let values = request.get_all(&name).iter().cloned().collect();
                fields.push((name, values));
            }
        }
        Some(Self(fields))
    }

    pub(super) fn matches(&self, request: &HeaderMap) -> bool {
        self.0.iter().all(|(name, values)| request.get_all(name).iter().eq(values))
    }

    pub(super) fn len(&self) -> usize {
        let values = self.0.iter().flat_map(|(_, values)| values);
        values.map(HeaderValue::len).sum()
    }
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
            value.split(',').map(|directive| directive.trim().to_owned()).collect::<Vec<_>>()
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

    pub(super) fn seconds(&self, name: &str) -> Option<u64> {
        self.value(name)?.parse().ok()
    }

    /// As the crate reads them, which knows small letters alone. `max-stale` is left out: it would serve
    /// what the origin wants to be asked about (section 4.2.4), and need not be heeded.
    pub(super) fn to_value(&self) -> Option<HeaderValue> {
        let wanted = self.0.iter().filter(|directive| !directive.starts_with("max-stale"));
        let wanted: Vec<_> = wanted.map(String::as_str).collect();
        HeaderValue::from_str(&wanted.join(", ")).ok().filter(|value| !value.is_empty())
    }
}
