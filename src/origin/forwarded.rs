use std::{io::Write, net::IpAddr};

use http::{HeaderMap, HeaderName, HeaderValue, uri::Scheme};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The client at the other end of a connection, put into a request's extensions by the server.
///
/// From it the layer writes `x-forwarded-for` and, where the request's URI does not tell it,
/// `x-forwarded-proto`.
///
/// ```
/// use http::{Request, uri::Scheme};
/// use std::net::Ipv4Addr;
/// use tower_sigv4::origin::Peer;
///
/// let mut request = Request::new(());
/// request.extensions_mut().insert(Peer::new(Ipv4Addr::LOCALHOST).with_scheme(Scheme::HTTPS));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Peer {
    address: IpAddr,
    scheme: Option<Scheme>,
}

impl Peer {
    /// A client at this address.
    pub fn new(address: impl Into<IpAddr>) -> Self {
        Self { address: address.into().to_canonical(), scheme: None }
    }

    /// Sets the scheme the client connected by.
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

/// Tells the origin whom it serves, after what earlier proxies told it.
pub(super) fn append(
    headers: &mut HeaderMap,
    peer: Option<&Peer>,
    host: Option<HeaderValue>,
    scheme: Option<&Scheme>,
) {
    if let Some(peer) = peer {
        append_to(headers, X_FORWARDED_FOR, address(peer.address));
    }
    if let Some(host) = host {
        append_to(headers, X_FORWARDED_HOST, host);
    }
    match scheme.or(peer.and_then(|peer| peer.scheme.as_ref())) {
        Some(scheme) if *scheme == Scheme::HTTPS => {
            append_to(headers, X_FORWARDED_PROTO, HeaderValue::from_static("https"));
        }
        Some(scheme) if *scheme == Scheme::HTTP => {
            append_to(headers, X_FORWARDED_PROTO, HeaderValue::from_static("http"));
        }
        _ => {}
    }
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
