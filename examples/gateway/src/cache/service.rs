//! The way of a request: what is stored, or one of several to the origin.

use std::{
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header, request::Parts};
use http_body::Body as _;
use tokio::time::{Instant, timeout_at};
use tower::{Service, ServiceExt};

use super::{
    Key, PATIENCE, Shared,
    body::{Keeping, Tee},
    collapse::{Lead, Outcome, Seat},
    entry::{self, Entry},
    key::{Directives, bypasses, is_cacheable},
};
use crate::BoxError;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Answers from what is stored where RFC 9111 allows it.
#[derive(Clone)]
pub(crate) struct Cache<S> {
    inner: S,
    shared: Shared,
    route: usize,
}

impl<S> Cache<S> {
    pub(super) fn new(inner: S, shared: Shared, route: usize) -> Self {
        Self { inner, shared, route }
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
        let this = Cache { inner, shared: self.shared.clone(), route: self.route };
        Box::pin(this.run(request))
    }
}

impl<S> Cache<S>
where
    S: Service<Request<Body>, Response = Response, Error = BoxError, Future: Send> + Send,
{
    async fn run(mut self, request: Request<Body>) -> Result<Response, BoxError> {
        let (head, body) = request.into_parts();
        if !is_cacheable(&head.method) {
            let key = Key::of(&head).filter(|_| !head.method.is_safe());
            let response = self.inner.ready().await?.call(Request::from_parts(head, body)).await?;
            let status = response.status();
            // RFC 9111, section 4.4
            if let Some(key) = key.filter(|_| status.is_success() || status.is_redirection()) {
                self.shared.flights.changed(&key);
                self.shared.store.remove(&key);
            }
            return Ok(told(response, "fwd=method"));
        }
        let whole = body.is_end_stream() && !bypasses(&head);
        let Some(key) = Key::of(&head).filter(|_| whole) else {
            let response = self.inner.ready().await?.call(Request::from_parts(head, body)).await?;
            return Ok(told(response, "fwd=bypass"));
        };
        self.look_up(key, head).await
    }

    async fn look_up(mut self, key: Key, head: Parts) -> Result<Response, BoxError> {
        let conditional = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE]
            .iter()
            .any(|name| head.headers.contains_key(name));
        let until = Instant::now() + PATIENCE;
        let mut lead = None;
        loop {
            let shared = self.shared.clone();
            let variants = shared.store.find(&key).await;
            let now = self.shared.now();
            let matching = |entry: &&Arc<Entry>| entry.matches(self.route, &head.headers);
            let stored = variants.as_ref().and_then(|found| found.iter().find(matching)).cloned();
            let why = match &stored {
                Some(entry) if entry.satisfies(&head, now) => {
                    return Ok(told(entry.answer(&head, now), "hit"));
                }
                Some(entry) if entry.is_stale(now) => "fwd=stale",
                Some(_) => "fwd=request",
                None if variants.is_some() => "fwd=vary-miss",
                None => "fwd=uri-miss",
            };
            if Directives::of(&head.headers).has("only-if-cached") {
                let mut response = Response::default(); // RFC 9111, section 5.2.1.7
                *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
                return Ok(told(response, why));
            }
            // The answer to HEAD, or to a condition of the client's own, is of no use to others.
            let alone = head.method == Method::HEAD || (conditional && stored.is_none());
            if alone || lead.is_some() {
                return self.forward(key, head, stored, lead, why).await;
            }
            match self.shared.flights.join(&key, self.route) {
                // Once more, since it may have been stored in between.
                Seat::Leader(seat) => lead = Some(seat),
                Seat::Waiter(mut waiter) => {
                    let landed = waiter.wait_for(|outcome| !matches!(outcome, Outcome::Flying));
                    let outcome = match timeout_at(until, landed).await {
                        Ok(Ok(outcome)) => outcome.clone(),
                        Ok(Err(_)) => continue, // the leader is gone
                        Err(_) => Outcome::Alone,
                    };
                    let now = self.shared.now();
                    match outcome {
                        Outcome::Stored(entry) if entry.matches(self.route, &head.headers) => {
                            if entry.satisfies(&head, now) {
                                let why = format!("{why}; collapsed");
                                return Ok(told(entry.answer(&head, now), &why));
                            }
                            return self.forward(key, head, Some(entry), None, why).await;
                        }
                        Outcome::Stored(_) => {}
                        _ => return self.forward(key, head, stored, None, why).await,
                    }
                }
            }
        }
    }

    async fn forward(
        &mut self,
        key: Key,
        head: Parts,
        stored: Option<Arc<Entry>>,
        lead: Option<Lead>,
        why: &str,
    ) -> Result<Response, BoxError> {
        let changes = self.shared.flights.changes(&key);
        let mut asked = head.clone();
        let stored = stored.filter(|_| head.method == Method::GET);
        let asks = stored.as_ref().is_some_and(|entry| entry.ask(&mut asked));
        let mut result = self.send(asked).await;
        let now = self.shared.now();
        let failed = match &result {
            Ok(response) => matches!(response.status().as_u16(), 500 | 502 | 503 | 504),
            Err(_) => true,
        };
        if let Some(entry) = stored.as_ref().filter(|entry| failed && entry.helps_out(&head, now)) {
            return Ok(told(entry.answer(&head, now), why));
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
                    if fresh.is_none() {
                        self.shared.store.remove(&key);
                    }
                    let keeping = fresh.map(|entry| self.keeping(&key, changes, entry, None));
                    let why = format!("{why}; fwd-status=304");
                    let body = entry.body();
                    if let Some(mut keeping) = keeping {
                        keeping.lead = lead;
                        keeping.finish(body.clone());
                    } else if let Some(lead) = lead {
                        lead.end(Outcome::Alone);
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
            if let Some(lead) = lead {
                lead.end(Outcome::Alone);
            }
            return Ok(told(Response::from_parts(parts, body), why));
        };
        let keeping = self.keeping(&key, changes, entry, lead);
        let body = if body.is_end_stream() {
            keeping.finish(Bytes::new());
            body
        } else {
            Body::new(Tee { inner: body, kept: Vec::new(), keeping: Some(keeping) })
        };
        Ok(told(Response::from_parts(parts, body), &format!("{why}; stored")))
    }

    fn keeping(&self, key: &Key, changes: u64, entry: Entry, lead: Option<Lead>) -> Keeping {
        Keeping { shared: self.shared.clone(), key: key.clone(), changes, entry, lead }
    }

    async fn send(&mut self, head: Parts) -> Result<Response, BoxError> {
        self.inner.ready().await?.call(Request::from_parts(head, Body::empty())).await
    }
}

/// Says what the cache did (RFC 9211).
fn told(mut response: Response, what: &str) -> Response {
    if let Ok(value) = HeaderValue::try_from(format!("sigv4-gateway; {what}")) {
        response.headers_mut().append(CACHE_STATUS, value);
    }
    response
}
