//! Headers that a signature covers.

use std::{fmt, net::Ipv6Addr};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{self, AsHeaderName},
};

/// `x-amz-date`
pub(crate) const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
/// `x-amz-content-sha256`
pub(crate) const X_AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
/// `x-amz-decoded-content-length`
pub(crate) const X_AMZ_DECODED_CONTENT_LENGTH: HeaderName =
    HeaderName::from_static("x-amz-decoded-content-length");
/// `x-amz-region-set`
pub(crate) const X_AMZ_REGION_SET: HeaderName = HeaderName::from_static("x-amz-region-set");
/// `x-amz-s3session-token`
pub(crate) const X_AMZ_S3SESSION_TOKEN: HeaderName =
    HeaderName::from_static("x-amz-s3session-token");
/// `x-amz-sdk-checksum-algorithm`
pub(crate) const X_AMZ_SDK_CHECKSUM_ALGORITHM: HeaderName =
    HeaderName::from_static("x-amz-sdk-checksum-algorithm");
/// `x-amz-trailer`
pub(crate) const X_AMZ_TRAILER: HeaderName = HeaderName::from_static("x-amz-trailer");
/// `x-amz-security-token`
pub(crate) const X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// Headers of a signature, without those that only frame its payload.
pub(crate) const SIGNATURE_HEADERS: [&str; 6] = [
    "authorization",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-region-set",
    "x-amz-s3session-token",
    "x-amz-security-token",
];

/// Returns `true` for the name of a header or parameter that holds a session token, in lower case.
pub(crate) fn is_session_token(name: &str) -> bool {
    matches!(name, "x-amz-security-token" | "x-amz-s3session-token")
}

/// Returns the value of a header that appears exactly once; more than one would be ambiguous.
pub(crate) fn single_value(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Joins values of a header in one line.
pub(crate) fn join_values(values: &[&[u8]], separator: &[u8]) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(values.join(separator)))
        .expect("header values and a separator are a header value")
}

/// Returns the `host` header for a URI, without user information and without the default port of the scheme
/// (RFC 9110, section 7.2), or `None` if the host or the port is missing or invalid.
pub(crate) fn host_header(uri: &Uri) -> Option<HeaderValue> {
    HeaderValue::from_str(host_str(uri)?).ok()
}

/// As [`host_header`], as a string.
pub(crate) fn host_str(uri: &Uri) -> Option<&str> {
    let authority = uri.authority()?;
    let host = authority.host();
    let (_, host_and_port) = authority
        .as_str()
        .rsplit_once('@')
        .unwrap_or(("", authority.as_str()));
    let port = match host_and_port.strip_prefix(host)? {
        "" | ":" => None,
        suffix => {
            let digits = suffix.strip_prefix(':')?;
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            Some(digits.parse::<u16>().ok().filter(|&port| port != 0)?)
        }
    };
    let default_port = match uri.scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    };
    let needs_port = port.is_some() && port != default_port;
    is_host(host).then_some(if needs_port { host_and_port } else { host })
}

/// Returns `true` for a host name, an IPv4 address or an IPv6 address in brackets, without a port.
pub(crate) fn is_host(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    match text.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok()),
        None => !text.is_empty() && !text.starts_with('.') && text.bytes().all(is_allowed),
    }
}

/// Selects the headers that a signature covers.
///
/// Independent of the policy, the signature covers `host` and the headers that signing adds (`x-amz-date`,
/// `x-amz-content-sha256`, `x-amz-region-set`, `x-amz-security-token`, `x-amz-s3session-token`), and does not cover
/// `authorization`. A closure is a policy:
///
/// ```
/// use http::HeaderName;
/// use tower_sigv4::sigv4::{AllowList, SignedHeaders};
///
/// let closure = |name: &HeaderName| name.as_str().starts_with("x-");
/// assert!(closure.is_signed(&HeaderName::from_static("x-tenant")));
///
/// // The default list contains neither x-tenant nor headers that a proxy may change.
/// let list = AllowList::default();
/// assert!(!list.is_signed(&HeaderName::from_static("x-tenant")));
/// assert!(!list.is_signed(&http::header::USER_AGENT));
/// ```
pub trait SignedHeaders: Send + Sync {
    /// Returns `true` if the signature covers the headers of this name.
    fn is_signed(&self, name: &HeaderName) -> bool;
}

impl<F> SignedHeaders for F
where
    F: Fn(&HeaderName) -> bool + Send + Sync,
{
    fn is_signed(&self, name: &HeaderName) -> bool {
        self(name)
    }
}

impl fmt::Debug for dyn SignedHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedHeaders")
    }
}

