//! Requests that are not looked up.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, header};
use http_body::Body;
use tower_service::Service;

use crate::{
    body::ResponseBody,
    collapse::Snapshot,
    entry::Times,
    forward::{Forwarder, Miss, with_status},
    key::Key,
    request::CacheRequest,
    shared::Shared,
    status::{CacheStatus, ForwardReason},
    store::Purge,
};

impl<S, B, R> Forwarder<S, B>
where
    S: Service<Request<B>, Response = Response<R>, Error: Send, Future: Send> + Send,
    B: Default + Send,
    R: Body<Data = Bytes> + Send,
{
    /// Forwards a request that is not looked up. Unsafe methods invalidate the responses that they change (RFC 9111,
    /// section 4.4).
    pub(crate) async fn pass(
        &mut self,
        request: Request<B>,
        reason: ForwardReason,
    ) -> Result<Response<ResponseBody<R>>, S::Error> {
        if request.method().is_safe() {
            let response = self.send(request).await?.map(ResponseBody::origin);
            let status = CacheStatus::Forwarded(reason);
            Ok(with_status(response, status, &self.settings))
        } else {
            self.change(request, reason).await
        }
    }

    async fn change(
        &mut self,
        request: Request<B>,
        reason: ForwardReason,
    ) -> Result<Response<ResponseBody<R>>, S::Error> {
        let (head, body) = request.into_parts();
        let posted = (head.method == Method::POST).then(|| head.clone());
        let mut change = PendingChange {
            shared: self.shared.clone(),
            key: (self.settings.key)(&head),
        };
        let sent = self.shared.now();
        let response = self.send(Request::from_parts(head, body)).await?;
        let times = Times {
            sent,
            received: self.shared.now(),
        };
        let status = response.status();
        let changed = change.key.take();
        if let Some(key) = changed.filter(|_| status.is_success() || status.is_redirection()) {
            let related = key.related(response.headers());
            // All removals start before the first await: the client may leave meanwhile.
            let keys = related.chain([key.clone()]).map(Purge::Url);
            let shared = self.shared.clone();
            let removals: Vec<_> = keys.map(|purge| shared.remove(purge)).collect();
            for removal in removals {
                removal.await;
            }
            if let Some(mut get) = posted.filter(|_| describes_itself(&key, response.headers())) {
                get.method = Method::GET;
                let partitioned = key.with_partition(self.settings.partition);
                let cacheable = CacheRequest::new(partitioned, get, &self.settings);
                return Ok(self.store_posted(cacheable, response, times).await);
            }
        }
        let forwarded = response.map(ResponseBody::origin);
        let outcome = CacheStatus::Forwarded(reason);
        Ok(with_status(forwarded, outcome, &self.settings))
    }

    /// Stores the response to POST as one to GET (RFC 9110, section 9.3.3).
    async fn store_posted(
        &mut self,
        request: CacheRequest,
        response: Response<R>,
        times: Times,
    ) -> Response<ResponseBody<R>> {
        let headers = &request.head.headers;
        let snapshot: Snapshot = self.shared.look_up(&request.key, headers).await.snapshot;
        let miss = Miss {
            selected: None,
            snapshot,
            leader: None,
            reason: ForwardReason::Method,
        };
        self.store(request, miss, response, times)
    }
}

/// Returns `true` if a response to POST has explicit freshness, and is the one that GET would return.
fn describes_itself(key: &Key, headers: &HeaderMap) -> bool {
    let named: HeaderMap = headers
        .get(header::CONTENT_LOCATION)
        .map(|value| (header::CONTENT_LOCATION, value.clone()))
        .into_iter()
        .collect();
    let has_freshness =
        headers.contains_key(header::CACHE_CONTROL) || headers.contains_key(header::EXPIRES);
    let mut keys = key.related(&named);
    has_freshness && keys.any(|other| other.url() == key.url())
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
