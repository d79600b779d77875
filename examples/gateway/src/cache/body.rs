//! A body that is kept while it goes to the client.

use std::{
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
}

impl Keeping {
    pub(super) fn finish(self, body: Bytes) {
        let entry = Arc::new(self.entry.with_body(body));
        let unchanged = || self.shared.flights.changes(&self.key) == self.before.changes;
        let mut stored = unchanged();
        if stored {
            self.shared.store.put(&self.key, entry.clone(), self.before.ticket.clone());
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
    pub(super) inner: Body,
    pub(super) kept: Vec<u8>,
    pub(super) keeping: Option<Keeping>,
}

impl http_body::Body for Tee {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let Some(keeping) = self.keeping.take() else { return Poll::Ready(frame) };
        match frame.as_ref().map(|frame| frame.as_ref().map(Frame::data_ref)) {
            Some(Ok(Some(data))) => {
                let size = self.kept.len() as u64 + data.len() as u64;
                if size > keeping.shared.entry_limit {
                    self.kept = Vec::new();
                    keeping.give_up();
                } else {
                    self.kept.extend_from_slice(data);
                    // A server that knows the length does not ask for more after the last piece.
                    match self.inner.is_end_stream() {
                        true => keeping.finish(std::mem::take(&mut self.kept).into()),
                        false => self.keeping = Some(keeping),
                    }
                }
            }
            Some(Ok(None)) => keeping.give_up(), // trailers would be lost
            Some(Err(_)) => drop(keeping),
            None => keeping.finish(std::mem::take(&mut self.kept).into()),
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
