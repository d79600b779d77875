//! `x-request-id`, and W3C's trace context.
//!
//! A trace context is forwarded unchanged unless [`telemetry`](crate::telemetry) records the request. Every request has an ID, which connects the logs.

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, header};
use url::form_urlencoded;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Maximum length of a caller's ID, which is logged.
const MAX_ID_LEN: usize = 128;

/// Returns the request's ID, after giving it a random one if it has none.
pub(crate) fn assign(headers: &mut HeaderMap) -> Option<HeaderValue> {
    if let Some(id) = headers.get(REQUEST_ID) {
        return Some(id.clone());
    }
    let id = random()?;
    headers.insert(REQUEST_ID, id.clone());
    Some(id)
}

/// Adds the request's ID to its response, unless the origin has sent one.
pub(crate) fn add_to_response(headers: &mut HeaderMap, id: HeaderValue) {
    headers.entry(REQUEST_ID).or_insert(id);
}

/// IDs need not be hard to guess, so there is no system call for each.
fn random() -> Option<HeaderValue> {
    let id = uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes()).into_uuid();
    let mut buffer = [0; uuid::fmt::Hyphenated::LENGTH];
    HeaderValue::from_str(id.hyphenated().encode_lower(&mut buffer)).ok()
}

/// Extension of a request whose client has sent its ID.
#[derive(Clone)]
struct ClientId;

/// Returns `true` if the client has chosen the request's ID.
pub(crate) fn is_from_client(extensions: &Extensions) -> bool {
    extensions.get::<ClientId>().is_some()
}

/// IDs of a request, for the logs.
#[derive(Default)]
pub(crate) struct RequestIds {
    request: Option<HeaderValue>,
    parent: Option<HeaderValue>,
    /// Trace that begins here.
    trace: Option<String>,
}

impl RequestIds {
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        Self {
            trace: None,
            request: single(headers, &REQUEST_ID).cloned(),
            parent: traceparent(headers).cloned(),
        }
    }

    pub(crate) fn request_id(&self) -> Option<&str> {
        self.request
            .as_ref()
            .filter(|id| is_loggable(id))?
            .to_str()
            .ok()
    }

    pub(crate) fn with_trace(mut self, id: u128) -> Self {
        self.trace = Some(format!("{id:032x}"));
        self
    }

    pub(crate) fn trace_id(&self) -> Option<&str> {
        if let Some(id) = &self.trace {
            return Some(id);
        }
        self.parent.as_ref()?.to_str().ok()?.get(3..35)
    }
}

/// Removes an ID that is not fit for logs, and an invalid trace context. Signed headers stay, since the caller's
/// signature covers them; they are not logged.
pub(crate) fn remove_invalid<B>(mut request: Request<B>) -> Request<B> {
    let has_id = |headers: &HeaderMap| single(headers, &REQUEST_ID).is_some_and(is_loggable);
    let is_traced = |headers: &HeaderMap| traceparent(headers).is_some();
    // `tracestate` is meaningless without `traceparent`.
    type IsValid = fn(&HeaderMap) -> bool;
    let checks: [(HeaderName, IsValid); 3] = [
        (REQUEST_ID, has_id),
        (TRACEPARENT, is_traced),
        (TRACESTATE, is_traced),
    ];
    for (name, is_valid) in checks {
        let headers = request.headers();
        if headers.contains_key(&name) && !is_valid(headers) && !is_signed(&request, &name) {
            request.headers_mut().remove(name);
        }
    }
    if request.headers().contains_key(REQUEST_ID) {
        request.extensions_mut().insert(ClientId);
    }
    request
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

fn is_loggable(id: &HeaderValue) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:/+=@".contains(byte);
    (1..=MAX_ID_LEN).contains(&id.len()) && id.as_bytes().iter().all(allowed)
}

/// Returns a valid `traceparent` (W3C Trace Context, section 3.2.2): `00-{trace}-{parent}-{flags}`, or a later version
/// with more fields.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<&HeaderValue> {
    let value = single(headers, &TRACEPARENT)?;
    let mut parts = value.as_bytes().splitn(5, |byte| *byte == b'-');
    let mut hex = |len| {
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        parts
            .next()
            .filter(|part| part.len() == len && part.iter().all(is_hex))
    };
    let version = hex(2)?;
    let trace = hex(32)?;
    let parent = hex(16)?;
    let _flags = hex(2)?;
    let is_zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
    let is_known = version != b"ff" && (version != b"00" || parts.next().is_none());
    (is_known && !is_zero(trace) && !is_zero(parent)).then_some(value)
}

