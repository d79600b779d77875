//! Changes of headers that a route makes: of requests before they are signed, and of responses at the end.

use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use tower_sigv4::origin::OwnHeaders;

/// Changes of the headers that an origin receives.
///
/// A change that depends on the request comes before the cache, which thereby sees what `vary` refers to. A fixed value
/// comes after it: it is the same for all requests, and must not mark them as those of one caller.
#[derive(Clone, Debug)]
pub(crate) struct RequestEdits {
    pub(crate) remove: Vec<HeaderName>,
    /// Each name, and the name of the header that its values come from.
    pub(crate) copy: Vec<(HeaderName, HeaderName)>,
    pub(crate) set: Vec<(HeaderName, HeaderValue)>,
    pub(crate) add: Vec<(HeaderName, HeaderValue)>,
    /// Header that receives a client's `authorization`.
    pub(crate) moved_authorization: Option<HeaderName>,
    /// Names of `set`, for limits that apply to clients.
    pub(crate) own: OwnHeaders,
}

/// Changes of the headers that a client receives.
#[derive(Debug, Default)]
pub(crate) struct ResponseEdits {
    pub(crate) remove: Vec<HeaderName>,
    pub(crate) set: Vec<(HeaderName, HeaderValue)>,
    pub(crate) add: Vec<(HeaderName, HeaderValue)>,
}

impl RequestEdits {
    pub(crate) fn is_empty(&self) -> bool {
        self.remove.is_empty()
            && self.copy.is_empty()
            && self.set.is_empty()
            && self.add.is_empty()
            && self.moved_authorization.is_none()
    }

    /// Makes the changes that depend on the request, and removes the client's headers that the route sets.
    pub(crate) fn apply_to_client(&self, head: &mut Parts) {
        let headers = &mut head.headers;
        self.protect(headers);
        for name in &self.remove {
            remove_all_spellings(headers, name);
        }
        let copied: Vec<(&HeaderName, Vec<HeaderValue>)> = self
            .copy
            .iter()
            .map(|(to, from)| (to, headers.get_all(from).iter().cloned().collect()))
            .collect();
        let authorization = self.moved_authorization.as_ref().map(|name| {
            let value = moved_value(headers).cloned();
            (name, value.into_iter().collect())
        });
        for name in self.set.iter().map(|(name, _)| name) {
            remove_all_spellings(headers, name);
        }
        for (name, values) in copied.into_iter().chain(authorization) {
            remove_all_spellings(headers, name);
            for value in values {
                headers.append(name, value);
            }
        }
    }

    /// Returns `true` if the route removes, copies, sets, adds or moves to a header of this name, in any spelling.
    pub(crate) fn changes(&self, name: &HeaderName) -> bool {
        let targets = self.copy.iter().map(|(to, _)| to);
        let fixed = self.set.iter().chain(&self.add).map(|(own, _)| own);
        self.remove
            .iter()
            .chain(targets)
            .chain(fixed)
            .chain(&self.moved_authorization)
            .any(|own| is_same_name(own, name))
    }

    /// Sets and adds the fixed values.
    pub(crate) fn apply_fixed(&self, head: &mut Parts) {
        for (name, value) in &self.set {
            head.headers.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            head.headers.append(name, value.clone());
        }
        head.extensions.insert(self.own.clone());
    }

    /// Removes names of the route from `connection`: a client could name them there, and they would be removed before
    /// the request is sent (RFC 9110, section 7.6.1).
    fn protect(&self, headers: &mut HeaderMap) {
        let is_own = |option: &[u8]| {
            let targets = self.copy.iter().map(|(to, _)| to);
            let fixed = self.set.iter().chain(&self.add).map(|(name, _)| name);
            targets
                .chain(fixed)
                .chain(&self.moved_authorization)
                .any(|name| option.eq_ignore_ascii_case(name.as_str().as_bytes()))
        };
        let options = || {
            let values = headers.get_all(header::CONNECTION).iter();
            values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        };
        if !options().any(|option| is_own(option.trim_ascii())) {
            return;
        }
        let kept: Vec<_> = options()
            .map(<[u8]>::trim_ascii)
            .filter(|option| !is_own(option))
            .collect();
        match HeaderValue::from_bytes(&kept.join(&b", "[..])) {
            Ok(value) => headers.insert(header::CONNECTION, value),
            Err(_) => headers.remove(header::CONNECTION),
        };
    }
}

impl ResponseEdits {
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name, value.clone());
        }
    }
}

/// Removes a header, and those that a server behind CGI or WSGI reads as the same one: they read `_` as `-`.
fn remove_all_spellings(headers: &mut HeaderMap, name: &HeaderName) {
    headers.remove(name);
    let is_same = |other: &HeaderName| other.as_str().contains('_') && is_same_name(name, other);
    let spellings: Vec<_> = headers
        .keys()
        .filter(|other| is_same(other))
        .cloned()
        .collect();
    for spelling in spellings {
        headers.remove(spelling);
    }
}

/// Compares two names as a server does that reads `_` as `-`.
fn is_same_name(name: &HeaderName, other: &HeaderName) -> bool {
    let letters = |text: &HeaderName| text.as_str().len();
    letters(name) == letters(other)
        && name
            .as_str()
            .bytes()
            .map(hyphen)
            .eq(other.as_str().bytes().map(hyphen))
}

fn hyphen(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte }
}

/// Returns a client's `authorization`, unless it is a signature of AWS, or there are several.
fn moved_value(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let only = values.next().filter(|_| values.next().is_none())?;
    (!is_aws_signature(only.as_bytes())).then_some(only)
}

/// Signature Version 4 has schemes such as `AWS4-HMAC-SHA256`, and version 2 has `AWS`.
fn is_aws_signature(authorization: &[u8]) -> bool {
    let start = authorization.trim_ascii_start().get(..3);
    start.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"aws"))
}
