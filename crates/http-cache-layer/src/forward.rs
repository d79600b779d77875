//! Requests that go to the inner service.

use std::{future::poll_fn, marker::PhantomData, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, request::Parts};
use http_body::Body;
use tower_service::Service;

use crate::{
    body::ResponseBody,
    collapse::{Leader, Outcome, Snapshot},
    entry::{self, Entry},
    key::Key,
    pending::PendingEntry,
    settings::Settings,
    shared::Shared,
    status::{CacheStatus, ForwardReason},
    store::Purge,
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
        key: Key,
        head: Parts,
        miss: Miss,
    ) -> Result<Response<ResponseBody<R>>, S::Error> {
        let Miss {
            selected,
            snapshot,
            leader,
            reason,
        } = miss;
        let name = self.settings.name;
        let stored = selected.filter(|_| head.method == Method::GET);
        let mut sent = head.clone();
        let is_conditional = stored
            .as_ref()
            .is_some_and(|entry| entry.make_conditional(&mut sent));
        let mut result = self.send_head(sent).await;
        let now = self.shared.now();
        let failed = match &result {
            Ok(response) => matches!(response.status().as_u16(), 500 | 502 | 503 | 504),
            Err(_) => true,
        };
        if failed
            && let Some(entry) = &stored
            && entry.usable_on_error(&head, now)
        {
            let response = entry.respond(&head, now);
            let status = CacheStatus::StaleIfError(reason);
            return Ok(stored_response(response, status, name));
        }
        if is_conditional && let Some(entry) = &stored {
            let response = result?;
            if response.status() == StatusCode::NOT_MODIFIED {
                let (not_modified, _) = response.into_parts();
                if entry.is_confirmed_by(&not_modified) {
                    let updated = entry.updated_head(&not_modified);
                    let body = entry.body.clone();
                    match Entry::from_response(&key, &head, &updated, now) {
                        Some(fresh) => {
                            let pending = self.pending(key, snapshot, fresh, leader);
                            pending.store(body.clone());
                        }
                        None => {
                            // Without a recorded change: the origin's state is the same.
                            self.shared.store.remove(Purge::Url(key)).await;
                            finish_not_shared(leader);
                        }
                    }
                    let confirmed = entry::respond(updated, body, &head);
                    let status = CacheStatus::Revalidated(reason);
                    return Ok(stored_response(confirmed, status, name));
                }
                result = self.send_head(head.clone()).await;
            } else {
                result = Ok(response);
            }
        }
        let (parts, body) = result?.into_parts();
        let fits = body.size_hint().lower() <= self.shared.entry_limit;
        let received = self.shared.now();
        let storable = Entry::from_response(&key, &head, &parts, received);
        let Some(entry) = storable.filter(|_| fits) else {
            finish_not_shared(leader);
            let response = Response::from_parts(parts, ResponseBody::origin(body));
            return Ok(with_status(response, CacheStatus::Forwarded(reason), name));
        };
        let pending = self.pending(key, snapshot, entry, leader);
        let tee = if body.is_end_stream() {
            pending.store(StoredBody::default());
            ResponseBody::origin(body)
        } else {
            ResponseBody::tee(body, pending)
        };
        // Not stored after all if the body breaks, grows too large, or has trailers.
        let response = Response::from_parts(parts, tee);
        Ok(with_status(response, CacheStatus::Stored(reason), name))
    }

    fn pending(
        &self,
        key: Key,
        snapshot: Snapshot,
        entry: Entry,
        leader: Option<Leader>,
    ) -> PendingEntry {
        PendingEntry {
            shared: self.shared.clone(),
            key,
            snapshot,
            entry,
            leader,
            reservation: None,
        }
    }
}

fn finish_not_shared(leader: Option<Leader>) {
    if let Some(lead) = leader {
        lead.finish(Outcome::NotShared);
    }
}

pub(crate) fn stored_response<R>(
    response: Response<Replay>,
    status: CacheStatus,
    name: &str,
) -> Response<ResponseBody<R>> {
    with_status(response.map(ResponseBody::stored), status, name)
}

/// Adds the status to the extensions and to the header `cache-status` (RFC 9211).
pub(crate) fn with_status<B>(
    mut response: Response<B>,
    status: CacheStatus,
    name: &str,
) -> Response<B> {
    response.extensions_mut().insert(status);
    if let Ok(value) = HeaderValue::try_from(format!("{name}; {status}")) {
        response.headers_mut().append(CACHE_STATUS, value);
    }
    response
}
