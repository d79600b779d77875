//! Requests that go to the inner service.

use std::{future::poll_fn, marker::PhantomData, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, request::Parts};
use http_body::Body;
use tower_service::Service;

use crate::{
    body::{self, ResponseBody},
    collapse::{Leader, Outcome, Snapshot},
    conditional::{client_has, is_confirmed_by, remove_conditions},
    entry::{Entry, Times},
    observer::StoreOutcome,
    pending::PendingEntry,
    request::CacheRequest,
    response,
    settings::Settings,
    shared::Shared,
    status::{CacheStatus, ForwardReason},
    stored_body::{Replay, StoredBody},
};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The inner service for one request, whose body is a `B`.
pub(crate) struct Forwarder<S, B> {
    service: S,
    pub(crate) shared: Arc<Shared>,
    pub(crate) settings: Arc<Settings>,
    body: PhantomData<fn() -> B>,
}

/// A request that no stored response satisfies.
pub(crate) struct Miss {
    pub(crate) selected: Option<Arc<Entry>>,
    pub(crate) snapshot: Snapshot,
    pub(crate) leader: Option<Leader>,
    pub(crate) reason: ForwardReason,
}

impl<S, B> Forwarder<S, B> {
    pub(crate) fn new(service: S, shared: Arc<Shared>, settings: Arc<Settings>) -> Self {
        Self {
            service,
            shared,
            settings,
            body: PhantomData,
        }
    }
}

