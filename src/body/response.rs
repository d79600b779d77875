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
    /// Body of the answers of [`Signing`](crate::Signing) and [`Verify`](crate::Verify): the inner service's
    /// from its first byte to its trailers, or that of a refusal.
    pub struct ResponseBody<R>
    where
        R: Body,
    {
        // What goes before the rest, of an answer that was looked into or is not the inner service's.
        first: Option<Box<Held<R::Error>>>,
        #[pin]
        rest: Rest<R>,
    }
}

pin_project! {
    #[project = RestProj]
    enum Rest<R> {
        None,
        Whole { #[pin] body: R },
        /// The body was read before, so that it cannot be moved any more.
        Boxed { body: Pin<Box<R>> },
    }
}

/// What was read of a body.
pub(crate) struct Held<E> {
    pub(crate) frames: Frames,
    /// How it ended, if it failed.
    pub(crate) error: Option<E>,
}

impl<E> Default for Held<E> {
    fn default() -> Self {
        Self {
            frames: Frames::default(),
            error: None,
        }
    }
}

impl<R> ResponseBody<R>
where
    R: Body,
{
    pub(crate) fn whole(body: R) -> Self {
        Self {
            first: None,
            rest: Rest::Whole { body },
        }
    }

    /// A text in the place of a body.
    pub(crate) fn text(text: Bytes) -> Self {
        let mut held = Held::default();
        held.frames.push(text);
        Self {
            first: Some(Box::new(held)),
            rest: Rest::None,
        }
    }

    /// A body of which the beginning was read; all of it without a rest.
    pub(crate) fn resumed(first: Held<R::Error>, rest: Option<Pin<Box<R>>>) -> Self {
        let rest = rest.map_or(Rest::None, |body| Rest::Boxed { body });
        Self {
            first: Some(Box::new(first)),
            rest,
        }
    }

    /// The inner service's body itself, if nothing of it was read.
    pub fn into_inner(self) -> Option<R> {
        match (self.first, self.rest) {
            (None, Rest::Whole { body }) => Some(body),
            _ => None,
        }
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
        if let Some(held) = this.first {
            if let Some(frame) = held.frames.next() {
                return Poll::Ready(Some(Ok(frame)));
            }
            let error = held.error.take();
            *this.first = None;
            if let Some(error) = error {
                return Poll::Ready(Some(Err(error)));
            }
        }
        let frame = match this.rest.project() {
            RestProj::None => return Poll::Ready(None),
            RestProj::Whole { body } => ready!(body.poll_frame(cx)),
            RestProj::Boxed { body } => ready!(body.as_mut().poll_frame(cx)),
        };
        Poll::Ready(frame.map(|frame| Ok(frame?.map_data(into_bytes))))
    }

    fn is_end_stream(&self) -> bool {
        let nothing_held = |held: &Held<_>| held.frames.is_empty() && held.error.is_none();
        self.first.as_deref().is_none_or(nothing_held)
            && match &self.rest {
                Rest::None => true,
                Rest::Whole { body } => body.is_end_stream(),
                Rest::Boxed { body } => body.is_end_stream(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        let rest = match &self.rest {
            Rest::None => SizeHint::with_exact(0),
            Rest::Whole { body } => body.size_hint(),
            Rest::Boxed { body } => body.size_hint(),
        };
        let Some(held) = &self.first else { return rest };
        let mut size = SizeHint::default();
        size.set_lower(rest.lower() + held.frames.len());
        // Who is told the length of a body sends no trailers, and takes what fails after it for whole.
        let ends_plainly = held.error.is_none() && !held.frames.has_trailers();
        if let Some(upper) = rest.upper().filter(|_| ends_plainly) {
            size.set_upper(upper + held.frames.len());
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
