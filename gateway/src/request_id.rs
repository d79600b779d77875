//! What names a request to all who take part in it: `x-request-id`, and W3C's trace context.
//!
//! A trace that comes goes on as it is, and none is begun: who begins one decides for all that follow whether
//! it is recorded, and this gateway records nothing. The request's id joins logs, and is always there.

use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use tower_http::request_id::{MakeRequestId, RequestId};
use url::form_urlencoded;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// What an id of the caller's may measure; it ends in logs.
const LONGEST: usize = 128;

/// Ids that differ; nothing rests on their being hard to guess, so that the kernel is not asked for each.
#[derive(Clone)]
pub(crate) struct RandomId;

impl MakeRequestId for RandomId {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        let id = uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes()).into_uuid();
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        HeaderValue::from_str(id.hyphenated().encode_lower(&mut text))
            .ok()
            .map(RequestId::new)
    }
}

/// The ids of a request.
#[derive(Default)]
pub(crate) struct Ids {
    request: Option<HeaderValue>,
    parent: Option<HeaderValue>,
}

impl Ids {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self {
            request: only(headers, &REQUEST_ID).cloned(),
            parent: parent(headers).cloned(),
        }
    }

    pub(crate) fn request(&self) -> Option<&str> {
        self.request.as_ref().filter(|id| is_fit(id))?.to_str().ok()
    }

    pub(crate) fn trace(&self) -> Option<&str> {
        self.parent.as_ref()?.to_str().ok()?.get(3..35)
    }
}

/// Without an id that is not fit for logs, and a trace context that is none. What the caller has signed stays,
/// since its signature would be wrong without; it is not logged.
pub(crate) fn cleaned<B>(mut request: Request<B>) -> Request<B> {
    let headers = request.headers();
    let is_traced = parent(headers).is_some();
    let has_id = only(headers, &REQUEST_ID).is_some_and(is_fit);
    // A state says more of a parent, which there has to be.
    for (name, is_sound) in [
        (REQUEST_ID, has_id),
        (TRACEPARENT, is_traced),
        (TRACESTATE, is_traced),
    ] {
        if !is_sound && request.headers().contains_key(&name) && !is_signed(&request, &name) {
            request.headers_mut().remove(name);
        }
    }
    request
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

fn is_fit(id: &HeaderValue) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:/+=@".contains(byte);
    (1..=LONGEST).contains(&id.len()) && id.as_bytes().iter().all(allowed)
}

/// A sound `traceparent` (W3C Trace Context, section 3.2.2): `00-{trace}-{parent}-{flags}`, or a later version
/// that begins so.
fn parent(headers: &HeaderMap) -> Option<&HeaderValue> {
    let value = only(headers, &TRACEPARENT)?;
    let mut parts = value.as_bytes().splitn(5, |byte| *byte == b'-');
    let mut hex = |length| {
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        parts
            .next()
            .filter(|part| part.len() == length && part.iter().all(is_hex))
    };
    let (version, trace, parent, _flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    let is_zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
    let is_known = version != b"ff" && (version != b"00" || parts.next().is_none());
    (is_known && !is_zero(trace) && !is_zero(parent)).then_some(value)
}

/// Whether a signature of the caller's, in header or query, names a header.
fn is_signed<B>(request: &Request<B>, name: &HeaderName) -> bool {
    let among = |names: &str| {
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
        names.is_some_and(|(_, rest)| among(rest.split([',', ' ']).next().unwrap_or_default()))
    });
    let query = request.uri().query().unwrap_or_default();
    in_header
        || form_urlencoded::parse(query.as_bytes())
            .any(|(key, names)| key == "X-Amz-SignedHeaders" && among(&names))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn left(target: &str, headers: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut request = Request::get(target);
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
            request = request.header(*name, value);
        }
        let request = cleaned(request.body(()).expect("a request"));
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect()
    }

    #[test]
    fn a_trace_context_goes_on_if_it_is_one() {
        let later = TRACE.replacen("00", "cc", 1);
        for (parent, sound) in [
            (TRACE, true),
            (&TRACE.replace("-01", "-ff"), true),
            (&later, true),
            (&format!("{later}-what-is-to-come"), true),
            (&format!("{later}what-is-to-come"), false),
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
            let left = left("/", &headers);
            let expected = if sound { headers.len() } else { 0 };
            assert_eq!(left.len(), expected, "{parent}: {left:?}");
        }
        assert_eq!(
            left("/", &[("traceparent", TRACE), ("traceparent", TRACE)]),
            []
        );
        assert_eq!(left("/", &[("tracestate", "a=1")]), []);
        assert_eq!(left("/", &[("x-amzn-trace-id", "Root=1-a-b")]).len(), 1);
    }

    #[test]
    fn an_id_goes_on_if_it_is_fit_for_logs() {
        let longest = "a".repeat(LONGEST);
        for (id, fit) in [
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
                left("/", &[("x-request-id", id)]).len(),
                usize::from(fit),
                "{id}"
            );
        }
        assert_eq!(
            left("/", &[("x-request-id", "a"), ("x-request-id", "b")]),
            []
        );
    }

    #[test]
    fn what_the_caller_has_signed_stays() {
        let bad = [("x-request-id", "a b"), ("traceparent", "00")];
        let signed = "AWS4-HMAC-SHA256 Credential=A/b, SignedHeaders=host;traceparent, Signature=c";
        for (target, authorization, stays) in [
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
            let left = left(
                target,
                &[&bad[..], &[("authorization", authorization)]].concat(),
            );
            let mut left: Vec<_> = left.iter().map(|(name, _)| &**name).collect();
            left.retain(|name| *name != "authorization");
            assert_eq!(left, stays, "{target} {authorization}");
        }
    }
}
