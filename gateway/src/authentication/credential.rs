//! Finds the mechanism that a request uses.

use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use url::form_urlencoded;

/// Parameters of a presigned URL, each of which shows that the request has a signature.
const PRESIGN_PARAMETERS: [&str; 3] = ["x-amz-algorithm", "x-amz-credential", "x-amz-signature"];

/// Credential of a request. It proves nothing yet.
#[derive(Debug, PartialEq)]
pub(super) enum Credential {
    None,
    Token,
    /// A bearer token in a header that is not configured.
    UnexpectedToken,
    Signature,
    /// Several, so that it is ambiguous who calls.
    Several,
}

impl Credential {
    /// Returns the credential of a request, whose token may be in one of these headers.
    pub(super) fn of(head: &Parts, token_headers: &[HeaderName]) -> Self {
        let count = |name: &HeaderName, matches: fn(&HeaderValue) -> bool| {
            let values = head.headers.get_all(name).iter();
            values.filter(|value| matches(value)).count()
        };
        let own_headers = token_headers
            .iter()
            .filter(|name| **name != header::AUTHORIZATION);
        let bearer_tokens = count(&header::AUTHORIZATION, is_bearer);
        let tokens = bearer_tokens + own_headers.map(|name| count(name, |_| true)).sum::<usize>();
        let is_signed = has_signature(&head.headers, head.uri.query().unwrap_or_default());
        match (tokens, is_signed) {
            (0, true) => Self::Signature,
            (0, false) => Self::None,
            (1, false) if bearer_tokens == 1 && !token_headers.contains(&header::AUTHORIZATION) => {
                Self::UnexpectedToken
            }
            (1, false) => Self::Token,
            _ => Self::Several,
        }
    }
}

/// Returns `true` for a request that has any part of a signature.
fn has_signature(headers: &HeaderMap, query: &str) -> bool {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    values.any(|value| value.as_bytes().starts_with(b"AWS4-"))
        || form_urlencoded::parse(query.as_bytes()).any(|(name, _)| {
            let mut parameters = PRESIGN_PARAMETERS.iter();
            parameters.any(|parameter| name.eq_ignore_ascii_case(parameter))
        })
}

/// Returns `true` for the scheme of RFC 6750, section 2.1. Schemes are compared without regard to case (RFC 9110,
/// section 11.1).
fn is_bearer(value: &HeaderValue) -> bool {
    let mut words = value.as_bytes().split(|byte| matches!(byte, b' ' | b'\t'));
    let scheme = words.next().unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"bearer")
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn credential_is_unambiguous_or_rejected() {
        let in_authorization = &[header::AUTHORIZATION][..];
        let own = &[HeaderName::from_static("x-token")][..];
        let signature = ("authorization", "AWS4-HMAC-SHA256 Credential=a");
        let bearer = ("authorization", "bearer abc");
        let token = ("x-token", "abc");
        let basic = ("authorization", "Basic abc");
        for (target, headers, accepted, expected) in [
            ("/", &[][..], in_authorization, Credential::None),
            ("/", &[basic], in_authorization, Credential::None),
            ("/", &[signature], in_authorization, Credential::Signature),
            ("/", &[signature, signature], &[], Credential::Signature),
            ("/?X-Amz-Signature=a", &[], own, Credential::Signature),
            ("/?%58-amz-credential=a", &[], own, Credential::Signature),
            ("/", &[bearer], in_authorization, Credential::Token),
            ("/", &[bearer], own, Credential::UnexpectedToken),
            ("/", &[bearer], &[], Credential::UnexpectedToken),
            ("/", &[token], own, Credential::Token),
            ("/", &[token, basic], own, Credential::Token),
            ("/", &[token], in_authorization, Credential::None),
            ("/", &[token, token], own, Credential::Several),
            (
                "/",
                &[bearer, bearer],
                in_authorization,
                Credential::Several,
            ),
            ("/", &[bearer, token], own, Credential::Several),
            (
                "/",
                &[bearer, signature],
                in_authorization,
                Credential::Several,
            ),
            ("/", &[signature, bearer], &[], Credential::Several),
            ("/", &[token, signature], own, Credential::Several),
            ("/?x-amz-algorithm=a", &[token], own, Credential::Several),
            ("/?X-Amz-Signature=a", &[bearer], &[], Credential::Several),
        ] {
            let mut request = Request::get(target);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (head, ()) = request.body(()).expect("valid request").into_parts();
            assert_eq!(
                Credential::of(&head, accepted),
                expected,
                "{target} {headers:?}"
            );
        }
    }
}
