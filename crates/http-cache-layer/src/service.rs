//! The service: lookup, and waiting for concurrent requests.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, request::Parts};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use crate::{
    body::ResponseBody,
    collapse::{Outcome, Role},
    conditional::CONDITIONS,
    directives::Directives,
    forward::{Forwarder, Miss, stored_response, with_status},
    future::ResponseFuture,
    key::{Key, is_cacheable, needs_origin},
    policy::Authorized,
    settings::Settings,
    shared::{Lookup, Shared},
    status::{CacheStatus, ForwardReason},
    store::Purge,
    stored_body::Replay,
};

/// Responds with stored responses where RFC 9111 allows it, and stores those of the inner service.
///
/// The layer is [`CacheLayer`](crate::CacheLayer).
#[derive(Clone, Debug)]
#[must_use]
pub struct Cache<S> {
    inner: S,
    shared: Arc<Shared>,
    settings: Arc<Settings>,
}

impl<S> Cache<S> {
    pub(crate) fn new(inner: S, shared: Arc<Shared>, settings: Arc<Settings>) -> Self {
        Self {
            inner,
            shared,
            settings,
        }
    }

    /// Returns the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Cache<S>
where
    S: Service<Request<B>, Response = Response<R>, Error: Send + 'static, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Body + Default + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<R, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The future takes the ready service, and drops it where it is not needed.
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        let forwarder = Forwarder::new(ready, self.shared.clone(), self.settings.clone());
        ResponseFuture::new(forwarder.respond(request))
    }
}

impl<S, B, R> Forwarder<S, B>
where
    S: Service<Request<B>, Response = Response<R>, Error: Send + 'static, Future: Send>
        + Send
        + 'static,
    B: Body + Default + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
{
    async fn respond(mut self, request: Request<B>) -> Result<Response<ResponseBody<R>>, S::Error> {
        if !is_cacheable(request.method()) {
            return self.forward_method(request).await;
        }
        let (mut head, body) = request.into_parts();
        let bypasses =
            !body.is_end_stream() || needs_origin(&head.headers) || (self.settings.bypass)(&head);
        let Some(key) = Key::from_request(&head).filter(|_| !bypasses) else {
            let unchanged = Request::from_parts(head, body);
            return self.bypass(unchanged, ForwardReason::Bypass).await;
        };
        if (self.settings.authorized)(&head) {
            head.extensions.insert(Authorized);
        }
        let partitioned = key.with_partition(self.settings.partition);
        self.look_up(partitioned, head).await
    }

    /// Forwards a request that is neither GET nor HEAD, and invalidates the responses that it changes (RFC 9111, section
    /// 4.4).
    async fn forward_method(
        &mut self,
        request: Request<B>,
    ) -> Result<Response<ResponseBody<R>>, S::Error> {
        if request.method().is_safe() {
            return self.bypass(request, ForwardReason::Method).await;
        }
        let (head, body) = request.into_parts();
        let mut change = PendingChange {
            shared: self.shared.clone(),
            key: Key::from_request(&head),
        };
        let unchanged = Request::from_parts(head, body);
        let response = self.bypass(unchanged, ForwardReason::Method).await?;
        let status = response.status();
        let changed = change.key.take();
        if let Some(key) = changed.filter(|_| status.is_success() || status.is_redirection()) {
            let related = key.related(response.headers());
            // All removals start before the first await: the client may leave meanwhile.
            let keys = related.chain([key]).map(Purge::Url);
            let removals: Vec<_> = keys.map(|purge| self.shared.remove(purge)).collect();
            for removal in removals {
                removal.await;
            }
        }
        Ok(response)
    }

    async fn look_up(
        mut self,
        key: Key,
        mut head: Parts,
    ) -> Result<Response<ResponseBody<R>>, S::Error> {
        let Settings {
            name, wait_timeout, ..
        } = *self.settings;
        let conditional = CONDITIONS
            .iter()
            .any(|condition| head.headers.contains_key(condition));
        let deadline = Instant::now() + wait_timeout;
        let mut leader = None;
        let mut variant = None;
        loop {
            let Lookup {
                vary,
                selected,
                snapshot,
            } = self.shared.look_up(&key, &head.headers).await;
            let now = self.shared.now();
            let reason = match &selected {
                Some(entry) if entry.satisfies(&head, now) => {
                    let response = entry.respond(&head, now);
                    return Ok(stored_response(response, CacheStatus::Hit, name));
                }
                Some(entry) if entry.is_stale(now) => ForwardReason::Stale,
                Some(_) => ForwardReason::Request,
                None if vary.is_some() => ForwardReason::VaryMiss,
                None => ForwardReason::UriMiss,
            };
            if leader.is_none()
                && let Some(entry) = &selected
                && let Some(seconds) = entry.usable_while_revalidating(&head, now)
            {
                let response = entry.respond(&head, now);
                match self.revalidate_in_background(&key, head, entry.clone()) {
                    None => {
                        let status = CacheStatus::StaleWhileRevalidate(seconds);
                        return Ok(stored_response(response, status, name));
                    }
                    Some((forwarder, unsent)) => {
                        self = forwarder;
                        head = unsent;
                    }
                }
            }
            if Directives::new(&head.headers).has("only-if-cached") {
                let mut response = Response::new(Replay::default()); // RFC 9111, section 5.2.1.7
                *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
                return Ok(stored_response(
                    response,
                    CacheStatus::Forwarded(reason),
                    name,
                ));
            }
            // No other request can use the response to HEAD, or to a client's own condition.
            let not_shared = head.method == Method::HEAD || (conditional && selected.is_none());
            let names = selected
                .as_ref()
                .map(|entry| entry.vary())
                .or(vary.as_ref());
            variant = names
                .map(|known| known.variant(&key, &head.headers))
                .or(variant);
            let mut miss = Miss {
                selected,
                snapshot,
                leader: leader.take(),
                reason,
            };
            if not_shared || miss.leader.is_some() {
                return self.forward(key, head, miss).await;
            }
            let role = self.shared.in_flight.join(&key, variant);
            let waiter = match role {
                // Looks up again: the response may have been stored since.
                Role::Leader(lead) => {
                    leader = Some(lead);
                    continue;
                }
                Role::Waiter(waiter) => waiter,
            };
            match waiter.outcome(deadline).await {
                None => continue,
                Some(Outcome::Stored(entry, ticket)) if !ticket.differs(&miss.snapshot.ticket) => {
                    if !entry.matches(&key, &head.headers) {
                        variant = Some(entry.vary().variant(&key, &head.headers));
                        continue;
                    }
                    let arrival = self.shared.now();
                    if entry.satisfies(&head, arrival) {
                        let response = entry.respond(&head, arrival);
                        return Ok(stored_response(
                            response,
                            CacheStatus::Collapsed(reason),
                            name,
                        ));
                    }
                    miss.selected = Some(entry);
                }
                // Not shared, or it began before a change by another process.
                Some(_) => {}
            }
            return self.forward(key, head, miss).await;
        }
    }

    async fn bypass(
        &mut self,
        request: Request<B>,
        reason: ForwardReason,
    ) -> Result<Response<ResponseBody<R>>, S::Error> {
        let response = self.send(request).await?.map(ResponseBody::origin);
        let status = CacheStatus::Forwarded(reason);
        Ok(with_status(response, status, self.settings.name))
    }
}

/// A change whose outcome is unknown. If the client leaves or the origin fails, the change may still have been made.
struct PendingChange {
    shared: Arc<Shared>,
    key: Option<Key>,
}

impl Drop for PendingChange {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            drop(self.shared.remove(Purge::Url(key)));
        }
    }
}