impl<S, B, R> Forwarder<S, B>
where
    S: Service<Request<B>, Response = Response<R>, Error: Send, Future: Send> + Send,
    B: Default + Send,
    R: Body<Data = Bytes> + Send,
{
    pub(crate) async fn send(&mut self, request: Request<B>) -> Result<Response<R>, S::Error> {
        poll_fn(|cx| self.service.poll_ready(cx)).await?;
        self.service.call(request).await
    }

    async fn send_head(&mut self, head: Parts) -> Result<Response<R>, S::Error> {
        self.send(Request::from_parts(head, B::default())).await
    }

    /// Sends a request, conditional if a stored response can be revalidated, and stores the response.
    pub(crate) async fn forward(
        &mut self,
        request: CacheRequest,
        mut miss: Miss,
    ) -> Result<Response<ResponseBody<R>>, S::Error> {
        let mut sent = request.head.clone();
        let stored = miss.selected.take();
        let is_conditional = request.is_get()
            && stored
                .as_ref()
                .is_some_and(|entry| entry.make_conditional(&mut sent));
        // A leader shares the response: it needs the whole one, not the one to its client's condition.
        let removed =
            !is_conditional && miss.leader.is_some() && remove_conditions(&mut sent.headers);
        let mut times = Times {
            sent: self.shared.now(),
            received: self.shared.now(),
        };
        let mut result = self.send_head(sent).await;
        times.received = self.shared.now();
        let failed = match &result {
            Ok(response) => matches!(response.status().as_u16(), 500 | 502 | 503 | 504),
            Err(_) => true,
        };
        if failed
            && let Some(entry) = &stored
            && entry.usable_on_error(&request, times.received)
        {
            finish(miss.leader, Outcome::Failed);
            let response = entry.respond(&request.head, times.received);
            let status = CacheStatus::StaleIfError(miss.reason);
            return Ok(stored_response(response, status, &self.settings));
        }
        if result.is_err() {
            finish(miss.leader.take(), Outcome::Failed);
        }
        if is_conditional && let Some(entry) = &stored {
            let response = result?;
            if response.status() != StatusCode::NOT_MODIFIED {
                result = Ok(response);
            } else if is_confirmed_by(&entry.head.headers, response.headers()) {
                let (not_modified, _) = response.into_parts();
                return Ok(self
                    .freshen(request, miss, entry, not_modified.headers, times)
                    .await);
            } else {
                times.sent = self.shared.now();
                result = self.send_head(request.head.clone()).await;
                times.received = self.shared.now();
            }
        }
        let response = result?;
        if !request.is_get() {
            let status = CacheStatus::Forwarded(miss.reason);
            if let Some(entry) = stored.filter(|_| response.status() == StatusCode::OK) {
                let newer = response.headers().clone();
                self.update(request, miss, &entry, newer, times).await;
            }
            let forwarded = response.map(ResponseBody::origin);
            return Ok(with_status(forwarded, status, &self.settings));
        }
        let client_head = removed.then(|| request.head.headers.clone());
        let received = self.store(request, miss, response, times);
        let is_held = |headers| {
            received.status() == StatusCode::OK && client_has(received.headers(), headers)
        };
        if !client_head.as_ref().is_some_and(is_held) {
            return Ok(received);
        }
        let (head, unread) = received.into_parts();
        // Nobody else reads it.
        body::read(unread, self.shared.entry_limit).await;
        Ok(response::not_modified(head).map(|()| ResponseBody::stored(Replay::default())))
    }

    /// Stores a response to GET while the client reads it.
    pub(crate) fn store(
        &self,
        request: CacheRequest,
        miss: Miss,
        response: Response<R>,
        times: Times,
    ) -> Response<ResponseBody<R>> {
        let reason = miss.reason;
        let (parts, body) = response.into_parts();
        let fits = body.size_hint().lower() <= self.shared.entry_limit;
        let storable = Entry::try_new(&request, &parts, times, &self.settings);
        let outcome = if storable.is_some() {
            StoreOutcome::TooLarge
        } else {
            StoreOutcome::NotStorable
        };
        let Some(entry) = storable.filter(|_| fits) else {
            self.settings.observer.on_store(outcome);
            // Parts and confirmations say nothing about the whole response.
            if !request.is_alone() && parts.status != StatusCode::NOT_MODIFIED {
                self.shared.uncacheable.insert(&request);
            }
            finish(miss.leader, Outcome::NotShared);
            let forwarded = Response::from_parts(parts, ResponseBody::origin(body));
            return with_status(forwarded, CacheStatus::Forwarded(reason), &self.settings);
        };
        let pending = self.pending(request, miss, entry);
        let tee = if body.is_end_stream() {
            pending.store(StoredBody::default());
            ResponseBody::origin(body)
        } else {
            ResponseBody::tee(body, pending)
        };
        // Not stored after all if the body breaks, grows too large, or has trailers.
        let stored = Response::from_parts(parts, tee);
        with_status(stored, CacheStatus::Stored(reason), &self.settings)
    }

    pub(crate) fn pending(&self, request: CacheRequest, miss: Miss, entry: Entry) -> PendingEntry {
        PendingEntry {
            shared: self.shared.clone(),
            settings: self.settings.clone(),
            request,
            snapshot: miss.snapshot,
            entry,
            leader: miss.leader,
            reservation: None,
        }
    }
}

pub(crate) fn finish(leader: Option<Leader>, outcome: Outcome) {
    if let Some(lead) = leader {
        lead.finish(outcome);
    }
}

pub(crate) fn stored_response<R>(
    response: Response<Replay>,
    status: CacheStatus,
    settings: &Settings,
) -> Response<ResponseBody<R>> {
    with_status(response.map(ResponseBody::stored), status, settings)
}

/// Adds the status to the extensions and to the header `cache-status` (RFC 9211).
pub(crate) fn with_status<B>(
    mut response: Response<B>,
    status: CacheStatus,
    settings: &Settings,
) -> Response<B> {
    settings.observer.on_response(status);
    response.extensions_mut().insert(status);
    let value = if status == CacheStatus::Hit {
        settings.hit.clone()
    } else {
        HeaderValue::try_from(format!("{}; {status}", settings.name))
            .unwrap_or(settings.hit.clone())
    };
    response.headers_mut().append(CACHE_STATUS, value);
    response
}
