//! Revalidation in the background, while the stale response is served (RFC 5861, section 3).

use std::{future::poll_fn, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body;
use tokio::time::timeout;
use tower_service::Service;

use crate::{
    collapse::{Leader, Outcome, Role},
    conditional::CONDITIONS,
    entry::Entry,
    forward::{Forwarder, Miss},
    key::Key,
    shared::Lookup,
    status::ForwardReason,
};

/// Limits the whole response of the origin.
const TIMEOUT: Duration = Duration::from_secs(60);

impl<S, B, R> Forwarder<S, B>
where
    S: Service<Request<B>, Response = Response<R>, Error: Send, Future: Send> + Send + 'static,
    B: Default + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
{
    /// Starts a revalidation, unless one is running. If too many are, returns the arguments: the request has to go to
    /// the origin itself.
    pub(crate) fn revalidate_in_background(
        self,
        key: &Key,
        head: Parts,
        stale: Arc<Entry>,
    ) -> Option<(Self, Parts)> {
        let variant = Some(stale.variant());
        let Role::Leader(leader) = self.shared.in_flight.join(key, variant) else {
            return None;
        };
        let Ok(permit) = self.shared.background.clone().try_acquire_owned() else {
            return Some((self, head));
        };
        let revalidation = self.revalidate(key.clone(), head, stale, leader);
        tokio::spawn(async move {
            drop(timeout(TIMEOUT, revalidation).await);
            drop(permit);
        });
        None
    }

    async fn revalidate(mut self, key: Key, mut head: Parts, stale: Arc<Entry>, leader: Leader) {
        (self.settings.detach)(&mut head);
        // The client's conditions are about its own copy.
        for name in CONDITIONS {
            head.headers.remove(name);
        }
        let shared = self.shared.clone();
        let Lookup {
            selected, snapshot, ..
        } = shared.look_up(&key, &head.headers).await;
        // Another revalidation may have ended since the client's lookup.
        if let Some(fresh) = selected
            .as_ref()
            .filter(|entry| entry.satisfies(&head, shared.now()))
        {
            return leader.finish(Outcome::Stored(fresh.clone(), snapshot.ticket));
        }
        let miss = Miss {
            selected: Some(selected.unwrap_or(stale)),
            snapshot,
            leader: Some(leader),
            reason: ForwardReason::Stale,
        };
        let Ok(response) = self.forward(key, head, miss).await else {
            return;
        };
        let mut remaining = shared.entry_limit;
        // Reading the body stores it.
        let mut body = pin!(response.into_body());
        while let Some(Ok(frame)) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            let Some(rest) = remaining.checked_sub(length) else {
                return;
            };
            remaining = rest;
        }
    }
}
