//! A body that is kept while it goes to the client.

use std::{
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};

use super::{
    Key, Shared,
    collapse::{Lead, Outcome, land},
    entry::Entry,
    memory::Reserved,
    pieces::{Copying, PIECE, Pieces},
    redis::Ticket,
};

/// What tells whether the answer to a request is older than a change: in this process, and in the store.
#[derive(Clone)]
pub(super) struct Before {
    pub(super) changes: u64,
    pub(super) ticket: Ticket,
}

/// What is done when the body has gone through.
pub(super) struct Keeping {
    pub(super) shared: Shared,
    pub(super) key: Key,
    pub(super) before: Before,
    pub(super) entry: Entry,
    pub(super) lead: Option<Lead>,
    /// The memory of the entry and of what was copied of its body.
    pub(super) reserved: Option<Reserved>,
}

impl Keeping {
    /// Reserves memory for the entry with so many bytes of a body. Returns false if the cache holds too much.
    fn reserve(&mut self, body: usize) -> bool {
        self.reserve_in_all(self.entry.size() + body)
    }

    fn reserve_in_all(&mut self, bytes: usize) -> bool {
        if let Some(reserved) = &mut self.reserved {
            return reserved.resize(bytes as u64);
        }
        self.reserved = self.shared.limit.reserve(bytes as u64);
        self.reserved.is_some()
    }

    /// Stores the response with its body, which owns its bytes.
    pub(super) fn finish(mut self, body: Pieces) {
        self.entry = self.entry.with_body(body);
        if !self.reserve_in_all(self.entry.size()) {
            return self.give_up();
        }
        let entry = Arc::new(self.entry.with_reserved(self.reserved));
        let unchanged = || self.shared.flights.changes(&self.key) == self.before.changes;
        let mut stored = unchanged();
        if stored {
            self.shared
                .store
                .put(&self.key, entry.clone(), self.before.ticket.clone());
            stored = unchanged();
            if !stored {
                // It was changed just now, and removed before it was put.
                drop(self.shared.store.remove(self.key.clone()));
            }
        }
        let outcome = match stored {
            true => Outcome::Stored(entry, self.before.ticket),
            false => Outcome::Alone,
        };
        land(self.lead, outcome);
    }

    fn give_up(self) {
        land(self.lead, Outcome::Alone);
    }
}

/// Dropped before its end, it stores nothing, and another request takes the lead.
pub(super) struct Tee {
    inner: Body,
    copy: Copying,
    /// What memory was reserved for, in bytes of the body.
    reserved: usize,
    keeping: Option<Keeping>,
}

impl Tee {
    pub(super) fn new(inner: Body, keeping: Keeping) -> Self {
        Self {
            inner,
            copy: Copying::default(),
            reserved: 0,
            keeping: Some(keeping),
        }
    }

    /// Copies a piece of the body. Returns false if the response is too large to be stored.
    fn copy(&mut self, keeping: &mut Keeping, data: &[u8]) -> bool {
        let len = self.copy.len() + data.len();
        if len as u64 > keeping.shared.entry_limit {
            return false;
        }
        if len > self.reserved {
            let reserved = len.next_multiple_of(PIECE);
            if !keeping.reserve(reserved) {
                return false;
            }
            self.reserved = reserved;
        }
        self.copy.push(data);
        true
    }

    fn finish(&mut self, keeping: Keeping) {
        keeping.finish(mem::take(&mut self.copy).finish());
    }
}

impl http_body::Body for Tee {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let Some(mut keeping) = self.keeping.take() else {
            return Poll::Ready(frame);
        };
        match frame
            .as_ref()
            .map(|frame| frame.as_ref().map(Frame::data_ref))
        {
            Some(Ok(Some(data))) => {
                if !self.copy(&mut keeping, data) {
                    self.copy = Copying::default();
                    keeping.give_up();
                } else if self.inner.is_end_stream() {
                    // A server that knows the length does not ask for more after the last piece.
                    self.finish(keeping);
                } else {
                    self.keeping = Some(keeping);
                }
            }
            Some(Ok(None)) => keeping.give_up(), // trailers would be lost
            Some(Err(_)) => drop(keeping),
            None => self.finish(keeping),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
