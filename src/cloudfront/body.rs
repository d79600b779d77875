//! The body of an event, and checks that it is the one that CloudFront sends.

use aws_smithy_types::base64;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header, request::Parts};

use super::{EdgeBody, EdgeRequest};
use crate::{
    error::{Error, ErrorKind},
    sigv4::PayloadHash,
};

impl EdgeBody {
    /// Decodes the data to bytes, whatever their encoding as text.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BodyTooLarge`] if CloudFront has truncated the data, and [`ErrorKind::Request`] if they are not
    /// encoded as they say.
    pub fn decode(&self) -> Result<Bytes, Error> {
        if self.input_truncated {
            return Err(Error::new(
                ErrorKind::BodyTooLarge,
                "the body is too large to be hashed: CloudFront passes at most 1 MB to the function, or 40 KB in a \
                 viewer request; send a smaller one",
            ));
        }
        match &*self.encoding {
            "base64" => base64::decode(&*self.data)
                .map(Bytes::from)
                .map_err(|_| Error::request("the event's body is not valid base64")),
            "text" => Ok(self.data.clone().into()),
            // An empty body may have no encoding.
            _ if self.data.is_empty() => Ok(Bytes::new()),
            other => {
                let shown: String = other.chars().take(32).collect();
                Err(Error::request(format!(
                    "the event's body has the encoding {shown:?}, which is neither \"base64\" nor \"text\""
                )))
            }
        }
    }
}

/// Returns the hash of the body that CloudFront sends.
///
/// Fails if the event may lack the body: its hash would be wrong, and so would the signature.
pub(super) fn payload_hash(request: &EdgeRequest, head: &Parts) -> Result<PayloadHash, Error> {
    let Some(body) = &request.body else {
        return if may_have_body(head) {
            Err(Error::config(
                "the event has no body for a request that may have one; enable \"Include body\" for the function's \
                 trigger",
            ))
        } else {
            Ok(PayloadHash::EMPTY)
        };
    };
    let data = body.decode()?;
    // CloudFront sends the viewer's body unless the action is to replace it.
    let length = content_length(&head.headers).filter(|_| body.action != "replace");
    if length.is_some_and(|announced| announced != data.len().to_string()) {
        return Err(Error::new(
            ErrorKind::PayloadMismatch,
            format!(
                "the event's body has {} bytes, and its content-length announces another number; pass the event as \
                 the function receives it",
                data.len(),
            ),
        ));
    }
    Ok(PayloadHash::of(&data))
}

/// Returns `true` for a request whose body the event may lack. HTTP/2 does not require `content-length`.
fn may_have_body(head: &Parts) -> bool {
    match content_length(&head.headers) {
        Some(length) => length != "0",
        None => {
            head.headers.contains_key(header::TRANSFER_ENCODING)
                || matches!(head.method, Method::POST | Method::PUT | Method::PATCH)
        }
    }
}

/// Returns the value of `content-length`; a malformed value equals no length.
fn content_length(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::CONTENT_LENGTH)?;
    Some(HeaderValue::to_str(value).unwrap_or_default())
}
