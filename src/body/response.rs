use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::frames::{Frames, into_bytes};

pin_project! {
    /// Body of the responses of [`Signing`](crate::Signing) and [`Verify`](crate::Verify).
    ///
    /// It is the body of the inner service's response, or that of a rejection.
    pub struct ResponseBody<R>
    where
        R: Body,
    {
        // `Some` if the layer has read the response or has made it.
        prefix: Option<Box<BodyPrefix<R::Error>>>,
        #[pin]
        rest: Rest<R>,
    }
}

pin_project! {
    #[project = RestProj]
    enum Rest<R> {
        None,
        Unread { #[pin] body: R },
        /// Reading the prefix has pinned the body.
        Pinned { body: Pin<Box<R>> },
    }
}

/// Frames that were read from the beginning of a body.
pub(crate) struct BodyPrefix<E> {
    pub(crate) frames: Frames,
    /// The error that ended the body.
    pub(crate) error: Option<E>,
}

impl<R> ResponseBody<R>
where
    R: Body,
{
    pub(crate) fn new(body: R) -> Self {
        Self {
            prefix: None,
            rest: Rest::Unread { body },
        }
    }

    /// A body of these bytes alone.
    pub(crate) fn full(data: Bytes) -> Self {
        let mut frames = Frames::default();
        frames.push(data);
        let error = None;
        Self::with_prefix(BodyPrefix { frames, error }, None)
    }

    /// Puts the frames that were read before the rest of the body.
    pub(crate) fn with_prefix(prefix: BodyPrefix<R::Error>, rest: Option<Pin<Box<R>>>) -> Self {
        Self {
            prefix: Some(Box::new(prefix)),
            rest: rest.map_or(Rest::None, |body| Rest::Pinned { body }),
        }
    }

    fn rest(&self) -> Option<&R> {
        match &self.rest {
            Rest::None => None,
            Rest::Unread { body } => Some(body),
            Rest::Pinned { body } => Some(body),
        }
    }

    /// Returns the inner service's body, unless the layer has read from it or has made the response.
    pub fn into_inner(self) -> Option<R> {
        match (self.prefix, self.rest) {
            (None, Rest::Unread { body }) => Some(body),
            _ => None,
        }
    }
}

/// An empty body, which layers such as tower-http's `TimeoutLayer` create for their own responses.
impl<R> Default for ResponseBody<R>
where
    R: Body,
{
    fn default() -> Self {
        Self {
            prefix: None,
            rest: Rest::None,
        }
    }
}

impl<R> From<Bytes> for ResponseBody<R>
where
    R: Body,
{
    fn from(data: Bytes) -> Self {
        Self::full(data)
    }
}

impl<R> Body for ResponseBody<R>
where
    R: Body,
{
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        let this = self.project();
        if let Some(prefix) = this.prefix {
            if let Some(frame) = prefix.frames.next_frame() {
                return Poll::Ready(Some(Ok(frame)));
            }
            let failure = prefix.error.take();
            *this.prefix = None;
            if let Some(error) = failure {
                return Poll::Ready(Some(Err(error)));
            }
        }
        let frame = match this.rest.project() {
            RestProj::None => return Poll::Ready(None),
            RestProj::Unread { body } => ready!(body.poll_frame(cx)),
            RestProj::Pinned { body } => ready!(body.as_mut().poll_frame(cx)),
        };
        Poll::Ready(frame.map(|result| Ok(result?.map_data(into_bytes))))
    }

    fn is_end_stream(&self) -> bool {
        let is_consumed =
            |prefix: &BodyPrefix<_>| prefix.frames.is_empty() && prefix.error.is_none();
        self.prefix.as_deref().is_none_or(is_consumed)
            && self.rest().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest().map_or(SizeHint::with_exact(0), Body::size_hint);
        let Some(prefix) = &self.prefix else {
            return rest;
        };
        let mut size = SizeHint::default();
        size.set_lower(rest.lower() + prefix.frames.len());
        // With an exact length a server sends no trailers, and an error after the last byte is lost.
        let allows_upper = prefix.error.is_none() && !prefix.frames.has_trailers();
        if let Some(upper) = rest.upper().filter(|_| allows_upper) {
            size.set_upper(upper + prefix.frames.len());
        }
        size
    }
}

impl<R> fmt::Debug for ResponseBody<R>
where
    R: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("size", &self.size_hint())
            .finish_non_exhaustive()
    }
}
