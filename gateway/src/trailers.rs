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
pub(crate) fn remove_forbidden(frame: Frame<Bytes>) -> Frame<Bytes> {
    remove_from(frame, is_forbidden)
}

fn remove_from(mut frame: Frame<Bytes>, is_removed: impl Fn(&HeaderName) -> bool) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        remove_where(trailers, is_removed);
    }
    frame
}

/// A body without the trailers that a function selects. Unlike `MapFrame`, it has the length of the inner body.
pub(crate) struct CheckedTrailers<B, F = fn(&HeaderName) -> bool> {
    body: B,
    is_removed: F,
}

impl<B> CheckedTrailers<B> {
    pub(crate) fn without_forbidden(body: B) -> Self {
        Self::new(body, is_forbidden)
    }
}

impl<B, F: Fn(&HeaderName) -> bool> CheckedTrailers<B, F> {
    pub(crate) fn new(body: B, is_removed: F) -> Self {
        Self { body, is_removed }
    }
}

impl<B, F> Body for CheckedTrailers<B, F>
where
    B: Body<Data = Bytes> + Unpin,
    F: Fn(&HeaderName) -> bool + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        let is_removed = &this.is_removed;
        Pin::new(&mut this.body)
            .poll_frame(cx)
            .map_ok(|frame| remove_from(frame, is_removed))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