/// Signs the headers that AWS services interpret, and those added to the list.
///
/// The list contains `content-type`, `content-md5` and every `x-amz-*`, and `range` for the S3 family. It does not
/// contain headers that a proxy between signer and verifier may change (`user-agent`, `te`, `traceparent`,
/// `x-forwarded-for`, `content-length`), as AWS advises in the IAM User Guide, "Create a signed AWS API request":
/// sign `host`, `x-amz-*` and, if present, `content-type`.
///
/// ```
/// use http::HeaderName;
/// use tower_sigv4::sigv4::{AllowList, SignedHeaders};
///
/// let list = AllowList::default().add_header(HeaderName::from_static("x-tenant"));
/// assert!(list.is_signed(&HeaderName::from_static("x-tenant")));
/// assert!(list.is_signed(&HeaderName::from_static("x-amz-target")));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct AllowList {
    added: Vec<HeaderName>,
}

impl AllowList {
    /// Adds a header to sign.
    pub fn add_header(mut self, name: HeaderName) -> Self {
        self.added.push(name);
        self
    }
}

impl SignedHeaders for AllowList {
    fn is_signed(&self, name: &HeaderName) -> bool {
        name == header::CONTENT_TYPE
            || name.as_str().starts_with("x-amz-")
            || name.as_str() == "content-md5"
            || self.added.contains(name)
    }
}

/// Signs every header except those on the list.
///
/// The default list is that of the AWS SDK for Rust: `authorization`, `user-agent`, `x-amzn-trace-id` and
/// `transfer-encoding`. Prefer [`AllowList`]: with this policy any proxy that changes a header breaks the signature.
///
/// ```
/// use http::header;
/// use tower_sigv4::sigv4::{AllExcept, SignedHeaders};
///
/// let policy = AllExcept::default().add_header(header::ACCEPT);
/// assert!(policy.is_signed(&header::CONTENT_LENGTH));
/// assert!(!policy.is_signed(&header::ACCEPT));
/// assert!(!policy.is_signed(&header::USER_AGENT));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct AllExcept {
    unsigned: Vec<HeaderName>,
}

impl AllExcept {
    /// Adds a header that is not signed.
    pub fn add_header(mut self, name: HeaderName) -> Self {
        self.unsigned.push(name);
        self
    }
}

impl Default for AllExcept {
    fn default() -> Self {
        Self {
            unsigned: vec![
                header::AUTHORIZATION,
                header::USER_AGENT,
                header::TRANSFER_ENCODING,
                HeaderName::from_static("x-amzn-trace-id"),
            ],
        }
    }
}

impl SignedHeaders for AllExcept {
    fn is_signed(&self, name: &HeaderName) -> bool {
        !self.unsigned.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use aws_credential_types::Credentials;
    use http::Request;

    use super::*;
    use crate::{
        SigningSettings,
        sigv4::{Identity, PayloadHash, Signer, SigningParams},
    };

    #[test]
    fn default_port_depends_on_the_scheme() {
        for (uri, host) in [
            ("http://h:80/", Some("h")),
            ("http://h:443/", Some("h:443")),
            ("https://h:443/", Some("h")),
            ("https://h:80/", Some("h:80")),
            ("other://h:443/", Some("h:443")),
            ("h:443", Some("h:443")),
            ("http://[::1]:80/", Some("[::1]")),
            ("http://a@h:8080/", Some("h:8080")),
            ("http://h:65536/", None),
            ("http://h:0/", None),
            ("/", None),
        ] {
            assert_eq!(host_str(&uri.parse().expect(uri)), host, "{uri}");
        }
    }

    #[test]
    fn policies_do_not_affect_headers_that_signing_adds() {
        let credentials = Credentials::new("AKID", "secret", Some("token".into()), None, "test");
        let identity = Identity::new(credentials).expect("valid");
        let settings = SigningSettings::new("s3", "us-east-1").expect("a scope");
        let added = "host;x-amz-content-sha256;x-amz-date;x-amz-security-token";
        for (all, names) in [(true, format!("a;{added}")), (false, added.to_owned())] {
            let settings = settings
                .clone()
                .with_signed_headers(move |_: &HeaderName| all);
            let params = SigningParams::new(
                &settings,
                &identity,
                PayloadHash::EMPTY,
                SystemTime::UNIX_EPOCH,
            );
            let request = Request::get("https://h/").header("a", "1").body(());
            let (mut head, ()) = request.expect("a request").into_parts();
            let signer = Signer::new();
            signer.sign(&mut head, &params).expect("signed");
            let first = head.headers[header::AUTHORIZATION].clone();
            let names = format!(", SignedHeaders={names}, ");
            assert!(first.to_str().expect("ASCII").contains(&names), "{first:?}");
            // Signing twice gives the same signature.
            signer.sign(&mut head, &params).expect("signed");
            assert_eq!(head.headers[header::AUTHORIZATION], first);
        }
    }
}
