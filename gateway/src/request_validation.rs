//! Rejects heads that hyper accepts and two servers could read differently, and methods that a signing gateway must
//! not forward.

use std::{error::Error, fmt};

use http::{HeaderValue, Method, Request, StatusCode, Version, header, uri::Authority};

use crate::headers::is_length;

/// Reason for which a head is rejected.
///
/// As an extension of a request: found by its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum InvalidHead {
    TooLarge,
    Ambiguous(&'static str),
}

impl InvalidHead {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Ambiguous(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for InvalidHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => {
                f.write_str("the request head exceeds 64 KiB; send fewer or shorter headers")
            }
            Self::Ambiguous(reason) => f.write_str(reason),
        }
    }
}

impl Error for InvalidHead {}

/// Maximum size of a head, in bytes. hyper's own limit depends on how its reads are split.
pub(crate) const MAX_HEAD_LEN: usize = 64 * 1024;

pub(crate) const CHUNKED_ONLY: &str = "transfer-encoding must be chunked and nothing else";

/// Rejects a request that is ambiguous.
pub(crate) fn check<B>(request: &mut Request<B>) -> Result<(), InvalidHead> {
    if let Some(invalid) = request.extensions_mut().remove::<InvalidHead>() {
        return Err(invalid);
    }
    let fields = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4);
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if target + fields.sum::<usize>() > MAX_HEAD_LEN {
        return Err(InvalidHead::TooLarge);
    }
    if request.method() == Method::CONNECT {
        return Err(InvalidHead::Ambiguous(
            "CONNECT is not supported: this is not a forward proxy",
        ));
    }
    // RFC 9110, section 9.3.8: the response would reveal added headers, such as the session token.
    if request.method() == Method::TRACE {
        return Err(InvalidHead::Ambiguous(
            "TRACE is not supported: it would reveal the request's signature",
        ));
    }
    check_framing(request)?;
    check_values(request)?;
    check_host(request)?;
    let path = request.uri().path();
    if path.contains('\\') || path.contains("%00") {
        return Err(InvalidHead::Ambiguous(
            "the path contains a backslash or a zero byte, which servers read differently",
        ));
    }
    Ok(())
}

/// RFC 9112, section 6.1. hyper reads only the last coding of each line, and drops `content-length` beside it.
fn check_framing<B>(request: &Request<B>) -> Result<(), InvalidHead> {
    let mut codings = request.headers().get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => {}
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => {}
        _ => {
            return Err(InvalidHead::Ambiguous(CHUNKED_ONLY));
        }
    }
    let mut lengths = request.headers().get_all(header::CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if is_length(only.as_bytes()) => Ok(()),
        _ => Err(InvalidHead::Ambiguous(
            "content-length must be one number without leading zeros",
        )),
    }
}

/// RFC 9113, section 8.2.1. On HTTP/1 the whitespace is not a part of the value.
pub(crate) fn check_values<B>(request: &Request<B>) -> Result<(), InvalidHead> {
    let is_padded = |value: &HeaderValue| value.as_bytes().trim_ascii().len() != value.len();
    if request.version() == Version::HTTP_2 && request.headers().values().any(is_padded) {
        return Err(InvalidHead::Ambiguous(
            "a header value begins or ends with whitespace",
        ));
    }
    Ok(())
}

/// RFC 9112, section 3.2, and RFC 9113, section 8.3.1: one host, equal to that of an absolute target.
fn check_host<B>(request: &Request<B>) -> Result<(), InvalidHead> {
    let error = |message| Err(InvalidHead::Ambiguous(message));
    let target = request.uri().authority();
    let mut values = request.headers().get_all(header::HOST).iter();
    let host = match (values.next(), values.next()) {
        (_, Some(_)) => return error("there is more than one host header"),
        (Some(value), None) => match Authority::try_from(value.as_bytes()) {
            Ok(authority) => Some(authority),
            Err(_) => return error("the host header is not a valid host"),
        },
        (None, _) if request.version() == Version::HTTP_11 => {
            return error("the host header is missing");
        }
        (None, _) if request.version() == Version::HTTP_2 && target.is_none() => {
            return error("the request names no host: :authority and host are missing");
        }
        (None, _) => None,
    };
    let has_user = |authority: &Authority| authority.as_str().contains('@');
    if host.as_ref().is_some_and(has_user) || target.is_some_and(has_user) {
        return error("the host contains user information");
    }
    match (host, target) {
        (Some(named), Some(authority)) if named != *authority => {
            error("the host header differs from the host of the request target")
        }
        _ => Ok(()),
    }
}
