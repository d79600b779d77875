//! Body of responses.

use std::{
    fmt::{self, Debug, Formatter},
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{
    observer::StoreOutcome,
    pending::PendingEntry,
    stored_body::{BodyCopy, CHUNK, Replay},
};

pin_project! {
    /// Body of a [`Cache`](crate::Cache)'s responses: the origin's, which is copied on its way if it is to be stored, or a
    /// stored one.
    pub struct ResponseBody<B> {
        #[pin]
        inner: Inner<B>,
    }
}

pin_project! {
    #[project = InnerProjection]
    enum Inner<B> {
        Origin { #[pin] body: B, tee: Option<Tee> },
        Stored { replay: Replay },
    }
}

impl<B> ResponseBody<B> {
    pub(crate) fn origin(body: B) -> Self {
        let inner = Inner::Origin { body, tee: None };
        Self { inner }
    }

    /// Copies the body into an entry.
    pub(crate) fn tee(body: B, pending: PendingEntry) -> Self {
        let tee = Tee {
            copy: BodyCopy::default(),
            reserved: 0,
            pending,
        };
        let inner = Inner::Origin {
            body,
            tee: Some(tee),
        };
        Self { inner }
    }

    pub(crate) fn stored(replay: Replay) -> Self {
        let inner = Inner::Stored { replay };
        Self { inner }
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().inner.project() {
            InnerProjection::Origin { mut body, tee } => {
                let frame = ready!(body.as_mut().poll_frame(cx));
                *tee = tee.take().and_then(|active| match &frame {
                    Some(Ok(read)) => active.read(read, body.is_end_stream()),
                    Some(Err(_)) => None,
                    None => active.store(),
                });
                Poll::Ready(frame)
            }
            InnerProjection::Stored { replay } => Pin::new(replay)
                .poll_frame(cx)
                .map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Origin { body, .. } => body.is_end_stream(),
            Inner::Stored { replay } => replay.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Origin { body, .. } => body.size_hint(),
            Inner::Stored { replay } => replay.size_hint(),
        }
    }
}

impl<B> Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

/// Copies a body while it goes to the client.
struct Tee {
    copy: BodyCopy,
    /// Length of the body for which memory is reserved.
    reserved: usize,
    pending: PendingEntry,
}

impl Tee {
    /// Returns `None` once the entry is stored or abandoned.
    fn read(mut self, frame: &Frame<Bytes>, is_end: bool) -> Option<Self> {
        let Some(data) = frame.data_ref() else {
            self.pending.abandon(StoreOutcome::Incomplete); // trailers would be lost
            return None;
        };
        if let Err(reason) = self.copy(data) {
            drop(self.copy);
            self.pending.abandon(reason);
            return None;
        }
        // A server that knows the length does not poll after the last frame.
        if is_end { self.store() } else { Some(self) }
    }

    fn copy(&mut self, data: &[u8]) -> Result<(), StoreOutcome> {
        let len = self.copy.len() + data.len();
        if len as u64 > self.pending.shared.entry_limit {
            return Err(StoreOutcome::TooLarge);
        }
        if len > self.reserved {
            let rounded = len.next_multiple_of(CHUNK);
            if !self.pending.reserve(rounded) {
                return Err(StoreOutcome::NoMemory);
            }
            self.reserved = rounded;
        }
        self.copy.push(data);
        Ok(())
    }

    fn store(self) -> Option<Self> {
        self.pending.store(self.copy.finish());
        None
    }
}

/// Reads a body, which stores it, unless it is larger than the limit.
pub(crate) async fn read<R: Body<Data = Bytes>>(body: R, limit: u64) {
    let mut remaining = limit;
    let mut pinned = pin!(body);
    while let Some(Ok(frame)) = poll_fn(|cx| pinned.as_mut().poll_frame(cx)).await {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        let Some(rest) = remaining.checked_sub(length) else {
            return;
        };
        remaining = rest;
    }
}
