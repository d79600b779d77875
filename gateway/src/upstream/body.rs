//! Bodies of requests to origins, and of their responses.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll},
};

use axum::body::{Body, Bytes};
use http::Request;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tower_sigv4::body::SignedBody;

use super::{error::BodyFailed, http2_streams::StreamSlot, origin_timeout::OriginWait};
use crate::trailers::remove_forbidden;

/// A request body that reports when the origin accepts more of it, and when it waits for the client.
pub(super) struct ObservedBody {
    body: SignedBody<Body>,
    wait: OriginWait,
}

impl ObservedBody {
    pub(super) fn observe(request: Request<SignedBody<Body>>, wait: OriginWait) -> Request<Body> {
        request.map(|body| Body::new(Self { body, wait }))
    }
}

impl Drop for ObservedBody {
    fn drop(&mut self) {
        // The origin has the whole request.
        self.wait.begin();
    }
}

impl http_body::Body for ObservedBody {
    type Data = Bytes;
    type Error = BodyFailed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = pin!(&mut self.body).poll_frame(cx);
        if frame.is_pending() {
            self.wait.suspend();
        } else {
            self.wait.begin();
        }
        frame.map_ok(remove_forbidden).map_err(BodyFailed)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Body of a response, which counts as in flight until it is dropped.
pub(crate) struct UpstreamBody {
    body: Incoming,
    _slot: Option<StreamSlot>,
}

impl UpstreamBody {
    pub(super) fn new(body: Incoming, slot: Option<StreamSlot>) -> Self {
        Self { body, _slot: slot }
    }
}

impl http_body::Body for UpstreamBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
