//! Bodies of unknown length that stream with a GET or HEAD.

use http::{HeaderMap, HeaderValue, Method, header, request::Parts};
use http_body::Body;

use crate::{
    error::{Error, ErrorKind},
    sigv4::signed_headers::single_value,
};

/// Returns `true` if the request has a `transfer-encoding`, which rewriting the head removes.
pub(super) fn is_chunked(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
}

/// Makes an HTTP/1.1 client send a body that streams.
///
/// For a GET or HEAD with a body of unknown length, hyper's client sends `transfer-encoding: chunked` only if the
/// header is present. Without it, the client sends the head alone and drops the body. So the header is restored if the
/// request had it, and the request is an error if not. HTTP/2 clients of hyper remove the header.
pub(super) fn frame<B>(parts: &mut Parts, body: &B, chunked: bool) -> Result<(), Error>
where
    B: Body,
{
    if !matches!(parts.method, Method::GET | Method::HEAD)
        || body.is_end_stream()
        || body.size_hint().exact().is_some()
        || has_length(&parts.headers)
    {
        return Ok(());
    }
    if !chunked {
        return Err(Error::new(
            ErrorKind::LengthRequired,
            format!(
                "the length of the body is unknown, and HTTP/1.1 clients send {} without such a body; send a \
                 content-length or transfer-encoding: chunked, or choose a payload mode that buffers",
                parts.method,
            ),
        ));
    }
    parts.headers.insert(
        header::TRANSFER_ENCODING,
        HeaderValue::from_static("chunked"),
    );
    Ok(())
}

/// Returns `true` for one length in digits, since clients ignore any other value.
fn has_length(headers: &HeaderMap) -> bool {
    single_value(headers, header::CONTENT_LENGTH).is_some_and(|value| {
        let digits = value.as_bytes().iter().all(u8::is_ascii_digit);
        digits && value.to_str().is_ok_and(|text| text.parse::<u64>().is_ok())
    })
}
