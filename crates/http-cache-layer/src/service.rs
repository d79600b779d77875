//! The way of a request: what is stored, or one of several to the origin.

use std::{
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{body::Body, response::Response};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header, request::Parts};
use http_body::Body as _;
use tokio::time::Instant;
use tower::{Service, ServiceExt};

use super::{
    Key, Look, PATIENCE, Shared,
    body::{Before, Keeping, Tee},
    collapse::{Lead, Outcome, Seat, land},
    entry::{self, Entry},
    key::{Directives, RouteId, bypasses, is_cacheable},
    pieces::Pieces,
};
use crate::BoxError;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Answers from what is stored where RFC 9111 allows it.
#[derive(Clone)]
pub(crate) struct Cache<S> {
    inner: S,
    pub(super) shared: Shared,
    pub(super) route: RouteId,
}

impl<S> Cache<S> {
    pub(super) fn new(inner: S, shared: Shared, route: RouteId) -> Self {
        Self {
            inner,
            shared,
            route,
        }
    }
}

impl<S> Service<Request<Body>> for Cache<S>
where
    S: Service<Request<Body>, Response = Response, Error = BoxError, Future: Send>
        + Clone
        + Send
        + 'static,
{
    type Response = Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The ready service goes along; a request that does not need it drops it.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        let this = Cache {
            inner,
            shared: self.shared.clone(),
            route: self.route,
        };
        Box::pin(this.run(request))
    }
}

