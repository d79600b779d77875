//! Heads that hyper lets pass and two servers could read in two ways, and methods that are not for a gateway which
//! signs: they are refused.

use std::{error::Error, fmt};

use http::{HeaderValue, Method, Request, StatusCode, Version, header, uri::Authority};

/// Why a head is refused.
#[derive(Debug)]
pub(crate) enum Refused {
    TooLong,
    Ambiguous(&'static str),
}

impl Refused {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::TooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Ambiguous(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("the head is longer than 64 KiB"),
            Self::Ambiguous(why) => f.write_str(why),
        }
    }
}

impl Error for Refused {}

/// What a head may measure, in bytes. hyper ends at about that, by how its reads fall: this is where it is.
pub(crate) const LONGEST_HEAD: usize = 64 * 1024;

/// Hands on a request that can be read in one way only.
pub(crate) fn check<B>(request: Request<B>) -> Result<Request<B>, Refused> {
    let fields = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4);
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if target + fields.sum::<usize>() > LONGEST_HEAD {
        return Err(Refused::TooLong);
    }
    if request.method() == Method::CONNECT {
        return Err(Refused::Ambiguous(
            "CONNECT asks for a response, and this is none",
        ));
    }
    // RFC 9110, section 9.3.8: the answer would show what is added here, a session token among it.
    if request.method() == Method::TRACE {
        return Err(Refused::Ambiguous(
            "TRACE would show what the request is signed with",
        ));
    }
    framing(&request)?;
    host(&request)?;
    let path = request.uri().path();
    if path.contains('\\') || path.contains("%00") {
        return Err(Refused::Ambiguous(
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
        _ => Err(Refused::Ambiguous("transfer-encoding is not chunked alone")),
    }
}

/// RFC 9112, section 3.2, and RFC 9113, section 8.3.1: one host, and that of the target if it has one.
fn host<B>(request: &Request<B>) -> Result<(), Refused> {
    let parse = |value: &HeaderValue| Authority::try_from(value.as_bytes()).ok();
    let target = request.uri().authority();
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err(Refused::Ambiguous("there is more than one host")),
        (Some(host), None) => Some(parse(host).ok_or(Refused::Ambiguous("host is not a host"))?),
        (None, _) if request.version() == Version::HTTP_11 => {
            return Err(Refused::Ambiguous("there is no host"));
        }
        (None, _) => None,
    };
    let mut named = [host.as_ref(), target].into_iter().flatten();
    if named
        .clone()
        .any(|authority| authority.as_str().contains('@'))
    {
        return Err(Refused::Ambiguous("there is a user's name before the host"));
    }
    match (named.next(), named.next()) {
        (Some(host), Some(target)) if host != target => {
            Err(Refused::Ambiguous("host is not that of the target"))
        }
        _ => Ok(()),
    }
}
