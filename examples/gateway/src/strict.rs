//! Heads that hyper lets pass and two servers could read in two ways: they are refused.

use std::{error::Error, fmt};

use http::{HeaderValue, Method, Request, Version, header, uri::Authority};

/// Why a head is refused.
#[derive(Debug)]
pub(crate) struct Refused(&'static str);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Refused {}

/// Hands on a request that can be read in one way only.
pub(crate) fn check<B>(request: Request<B>) -> Result<Request<B>, Refused> {
    if request.method() == Method::CONNECT {
        return Err(Refused("CONNECT asks for a proxy, and this is none"));
    }
    framing(&request)?;
    host(&request)?;
    let path = request.uri().path();
    if path.contains('\\') || path.contains("%00") {
        return Err(Refused(
            "the path has a backslash or a zero byte, which servers read differently",
        ));
    }
    Ok(request)
}

/// RFC 9112, section 6.1: hyper looks at the last coding of each line, and drops a length beside it.
fn framing<B>(request: &Request<B>) -> Result<(), Refused> {
    let mut codings = request.headers().get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Refused("transfer-encoding is not chunked alone")),
    }
}

/// RFC 9112, section 3.2, and RFC 9113, section 8.3.1: one host, and that of the target if it has one.
fn host<B>(request: &Request<B>) -> Result<(), Refused> {
    let parse = |value: &HeaderValue| Authority::try_from(value.as_bytes()).ok();
    let target = request.uri().authority();
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err(Refused("there is more than one host")),
        (Some(host), None) => Some(parse(host).ok_or(Refused("host is not a host"))?),
        (None, _) if request.version() == Version::HTTP_11 => {
            return Err(Refused("there is no host"));
        }
        (None, _) => None,
    };
    let mut named = [host.as_ref(), target].into_iter().flatten();
    if named.clone().any(|authority| authority.as_str().contains('@')) {
        return Err(Refused("there is a user's name before the host"));
    }
    match (named.next(), named.next()) {
        (Some(host), Some(target)) if host != target => {
            Err(Refused("host is not that of the target"))
        }
        _ => Ok(()),
    }
}
