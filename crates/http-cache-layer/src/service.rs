//! The service: lookup, and waiting for concurrent requests.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use crate::{
    body::ResponseBody,
    collapse::{Next, Outcome, Role},
    entry::Usability,
    forward::{Forwarder, Miss, stored_response},
    future::ResponseFuture,
    policy::{is_cacheable, needs_origin},
    request::CacheRequest,
    settings::Settings,
    shared::{Lookup, Shared},
    status::{CacheStatus, ForwardReason},
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
        let mut cacheable = match Incoming::new(request, &self.settings) {
            Incoming::Cacheable(cacheable) => cacheable,
            Incoming::Other(other, reason) => {
                let mut forwarder = self.forwarder(ready);
                return ResponseFuture::new(async move { forwarder.pass(other, reason).await });
            }
        };
        let lookup = self
            .shared
            .look_up_now(&cacheable.key, &cacheable.head.headers);
        if let Some(found) = &lookup
            && let Some((mut response, status)) = self.shared.respond(found, &cacheable)
        {
            // Reuses the table of the request's extensions.
            let extensions = response.extensions_mut();
            mem::swap(extensions, &mut cacheable.head.extensions);
            extensions.clear();
            let stored = stored_response(response, status, &self.settings);
            return ResponseFuture::ready(stored);
        }
        ResponseFuture::new(self.forwarder(ready).look_up(cacheable, lookup))
    }
}

impl<S> Cache<S> {
    fn forwarder<B>(&self, ready: S) -> Forwarder<S, B> {
        Forwarder::new(ready, self.shared.clone(), self.settings.clone())
    }
}

/// A request by its handling.
enum Incoming<B> {
    Cacheable(CacheRequest),
    Other(Request<B>, ForwardReason),
}

impl<B: Body> Incoming<B> {
    fn new(request: Request<B>, settings: &Settings) -> Self {
        if !is_cacheable(request.method()) {
            return Self::Other(request, ForwardReason::Method);
        }
        let (head, body) = request.into_parts();
        let bypasses = !body.is_end_stream() || needs_origin(&head) || (settings.bypass)(&head);
        let key = (settings.key)(&head).filter(|_| !bypasses);
        match key {
            None => Self::Other(Request::from_parts(head, body), ForwardReason::Bypass),
            Some(found) => {
                let partitioned = found.with_partition(settings.partition);
                Self::Cacheable(CacheRequest::new(partitioned, head, settings))
            }
        }
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
    async fn look_up(
        mut self,
        mut request: CacheRequest,
        mut first: Option<Lookup>,
    ) -> Result<Response<ResponseBody<R>>, S::Error> {
        let wait_timeout = self.settings.wait_timeout;
        let deadline = Instant::now() + wait_timeout;
        let mut leader = None;
        let mut variant = None;
        loop {
            let lookup = match first.take() {
                Some(found) => found,
                None => {
                    let headers = &request.head.headers;
                    self.shared.look_up(&request.key, headers).await
                }
            };
            if let Some((response, status)) = self.shared.respond(&lookup, &request) {
                return Ok(stored_response(response, status, &self.settings));
            }
            let reason = self.shared.forward_reason(&lookup, &request);
            let Lookup {
                vary,
                selected,
                snapshot,
            } = lookup;
            let now = self.shared.now();
            if leader.is_none()
                && let Some(entry) = &selected
                && let Some(seconds) = entry.usable_while_revalidating(&request, now)
            {
                let response = entry.respond(&request.head, now);
                let settings = self.settings.clone();
                match self.revalidate_in_background(request, entry.clone()) {
                    None => {
                        let status = CacheStatus::StaleWhileRevalidate(seconds);
                        return Ok(stored_response(response, status, &settings));
                    }
                    Some((forwarder, unsent)) => {
                        self = forwarder;
                        request = unsent;
                    }
                }
            }
            if request.directives.only_if_cached {
                let mut response = Response::new(Replay::default()); // RFC 9111, section 5.2.1.7
                *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
                let status = CacheStatus::Forwarded(reason);
                return Ok(stored_response(response, status, &self.settings));
            }
            let names = selected
                .as_ref()
                .map(|entry| entry.vary())
                .or(vary.as_ref());
            variant = names
                .map(|known| known.variant(&request.key, &request.head.headers))
                .or(variant);
            let mut miss = Miss {
                selected,
                snapshot,
                leader: leader.take(),
                reason,
            };
            let goes_alone = request.is_alone() || self.shared.uncacheable.contains(&request);
            if goes_alone || miss.leader.is_some() {
                return self.forward(request, miss).await;
            }
            let waiter = match self.shared.in_flight.join(&request, variant) {
                // Looks up again: the response may have been stored since.
                Role::Leader(lead) => {
                    leader = Some(lead);
                    continue;
                }
                Role::Waiter(waiter) => waiter,
            };
            match waiter.wait(wait_timeout).await {
                Next::Lead(lead) => {
                    leader = Some(lead);
                    continue;
                }
                Next::Outcome(Outcome::Abandoned) => continue,
                Next::Outcome(Outcome::Failed) => {
                    let failed = self.shared.now();
                    if let Some(entry) = &miss.selected
                        && entry.usable_on_error(&request, failed)
                    {
                        let response = entry.respond(&request.head, failed);
                        let status = CacheStatus::StaleIfError(reason);
                        return Ok(stored_response(response, status, &self.settings));
                    }
                    if Instant::now() < deadline {
                        continue;
                    }
                }
                Next::Outcome(Outcome::Stored(entry, ticket))
                    if !ticket.differs(&miss.snapshot.ticket) =>
                {
                    if !entry.matches(&request.key, &request.head.headers) {
                        variant = Some(entry.vary().variant(&request.key, &request.head.headers));
                        continue;
                    }
                    let arrival = self.shared.now();
                    if entry.usability(&request.directives, arrival) == Usability::Fresh {
                        let response = entry.respond(&request.head, arrival);
                        let status = CacheStatus::Collapsed(reason);
                        return Ok(stored_response(response, status, &self.settings));
                    }
                    miss.selected = Some(entry);
                }
                // Not shared, or it began before a change by another process, or the inner service fails slowly.
                Next::Outcome(_) => {}
            }
            return self.forward(request, miss).await;
        }
    }
}