/// Returns `true` if the caller's signature, in the header or the query, covers a header.
pub(crate) fn is_signed<B>(request: &Request<B>, name: &HeaderName) -> bool {
    let contains = |names: &str| {
        names
            .split(';')
            .any(|signed| signed.eq_ignore_ascii_case(name.as_str()))
    };
    let mut authorizations = request.headers().get_all(header::AUTHORIZATION).iter();
    let in_header = authorizations.any(|value| {
        let names = value
            .to_str()
            .ok()
            .and_then(|text| text.split_once("SignedHeaders="));
        names.is_some_and(|(_, rest)| contains(rest.split([',', ' ']).next().unwrap_or_default()))
    });
    let query = request.uri().query().unwrap_or_default();
    in_header
        || form_urlencoded::parse(query.as_bytes())
            .any(|(key, names)| key == "X-Amz-SignedHeaders" && contains(&names))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn remaining(target: &str, headers: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut request = Request::get(target);
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
            request = request.header(*name, value);
        }
        let cleaned = remove_invalid(request.body(()).expect("valid request"));
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        cleaned
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect()
    }

    #[test]
    fn valid_trace_contexts_are_forwarded() {
        let later = TRACE.replacen("00", "cc", 1);
        for (parent, is_valid) in [
            (TRACE, true),
            (&TRACE.replace("-01", "-ff"), true),
            (&later, true),
            (&format!("{later}-future-field"), true),
            (&format!("{later}future-field"), false),
            (&format!("{TRACE}-more"), false),
            (&format!("{TRACE}-"), false),
            (&TRACE.replacen("00", "ff", 1), false),
            (&TRACE.replacen("00", "0", 1), false),
            (&TRACE.to_uppercase(), false),
            (
                &TRACE.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
                false,
            ),
            (&TRACE.replace("b7ad6b7169203331", &"0".repeat(16)), false),
            (&TRACE.replace("b7ad", "b7a"), false),
            (&TRACE.replace("b7ad", "b7ag"), false),
            (&TRACE[..TRACE.len() - 1], false),
            (&TRACE.replace('-', "_"), false),
            ("00", false),
            ("", false),
            ("é", false),
        ] {
            let headers = [
                ("traceparent", parent),
                ("tracestate", "a=1"),
                ("tracestate", "b=2"),
            ];
            let remaining = remaining("/", &headers);
            let expected = if is_valid { headers.len() } else { 0 };
            assert_eq!(remaining.len(), expected, "{parent}: {remaining:?}");
        }
        assert_eq!(
            remaining("/", &[("traceparent", TRACE), ("traceparent", TRACE)]),
            []
        );
        assert_eq!(remaining("/", &[("tracestate", "a=1")]), []);
        assert_eq!(
            remaining("/", &[("x-amzn-trace-id", "Root=1-a-b")]).len(),
            1
        );
    }

    #[test]
    fn loggable_ids_are_forwarded() {
        let longest = "a".repeat(MAX_ID_LEN);
        for (id, is_valid) in [
            ("mine", true),
            ("0af7-16cd.43_dd~8:4/48+eb=@", true),
            (&longest, true),
            (&format!("{longest}a"), false),
            ("", false),
            ("a b", false),
            ("a\tb", false),
            ("a\"b", false),
            ("a\\b", false),
            ("a,b", false),
            ("é", false),
        ] {
            assert_eq!(
                remaining("/", &[("x-request-id", id)]).len(),
                usize::from(is_valid),
                "{id}"
            );
        }
        assert_eq!(
            remaining("/", &[("x-request-id", "a"), ("x-request-id", "b")]),
            []
        );
    }

    #[test]
    fn signed_headers_are_kept() {
        let bad = [("x-request-id", "a b"), ("traceparent", "00")];
        let signed = "AWS4-HMAC-SHA256 Credential=A/b, SignedHeaders=host;traceparent, Signature=c";
        for (target, authorization, kept) in [
            ("/", "", &[][..]),
            ("/", signed, &["traceparent"]),
            ("/", &signed.replace(", ", ","), &["traceparent"]),
            ("/", &signed.replace("traceparent", "x-traceparent"), &[]),
            (
                "/?X-Amz-SignedHeaders=host%3Bx-request-id",
                "",
                &["x-request-id"],
            ),
            ("/?x=host%3Bx-request-id", "", &[]),
        ] {
            let remaining = remaining(
                target,
                &[&bad[..], &[("authorization", authorization)]].concat(),
            );
            let mut names: Vec<_> = remaining.iter().map(|(name, _)| &**name).collect();
            names.retain(|name| *name != "authorization");
            assert_eq!(names, kept, "{target} {authorization}");
        }
    }
}
