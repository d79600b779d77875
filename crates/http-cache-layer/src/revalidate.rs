//! Stale answers that are served while the origin is asked (RFC 5861, section 3).

use std::{sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use http::{Request, header, request::Parts};
use http_body_util::BodyExt;
use tokio::time::timeout;
use tower::Service;

use super::{
    Key, Look,
    collapse::{Lead, Outcome, Seat},
    entry::Entry,
    service::Cache,
};
use crate::{BoxError, connection::ClientConnection};

/// How long the origin may take for all of its answer.
const LONGEST: Duration = Duration::from_secs(60);

impl<S> Cache<S>
where
    S: Service<Request<Body>, Response = Response, Error = BoxError, Future: Send> + Send + 'static,
{
    /// Sees to it that the origin is asked, by one at a time. Where too many are at it, what it takes comes
    /// back, and the request goes itself.
    pub(super) fn revalidate_soon(
        self,
        key: &Key,
        head: Parts,
        stale: Arc<Entry>,
    ) -> Option<(Self, Parts)> {
        let Seat::Leader(lead) =
            self.shared
                .flights
                .join(key, self.route, Some(stale.variant(&head.headers)))
        else {
            return None;
        };
        let Ok(permit) = self.shared.background.clone().try_acquire_owned() else {
            return Some((self, head));
        };
        let revalidation = self.revalidate(key.clone(), head, stale, lead);
        tokio::spawn(async move {
            drop(timeout(LONGEST, revalidation).await);
            drop(permit);
        });
        None
    }

    async fn revalidate(mut self, key: Key, mut head: Parts, stale: Arc<Entry>, lead: Lead) {
        // Its connection may end before this does, and its place be another's.
        head.extensions.remove::<ClientConnection>();
        // The client's own conditions are about what it has.
        head.headers.remove(header::IF_NONE_MATCH);
        head.headers.remove(header::IF_MODIFIED_SINCE);
        let shared = self.shared.clone();
        let Look { stored, before, .. } = shared.look(&key, self.route, &head.headers).await;
        // Someone may have been at it between the look-up and now.
        if let Some(fresh) = stored
            .as_ref()
            .filter(|it| it.satisfies(&head, shared.now()))
        {
            return lead.end(Outcome::Stored(fresh.clone(), before.ticket));
        }
        let stored = Some(stored.unwrap_or(stale));
        let answer = self
            .forward(key, head, stored, before, Some(lead), "")
            .await;
        let mut left = shared.entry_limit;
        // By being read it is stored.
        let Ok(mut body) = answer.map(Response::into_body) else {
            return;
        };
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            let Some(rest) = left.checked_sub(length) else {
                return;
            };
            left = rest;
        }
    }
}
