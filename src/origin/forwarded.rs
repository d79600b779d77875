use std::{io::Write, net::IpAddr};

use http::{HeaderMap, HeaderName, HeaderValue, uri::Scheme};

use crate::sigv4::signed_headers::join_values;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Address of the client, which a proxy puts into the extensions of each request.
///
/// The layer adds `x-forwarded-*` headers only to requests that have it. The scheme is that of the
/// connection, since the one in a request's URI is the client's claim.
///
/// ```
/// use http::{Request, uri::Scheme};
/// use std::net::Ipv4Addr;
/// use tower_sigv4::origin::ClientAddr;
///
/// let mut request = Request::new(());
/// request.extensions_mut().insert(ClientAddr::new(Ipv4Addr::LOCALHOST).with_scheme(Scheme::HTTPS));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct ClientAddr {
    address: IpAddr,
    /// Formatted once for all requests of a connection.
    address_header: HeaderValue,
    scheme: Option<Scheme>,
}

impl ClientAddr {
    /// Creates a client's address, with no scheme.
    pub fn new(address: impl Into<IpAddr>) -> Self {
        let canonical = address.into().to_canonical();
        Self {
            address: canonical,
            address_header: address_value(canonical),
            scheme: None,
        }
    }

    /// Sets the scheme of the connection: `https` if the server accepted it with TLS.
    ///
    /// Without it the layer writes no `x-forwarded-proto`.
    pub fn with_scheme(mut self, scheme: Scheme) -> Self {
        self.scheme = Some(scheme);
        self
    }

    /// Returns the scheme of the connection.
    #[must_use]
    pub fn scheme(&self) -> Option<&Scheme> {
        self.scheme.as_ref()
    }

    /// Returns the client's address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }
}

/// Selection of the forwarding headers that an origin receives: `x-forwarded-for`, `x-forwarded-host` and
/// `x-forwarded-proto`.
///
/// The layer adds them to requests of a proxy, which have a [`ClientAddr`] in their extensions. Other
/// requests are a client's own, and the layer adds none to them.
///
/// A selected header is set, or appended to the client's value after a comma. The client's value stays in
/// front, since an earlier proxy may have written it; the origin must trust only the last element. Address
/// and scheme come from the [`ClientAddr`]. `x-forwarded-host` comes from the authority in the request's
/// URI, or from `host` if the URI has none (RFC 9112, section 3.2.2). Where a value is missing, the
/// client's header is forwarded unchanged.
///
/// A header that is not selected is removed, so that an origin that trusts it never receives a client's own.
/// Unless all are selected, `forwarded` (RFC 7239) and every other name that begins with `x-forwarded` are
/// removed too, also if they are written with `_`, which CGI and WSGI read as `-`.
///
/// The layer signs none of them by default.
///
/// ```
/// use tower_sigv4::{Origin, SigningSettings, origin::ForwardedHeaders};
///
/// // SeaweedFS derives the signed host from x-forwarded-host.
/// let settings = SigningSettings::new("s3", "us-east-1")?;
/// let origin = Origin::new("http://seaweedfs.internal:8333", settings)?
///     .with_forwarded(ForwardedHeaders::ALL.with_host(false));
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct ForwardedHeaders {
    address: bool,
    host: bool,
    proto: bool,
}

impl ForwardedHeaders {
    /// Selects all three headers.
    pub const ALL: Self = Self {
        address: true,
        host: true,
        proto: true,
    };

    /// Selects none, and removes the client's own.
    pub const NONE: Self = Self {
        address: false,
        host: false,
        proto: false,
    };

    /// Selects `x-forwarded-for`, or removes it.
    pub fn with_for(mut self, selected: bool) -> Self {
        self.address = selected;
        self
    }

    /// Selects `x-forwarded-host`, or removes it.
    pub fn with_host(mut self, selected: bool) -> Self {
        self.host = selected;
        self
    }

    /// Selects `x-forwarded-proto`, or removes it.
    pub fn with_proto(mut self, selected: bool) -> Self {
        self.proto = selected;
        self
    }

    /// Returns `true` for a client's header that must not reach the origin, unless all are selected.
    pub(super) fn removes(self, name: &HeaderName) -> bool {
        const PREFIX: &[u8] = b"x-forwarded";
        match name.as_str() {
            "x-forwarded-for" => !self.address,
            "x-forwarded-host" => !self.host,
            "x-forwarded-proto" => !self.proto,
            "forwarded" => true,
            other => other
                .bytes()
                .take(PREFIX.len())
                .map(|byte| if byte == b'_' { b'-' } else { byte })
                .eq(PREFIX.iter().copied()),
        }
    }
}

/// Selects all headers, or none.
impl From<bool> for ForwardedHeaders {
    fn from(all: bool) -> Self {
        if all { Self::ALL } else { Self::NONE }
    }
}

/// Appends the selected headers to those of earlier proxies.
pub(super) fn append(
    headers: &mut HeaderMap,
    selected: ForwardedHeaders,
    client: &ClientAddr,
    client_host: Option<HeaderValue>,
) {
    if selected.address {
        append_value(headers, X_FORWARDED_FOR, client.address_header.clone());
    }
    if let Some(host) = client_host.filter(|_| selected.host) {
        append_value(headers, X_FORWARDED_HOST, host);
    }
    let scheme = client.scheme.as_ref().filter(|_| selected.proto);
    let proto = match scheme.map(Scheme::as_str) {
        Some("https") => HeaderValue::from_static("https"),
        Some("http") => HeaderValue::from_static("http"),
        _ => return,
    };
    append_value(headers, X_FORWARDED_PROTO, proto);
}

/// Formats an address with one allocation.
fn address_value(address: IpAddr) -> HeaderValue {
    let mut buffer = [0; 48]; // the longest address has 45 characters
    let mut rest = &mut buffer[..];
    let written = write!(rest, "{address}");
    debug_assert!(written.is_ok());
    let len = 48 - rest.len();
    HeaderValue::from_bytes(&buffer[..len]).expect("an address is digits, dots and colons")
}

/// Joins all values of a header and a new one in one line.
fn append_value(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    let line = if headers.contains_key(&name) {
        let earlier = headers.get_all(&name).iter();
        let values = earlier.chain([&value]).map(HeaderValue::as_bytes);
        join_values(&values.collect::<Vec<_>>(), b", ")
    } else {
        value
    };
    headers.insert(name, line);
}
