use std::{io::Write, net::IpAddr};

use http::{HeaderMap, HeaderName, HeaderValue, uri::Scheme};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The client at the other end of a connection, put into a request's extensions by the server.
///
/// From it the layer writes `x-forwarded-for` and `x-forwarded-proto`. The scheme is that of the connection. The
/// scheme in a request's URI is the client's claim, so the layer does not use it.
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
    scheme: Option<Scheme>,
}

impl ClientAddr {
    /// A client at this address.
    pub fn new(address: impl Into<IpAddr>) -> Self {
        Self {
            address: address.into().to_canonical(),
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

    /// Where the client is.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }
}

/// Selects which of `x-forwarded-for`, `x-forwarded-host` and `x-forwarded-proto` an origin receives.
///
/// A header that is selected is set, or appended to the client's value after a comma. The client's value stays in
/// front, since a proxy before this one may have written it; the origin must trust the last element alone. The
/// address and the scheme come from the [`ClientAddr`] in the request's extensions. Without one, or without its scheme,
/// the layer has nothing to write, and the client's header passes as it is. `x-forwarded-host` comes from the
/// authority in the request's URI, or from `host` if the URI has none (RFC 9112, section 3.2.2).
///
/// A header that is not selected is removed, so that an origin which trusts it never receives a client's own.
/// Unless all are selected, `forwarded` (RFC 7239) and every other name that begins with `x-forwarded` are removed
/// too, also where they are written with `_`, which CGI and WSGI read as `-`.
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
    /// All three headers.
    pub const ALL: Self = Self {
        address: true,
        host: true,
        proto: true,
    };

    /// No forwarding headers, the client's own included.
    pub const NONE: Self = Self {
        address: false,
        host: false,
        proto: false,
    };

    /// Sets whether the origin receives `x-forwarded-for`.
    pub fn with_for(mut self, sent: bool) -> Self {
        self.address = sent;
        self
    }

    /// Sets whether the origin receives `x-forwarded-host`.
    pub fn with_host(mut self, sent: bool) -> Self {
        self.host = sent;
        self
    }

    /// Sets whether the origin receives `x-forwarded-proto`.
    pub fn with_proto(mut self, sent: bool) -> Self {
        self.proto = sent;
        self
    }

    /// Returns true for a client's header that must not reach the origin, unless all are selected.
    pub(super) fn removes(self, name: &HeaderName) -> bool {
        const PREFIX: &[u8] = b"x-forwarded";
        match name.as_str() {
            "x-forwarded-for" => !self.address,
            "x-forwarded-host" => !self.host,
            "x-forwarded-proto" => !self.proto,
            "forwarded" => true,
            name => {
                let start = name.bytes().take(PREFIX.len());
                start
                    .map(|byte| if byte == b'_' { b'-' } else { byte })
                    .eq(PREFIX.iter().copied())
            }
        }
    }
}

/// Selects all headers, or none.
impl From<bool> for ForwardedHeaders {
    fn from(sent: bool) -> Self {
        if sent { Self::ALL } else { Self::NONE }
    }
}

/// Appends the selected headers to those of earlier proxies.
pub(super) fn append(
    headers: &mut HeaderMap,
    selected: ForwardedHeaders,
    peer: Option<&ClientAddr>,
    host: Option<HeaderValue>,
) {
    if let Some(peer) = peer.filter(|_| selected.address) {
        append_to(headers, X_FORWARDED_FOR, address(peer.address));
    }
    if let Some(host) = host.filter(|_| selected.host) {
        append_to(headers, X_FORWARDED_HOST, host);
    }
    let scheme = peer
        .and_then(|peer| peer.scheme.as_ref())
        .filter(|_| selected.proto);
    let proto = match scheme.map(Scheme::as_str) {
        Some("https") => HeaderValue::from_static("https"),
        Some("http") => HeaderValue::from_static("http"),
        _ => return,
    };
    append_to(headers, X_FORWARDED_PROTO, proto);
}

fn address(address: IpAddr) -> HeaderValue {
    let mut text = [0; 48]; // the longest address has 45 characters
    let mut rest = &mut text[..];
    let written = write!(rest, "{address}");
    debug_assert!(written.is_ok());
    let len = 48 - rest.len();
    HeaderValue::from_bytes(&text[..len]).expect("an address is digits, dots and colons")
}

/// Makes one line of all that was there and what is new.
fn append_to(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    if !headers.contains_key(&name) {
        headers.insert(name, value);
        return;
    }
    let mut line = Vec::new();
    for earlier in headers.get_all(&name) {
        line.extend_from_slice(earlier.as_bytes());
        line.extend_from_slice(b", ");
    }
    line.extend_from_slice(value.as_bytes());
    let line = HeaderValue::from_maybe_shared(bytes::Bytes::from(line))
        .expect("header values joined by a comma are a header value");
    headers.insert(name, line);
}
