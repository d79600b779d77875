//! Updates of stored responses by newer headers.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use tower_service::Service;

use crate::{
    body::ResponseBody,
    collapse::Outcome,
    conditional::is_described_by,
    entry::{Entry, Times},
    forward::{Forwarder, Miss, finish, stored_response},
    request::CacheRequest,
    response,
    status::CacheStatus,
    store::Purge,
};

impl<S, B, R> Forwarder<S, B>
where
    S: Service<Request<B>, Response = Response<R>, Error: Send, Future: Send> + Send,
    B: Default + Send,
    R: Body<Data = Bytes> + Send,
{
    /// Stores the response that a 304 has confirmed, with its headers (RFC 9111, section 4.3.4).
    pub(crate) async fn freshen(
        &mut self,
        request: CacheRequest,
        miss: Miss,
        entry: &Entry,
        newer: HeaderMap,
        times: Times,
    ) -> Response<ResponseBody<R>> {
        let updated = entry.updated_head(&newer);
        let body = entry.body.clone();
        let head = request.head.clone();
        let reason = miss.reason;
        match Entry::try_new(&request, &updated, times, &self.settings) {
            Some(fresh) => self.pending(request, miss, fresh).store(body.clone()),
            None => {
                // Without a recorded change: the origin's state is the same.
                self.shared.store.remove(Purge::Url(request.key)).await;
                finish(miss.leader, Outcome::NotShared);
            }
        }
        let confirmed = response::respond(updated, body, &head);
        stored_response(confirmed, CacheStatus::Revalidated(reason), &self.settings)
    }

    /// Updates a stored response from a 200 to HEAD, or removes it if it has changed (RFC 9111, section 4.3.5).
    pub(crate) async fn update(
        &mut self,
        request: CacheRequest,
        miss: Miss,
        entry: &Entry,
        newer: HeaderMap,
        times: Times,
    ) {
        let body = entry.body.clone();
        let is_same = entry.head.status == StatusCode::OK
            && is_described_by(&entry.head.headers, body.len(), &newer);
        let updated = is_same
            .then(|| entry.updated_head(&newer))
            .and_then(|head| Entry::try_new(&request, &head, times, &self.settings));
        match updated {
            Some(fresh) => self.pending(request, miss, fresh).store(body),
            None => drop(self.shared.store.remove(Purge::Url(request.key)).await),
        }
    }
}
