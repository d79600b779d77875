//! Reads the rest of a request body if the response comes first. Otherwise hyper closes the HTTP/1 connection without
//! announcing it, and the client loses the next request that it sends there.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes};
use http::{HeaderValue, Request, StatusCode, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::{sync::oneshot, time};
use tower::{ServiceExt, service_fn};

use crate::service::Respond;

/// Maximum number of bytes that are drained, as in Go's server.
const MAX_DRAINED: u64 = 256 << 10;
/// Maximum delay of a response.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Drains the body that a service has not read, or announces in the response that the connection closes (RFC 9112,
/// section 9.6).
pub(super) fn drain_bodies(service: impl Respond) -> impl Respond {
    service_fn(move |request: Request<Body>| {
        let inner = service.clone();
        async move {
            if request.body().is_end_stream() {
                return inner.oneshot(request).await;
            }
            // Reading would send `100 Continue`.
            let expects_continue = request.headers().contains_key(header::EXPECT);
            let (unread, mut returned) = oneshot::channel();
            let lent = request.map(|body| {
                Body::new(LentBody {
                    body,
                    unread: Some(unread),
                })
            });
            let mut response = inner.oneshot(lent).await?;
            // A body that is not returned is being sent to the origin, and may still end.
            let Ok(rest) = returned.try_recv() else {
                return Ok(response);
            };
            let is_switch = response.status() == StatusCode::SWITCHING_PROTOCOLS;
            if !is_switch && (expects_continue || !drain(rest).await) {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            Ok(response)
        }
    })
}

/// Returns `true` if the body has ended within the limits.
async fn drain(mut body: Body) -> bool {
    if body.size_hint().lower() > MAX_DRAINED {
        return false;
    }
    let read = async {
        let mut remaining = MAX_DRAINED;
        while let Some(result) = body.frame().await {
            let Ok(frame) = result else { return false };
            let len = frame.data_ref().map_or(0, |data| data.len() as u64);
            let Some(rest) = remaining.checked_sub(len) else {
                return false;
            };
            remaining = rest;
        }
        true
    };
    time::timeout(DRAIN_TIMEOUT, read).await.unwrap_or(false)
}

/// A body that is returned if it is dropped before its end.
struct LentBody {
    body: Body,
    /// `None` from the end on.
    unread: Option<oneshot::Sender<Body>>,
}

impl Drop for LentBody {
    fn drop(&mut self) {
        if let Some(unread) = self.unread.take().filter(|_| !self.body.is_end_stream()) {
            drop(unread.send(std::mem::take(&mut self.body)));
        }
    }
}

impl http_body::Body for LentBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(None) = frame {
            self.unread = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
