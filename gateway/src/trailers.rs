//! Trailers, which may not replace what the head has announced (RFC 9110, section 6.5.1).

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Bytes;
use http::HeaderName;
use http_body::{Body, Frame, SizeHint};

use crate::headers::remove_where;

/// Returns `true` for fields of framing, routing, authentication, request and response control, and content.
fn is_forbidden(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "age"
            | "authorization"
            | "cache-control"
            | "connection"
            | "content-encoding"
            | "content-length"
            | "content-range"
            | "content-type"
            | "cookie"
            | "date"
            | "expect"
            | "expires"
            | "host"
            | "keep-alive"
            | "location"
            | "max-forwards"
            | "pragma"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "range"
            | "retry-after"
            | "set-cookie"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "vary"
            | "warning"
            | "www-authenticate"
    ) || name.as_str().starts_with("if-")
}

/// Removes the forbidden fields of a frame with trailers.
pub(crate) fn remove_forbidden(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        remove_where(trailers, is_forbidden);
    }
    frame
}

/// A body without forbidden trailers. Unlike `MapFrame`, it has the length of the inner body.
pub(crate) struct CheckedTrailers<B>(pub(crate) B);

impl<B: Body<Data = Bytes> + Unpin> Body for CheckedTrailers<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.0)
            .poll_frame(cx)
            .map_ok(remove_forbidden)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
