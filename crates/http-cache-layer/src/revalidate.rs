//! Revalidation in the background, while the stale response is served (RFC 5861, section 3).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Body;
use tokio::time::timeout;
use tower_service::Service;

use crate::{
    body,
    collapse::{Leader, Outcome, Role},
    conditional::remove_conditions,
    entry::{Entry, Usability},
    forward::{Forwarder, Miss},
    request::CacheRequest,
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
        request: CacheRequest,
        stale: Arc<Entry>,
    ) -> Option<(Self, CacheRequest)> {
        let variant = Some(stale.variant());
        let Role::Leader(leader) = self.shared.in_flight.join(&request, variant) else {
            return None;
        };
        let Ok(permit) = self.shared.background.clone().try_acquire_owned() else {
            return Some((self, request));
        };
        let revalidation = self.revalidate(request, stale, leader);
        tokio::spawn(async move {
            drop(timeout(TIMEOUT, revalidation).await);
            drop(permit);
        });
        None
    }

    async fn revalidate(mut self, mut request: CacheRequest, stale: Arc<Entry>, leader: Leader) {
        (self.settings.detach)(&mut request.head);
        // The client's conditions are about its own copy.
        remove_conditions(&mut request.head.headers);
        request.head.headers.remove(header::RANGE);
        let shared = self.shared.clone();
        let headers = &request.head.headers;
        let Lookup {
            selected, snapshot, ..
        } = shared.look_up(&request.key, headers).await;
        let now = shared.now();
        // Another revalidation may have ended since the client's lookup.
        if let Some(fresh) = selected
            .as_ref()
            .filter(|entry| entry.usability(&request.directives, now) == Usability::Fresh)
        {
            return leader.finish(Outcome::Stored(fresh.clone(), snapshot.ticket));
        }
        let miss = Miss {
            selected: Some(selected.unwrap_or(stale)),
            snapshot,
            leader: Some(leader),
            reason: ForwardReason::Stale,
        };
        if let Ok(response) = self.forward(request, miss).await {
            body::read(response.into_body(), shared.entry_limit).await;
        }
    }
}
