//! Requests over HTTP/1.1 whose body nobody has read when the answer begins.
//!
//! hyper closes the connection after such an answer, unless the rest is at hand, and a client that has sent its next
//! request by then finds no answer to it. So the rest is read first, if there is little of it and it comes soon, as Go's
//! server does; else the answer says that it is the last (RFC 9112, section 9.6).

use std::{
    convert::Infallible,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Bytes, response::Response};
use http::{HeaderMap, HeaderValue, Request, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time;
use tower::{Service, ServiceExt, service_fn};

/// What is read at most, in bytes.
const MOST: u64 = 256 * 1024;
/// How long the rest is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a body is when whoever had it has dropped it before its end.
type Left = Arc<Mutex<Option<Incoming>>>;

/// A body that is left behind where it was not read to its end.
pub(super) struct Lent {
    body: Option<Incoming>,
    left: Left,
}

impl Body for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let unread = self.body.take().filter(|body| !body.is_end_stream());
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = unread;
    }
}

/// A service whose answer waits for what it has not read of the request.
///
/// A body that is still being read when the answer begins, as one that streams to its origin may be, is not waited for.
pub(super) fn read_first<S>(
    service: S,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Clone
where
    S: Service<Request<Lent>, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    service_fn(move |request: Request<Incoming>| {
        let left = Left::default();
        let waits = !request.headers().contains_key(header::EXPECT);
        let request = request.map(|body| Lent { body: Some(body), left: left.clone() });
        let answer = service.clone().oneshot(request);
        async move {
            let mut answer = answer.await?;
            let unread = mem::take(&mut *left.lock().unwrap_or_else(PoisonError::into_inner));
            if let Some(body) = unread
                && !is_last(answer.headers())
                // Who waits to be told to send it is not told so.
                && !(waits && is_read(body).await)
            {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(header::CONNECTION, close);
            }
            Ok(answer)
        }
    })
}

fn is_last(headers: &HeaderMap) -> bool {
    headers.get(header::CONNECTION).is_some_and(|value| value == "close")
}

/// Reads a body to its end, unless that is too far or too late.
async fn is_read(mut body: Incoming) -> bool {
    let rest = async {
        let mut read = 0;
        while read + body.size_hint().lower() <= MOST {
            match body.frame().await {
                Some(Ok(frame)) => read += frame.data_ref().map_or(0, Bytes::len) as u64,
                Some(Err(_)) => return false,
                None => return true,
            }
        }
        false
    };
    time::timeout(PATIENCE, rest).await.unwrap_or(false)
}
