//! A request body that reports whether the origin or the client is slow.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll},
};

use axum::body::{Body, Bytes};
use http::Request;
use http_body::{Frame, SizeHint};
use tokio::sync::watch;
use tower_sigv4::body::SignedBody;

use super::error::BodyFailed;
use crate::trailers::remove_forbidden;

/// Reports `true` while it waits for the client.
pub(super) struct ObservedBody {
    body: SignedBody<Body>,
    waits_for_client: watch::Sender<bool>,
}

impl ObservedBody {
    /// Wraps the body of a request. The channel closes when the body is dropped.
    pub(super) fn observe(
        request: Request<SignedBody<Body>>,
    ) -> (Request<Body>, watch::Receiver<bool>) {
        let (waits_for_client, receiver) = watch::channel(false);
        let observed = request.map(|body| {
            Body::new(Self {
                body,
                waits_for_client,
            })
        });
        (observed, receiver)
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
        self.waits_for_client.send_replace(frame.is_pending());
        frame.map_ok(remove_forbidden).map_err(BodyFailed)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