impl<S> Cache<S>
where
    S: Service<Request<Body>, Response = Response, Error = BoxError, Future: Send> + Send + 'static,
{
    async fn run(mut self, request: Request<Body>) -> Result<Response, BoxError> {
        let (head, body) = request.into_parts();
        if !is_cacheable(&head.method) {
            let key = Key::of(&head).filter(|_| !head.method.is_safe());
            let mut unsure = Unsure {
                shared: self.shared.clone(),
                key,
            };
            let response = self
                .inner
                .ready()
                .await?
                .call(Request::from_parts(head, body))
                .await?;
            let (key, status) = (unsure.key.take(), response.status());
            // RFC 9111, section 4.4
            if let Some(key) = key.filter(|_| status.is_success() || status.is_redirection()) {
                let related: Vec<_> = key.related(response.headers()).collect();
                // All begin before one is waited for: the client may leave meanwhile.
                let keys = related.into_iter().chain([key]);
                let removals: Vec<_> = keys.map(|key| self.shared.remove(key)).collect();
                for removal in removals {
                    removal.await;
                }
            }
            return Ok(told(response, "fwd=method"));
        }
        let whole = body.is_end_stream() && !bypasses(&head);
        let Some(key) = Key::of(&head).filter(|_| whole) else {
            let response = self
                .inner
                .ready()
                .await?
                .call(Request::from_parts(head, body))
                .await?;
            return Ok(told(response, "fwd=bypass"));
        };
        self.look_up(key, head).await
    }

    async fn look_up(mut self, key: Key, mut head: Parts) -> Result<Response, BoxError> {
        let conditional = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE]
            .iter()
            .any(|name| head.headers.contains_key(name));
        let until = Instant::now() + PATIENCE;
        let (mut lead, mut variant) = (None, None);
        loop {
            let Look {
                variants,
                stored,
                before,
            } = self.shared.look(&key, self.route, &head.headers).await;
            let now = self.shared.now();
            let why = match &stored {
                Some(entry) if entry.satisfies(&head, now) => {
                    return Ok(told(entry.answer(&head, now), "hit"));
                }
                Some(entry) if entry.is_stale(now) => "fwd=stale",
                Some(_) => "fwd=request",
                None if variants.is_some() => "fwd=vary-miss",
                None => "fwd=uri-miss",
            };
            let stale = stored
                .as_ref()
                .and_then(|it| it.stale_while_revalidated(&head, now));
            if let (Some(entry), Some(seconds), None) = (&stored, stale, &lead) {
                let answer = entry.answer(&head, now);
                let what = format!("hit; ttl=-{seconds}; detail=stale-while-revalidate");
                match self.revalidate_soon(&key, head, entry.clone()) {
                    None => return Ok(told(answer, &what)),
                    Some((this, same)) => (self, head) = (this, same),
                }
            }
            if Directives::of(&head.headers).has("only-if-cached") {
                let mut response = Response::default(); // RFC 9111, section 5.2.1.7
                *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
                return Ok(told(response, why));
            }
            // The answer to HEAD, or to a condition of the client's own, is of no use to others.
            let alone = head.method == Method::HEAD || (conditional && stored.is_none());
            if alone || lead.is_some() {
                return self.forward(key, head, stored, before, lead, why).await;
            }
            let alike = stored.as_ref().or_else(|| {
                variants
                    .iter()
                    .flat_map(|v| v.iter())
                    .find(|entry| entry.is_of(self.route))
            });
            variant = alike.map(|entry| entry.variant(&head.headers)).or(variant);
            match self.shared.flights.join(&key, self.route, variant.clone()) {
                // Once more, since it may have been stored in between.
                Seat::Leader(seat) => lead = Some(seat),
                Seat::Waiter(wait) => {
                    let Some(outcome) = wait.outcome(until).await else {
                        continue;
                    };
                    let now = self.shared.now();
                    match outcome {
                        // It began before a change that went through another gateway.
                        Outcome::Stored(_, ticket) if ticket.differs(&before.ticket) => {
                            return self.forward(key, head, stored, before, None, why).await;
                        }
                        Outcome::Stored(entry, _) if entry.matches(self.route, &head.headers) => {
                            if entry.satisfies(&head, now) {
                                let why = format!("{why}; collapsed");
                                return Ok(told(entry.answer(&head, now), &why));
                            }
                            return self
                                .forward(key, head, Some(entry), before, None, why)
                                .await;
                        }
                        Outcome::Stored(entry, _) => variant = Some(entry.variant(&head.headers)),
                        _ => return self.forward(key, head, stored, before, None, why).await,
                    }
                }
            }
        }
    }

    pub(super) async fn forward(
        &mut self,
        key: Key,
        head: Parts,
        stored: Option<Arc<Entry>>,
        before: Before,
        lead: Option<Lead>,
        why: &str,
    ) -> Result<Response, BoxError> {
        let mut asked = head.clone();
        let stored = stored.filter(|_| head.method == Method::GET);
        let asks = stored.as_ref().is_some_and(|entry| entry.ask(&mut asked));
        let mut result = self.send(asked).await;
        let now = self.shared.now();
        let failed = match &result {
            Ok(response) => matches!(response.status().as_u16(), 500 | 502 | 503 | 504),
            Err(_) => true,
        };
        if let Some(entry) = stored
            .as_ref()
            .filter(|entry| failed && entry.helps_out(&head, now))
        {
            let why = format!("{why}; detail=stale-if-error");
            return Ok(told(entry.answer(&head, now), &why));
        }
        if let (Some(entry), true) = (&stored, asks) {
            let response = result?;
            if response.status() != StatusCode::NOT_MODIFIED {
                result = Ok(response);
            } else {
                let (new, _) = response.into_parts();
                if entry.is_meant_by(&new) {
                    let merged = entry.updated_head(&new);
                    let fresh = Entry::of(self.route, &head, &merged, now);
                    let why = format!("{why}; fwd-status=304");
                    let body = entry.body.clone();
                    match fresh {
                        Some(entry) => {
                            self.keeping(key, before, entry, lead).finish(body.clone());
                        }
                        None => {
                            // Nothing has changed at the origin: what is on its way may be stored.
                            self.shared.store.remove(key).await;
                            land(lead, Outcome::Alone);
                        }
                    }
                    return Ok(told(entry::answer(merged, body, &head), &why));
                }
                result = self.send(head.clone()).await;
            }
        }
        let (parts, body) = result?.into_parts();
        let limit = self.shared.entry_limit;
        let fits = body.size_hint().lower() <= limit;
        let entry = Entry::of(self.route, &head, &parts, self.shared.now()).filter(|_| fits);
        let Some(entry) = entry else {
            land(lead, Outcome::Alone);
            return Ok(told(Response::from_parts(parts, body), why));
        };
        let keeping = self.keeping(key, before, entry, lead);
        let body = if body.is_end_stream() {
            keeping.finish(Pieces::default());
            body
        } else {
            Body::new(Tee::new(body, keeping))
        };
        // The body is still to come: it is not stored after all if it breaks, grows too large or has trailers.
        Ok(told(
            Response::from_parts(parts, body),
            &format!("{why}; stored"),
        ))
    }

    fn keeping(&self, key: Key, before: Before, entry: Entry, lead: Option<Lead>) -> Keeping {
        Keeping {
            shared: self.shared.clone(),
            key,
            before,
            entry,
            lead,
            reserved: None,
        }
    }

    async fn send(&mut self, head: Parts) -> Result<Response, BoxError> {
        self.inner
            .ready()
            .await?
            .call(Request::from_parts(head, Body::empty()))
            .await
    }
}

/// A change that has no answer: the client has left, or the origin does not say. It may have been made.
struct Unsure {
    shared: Shared,
    key: Option<Key>,
}

impl Drop for Unsure {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            drop(self.shared.remove(key));
        }
    }
}

/// Says what the cache did (RFC 9211).
fn told(mut response: Response, what: &str) -> Response {
    if let Ok(value) = HeaderValue::try_from(format!("sigv4-gateway; {what}")) {
        response.headers_mut().append(CACHE_STATUS, value);
    }
    response
}
