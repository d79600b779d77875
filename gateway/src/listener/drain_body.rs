//! Requests over HTTP/1 that are answered before their body has ended. Unless the rest is there already, hyper
//! closes the connection then and does not say so: the client sends its next request there, and it is lost.

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

use super::Entrance;

/// How much is read for the sake of the connection alone; Go's server reads as much.
const MOST: u64 = 256 << 10;
/// How long an answer waits for that.
const LONGEST: Duration = Duration::from_secs(1);

/// Reads what a service has left of a body, or says with the answer that the connection ends (RFC 9112,
/// section 9.6).
pub(super) fn read_on(service: impl Entrance) -> impl Entrance {
    service_fn(move |request: Request<Body>| {
        let service = service.clone();
        async move {
            if request.body().is_end_stream() {
                return service.oneshot(request).await;
            }
            // To read would ask for the body.
            let expects = request.headers().contains_key(header::EXPECT);
            let (back, mut rest) = oneshot::channel();
            let request = request.map(|body| {
                Body::new(Lent {
                    body,
                    back: Some(back),
                })
            });
            let mut answer = service.oneshot(request).await?;
            // A body that is not given back is on its way to the origin, and may well end.
            let Ok(rest) = rest.try_recv() else {
                return Ok(answer);
            };
            let upgrades = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
            if !upgrades && (expects || !ends(rest).await) {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(header::CONNECTION, close);
            }
            Ok(answer)
        }
    })
}

/// Whether a body comes to its end soon.
async fn ends(mut body: Body) -> bool {
    if body.size_hint().lower() > MOST {
        return false;
    }
    let read = async {
        let mut left = MOST;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            match left.checked_sub(length) {
                Some(less) => left = less,
                None => return false,
            }
        }
        true
    };
    time::timeout(LONGEST, read).await.unwrap_or(false)
}

/// A body that is given back if it is dropped before its end.
struct Lent {
    body: Body,
    /// Until the end.
    back: Option<oneshot::Sender<Body>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(back) = self.back.take().filter(|_| !self.body.is_end_stream()) {
            drop(back.send(std::mem::take(&mut self.body)));
        }
    }
}

impl http_body::Body for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(None) = frame {
            self.back = None;
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
