//! Stored responses: storability, freshness, and the responses made from them.

use std::{
    fmt::{self, Debug, Formatter},
    time::{Duration, SystemTime},
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, request,
    response::Parts,
};
use http_cache_semantics::{BeforeRequest, CachePolicy};

use crate::{
    conditional::{BODY_HEADERS, CONDITIONS, client_has, conditions, opaque_tag},
    cost,
    directives::Directives,
    key::Key,
    limit::Reservation,
    policy,
    stored_body::{Replay, StoredBody},
    vary::{VariantId, VaryNames},
};

const STALE_WHILE_REVALIDATE: &str = "stale-while-revalidate";
const STALE_IF_ERROR: &str = "stale-if-error";
/// Time for which a response is stored for its validators alone.
const VALIDATORS_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A stored response, which a [`Store`](crate::Store) keeps.
// http-cache-semantics sees few of its headers; all of them are served, each as often as the origin sent it.
pub struct Entry {
    pub(crate) head: StoredHead,
    pub(crate) body: StoredBody,
    policy: CachePolicy,
    fresh_until: SystemTime,
    /// The entry's share of the memory limit; `None` for an entry that was read from Redis.
    reservation: Option<Reservation>,
}

/// The parts of an entry from which the others follow.
#[derive(Clone)]
pub(crate) struct StoredHead {
    pub(crate) vary: VaryNames,
    pub(crate) variant: VariantId,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) received: SystemTime,
    /// Age in seconds at the receipt.
    pub(crate) age: u64,
    /// The request had credentials.
    pub(crate) authorized: bool,
}

impl Entry {
    /// Returns an entry without its body, or `None` if the response must not be stored (RFC 9111, section 3).
    pub(crate) fn from_response(
        key: &Key,
        request: &request::Parts,
        response: &Parts,
        now: SystemTime,
    ) -> Option<Self> {
        let no_store = Directives::new(&request.headers).has("no-store");
        // A cookie is for one client, whatever the directives are (section 7.3).
        let personal = response.headers.contains_key(header::SET_COOKIE);
        if request.method != Method::GET || personal || no_store {
            return None;
        }
        let vary = VaryNames::from_response(&response.headers)?;
        Self::new(StoredHead {
            variant: vary.variant(key, &request.headers),
            vary,
            status: response.status,
            headers: owned_headers(&response.headers),
            received: now,
            age: policy::age(&response.headers, now),
            authorized: policy::is_authorized(request),
        })
    }

    pub(crate) fn new(head: StoredHead) -> Option<Self> {
        let StoredHead {
            authorized,
            status,
            age,
            received,
            ..
        } = head;
        let policy = policy::from_response(authorized, status, &head.headers, age, received);
        let lifetime = policy.time_to_live(received);
        let entry = Self {
            fresh_until: received.checked_add(lifetime)?,
            head,
            body: StoredBody::default(),
            policy,
            reservation: None,
        };
        let useful = !lifetime.is_zero() || !entry.stale_lifetime().is_zero();
        (useful && entry.policy.is_storable()).then_some(entry)
    }

    /// Adds the body, which must own its bytes and no more.
    pub(crate) fn with_body(mut self, body: StoredBody) -> Self {
        self.body = body;
        self
    }

    /// Holds the entry's share of the memory limit until its last user drops it.
    pub(crate) fn with_reservation(mut self, reservation: Option<Reservation>) -> Self {
        self.reservation = reservation;
        self
    }

    /// Returns the entry's memory in bytes, with the allocator's overhead.
    #[must_use]
    pub fn size(&self) -> usize {
        let own = cost::allocation(cost::ARC_COUNTS + size_of::<Self>());
        let policy = cost::POLICY + Directives::new(&self.head.headers).size();
        own + policy + cost::headers(&self.head.headers) + self.head.vary.size() + self.body.size()
    }

    /// Returns `true` if a request with this key selects it (RFC 9111, section 4.1).
    #[must_use]
    pub fn matches(&self, key: &Key, request: &HeaderMap) -> bool {
        self.head.vary.variant(key, request) == self.head.variant
    }

    /// Returns the names of the request headers that select it.
    #[must_use]
    pub fn vary(&self) -> &VaryNames {
        &self.head.vary
    }

    /// Returns the digest of the values that select it. A store keeps one response for each.
    #[must_use]
    pub fn variant(&self) -> VariantId {
        self.head.variant
    }

    /// Returns the time of its receipt.
    #[must_use]
    pub fn received(&self) -> SystemTime {
        self.head.received
    }

    /// Returns `true` if it may be served without asking the origin (section 4).
    pub(crate) fn satisfies(&self, request: &request::Parts, now: SystemTime) -> bool {
        let reduced = policy::reduced_request(request);
        matches!(
            self.policy.before_request(&reduced, now),
            BeforeRequest::Fresh(_)
        )
    }

    pub(crate) fn is_stale(&self, now: SystemTime) -> bool {
        self.policy.is_stale(now)
    }

    /// Returns for how long it is of use after its receipt: while it is fresh, and later for revalidation.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        let fresh = self
            .fresh_until
            .duration_since(self.head.received)
            .unwrap_or_default();
        fresh.saturating_add(self.stale_lifetime())
    }

    /// Time for which it is of use while stale.
    fn stale_lifetime(&self) -> Duration {
        let directives = Directives::new(&self.head.headers);
        let seconds = [STALE_WHILE_REVALIDATE, STALE_IF_ERROR]
            .iter()
            .filter_map(|name| directives.seconds(name))
            .max()
            .unwrap_or_default();
        let served = Duration::from_secs(seconds);
        if conditions(&self.head.headers).next().is_some() {
            served.max(VALIDATORS_LIFETIME)
        } else {
            served
        }
    }

    /// Returns `true` if it may be served because the origin fails (RFC 5861, section 4).
    pub(crate) fn usable_on_error(&self, request: &request::Parts, now: SystemTime) -> bool {
        self.stale_seconds(STALE_IF_ERROR, request, now).is_some()
    }

    /// Returns how many seconds it is stale, if it may be served during a revalidation (RFC 5861, section 3).
    pub(crate) fn usable_while_revalidating(
        &self,
        request: &request::Parts,
        now: SystemTime,
    ) -> Option<u64> {
        if request.method == Method::GET && self.is_stale(now) {
            self.stale_seconds(STALE_WHILE_REVALIDATE, request, now)
        } else {
            None
        }
    }

    /// Returns how many seconds it is stale, if this directive allows it, and neither the origin (RFC 9111, section
    /// 4.2.4: `s-maxage` does too) nor the request forbids it.
    fn stale_seconds(
        &self,
        directive: &str,
        request: &request::Parts,
        now: SystemTime,
    ) -> Option<u64> {
        let own = Directives::new(&self.head.headers);
        let requested = Directives::new(&request.headers);
        let stale = now
            .duration_since(self.fresh_until)
            .unwrap_or_default()
            .as_secs();
        let forbidden = [
            "must-revalidate",
            "proxy-revalidate",
            "no-cache",
            "s-maxage",
        ]
        .iter()
        .any(|name| own.has(name))
            || ["no-cache", "max-age", "min-fresh"]
                .iter()
                .any(|name| requested.has(name))
            || request.headers.contains_key(header::PRAGMA);
        (!forbidden && own.seconds(directive).is_some_and(|limit| stale <= limit)).then_some(stale)
    }

    /// Replaces the client's conditions with the entry's own (section 4.3.1). Returns `false`, and changes nothing, if
    /// it has no validators.
    pub(crate) fn make_conditional(&self, request: &mut request::Parts) -> bool {
        let mut own = conditions(&self.head.headers).peekable();
        if own.peek().is_none() {
            return false;
        }
        for name in CONDITIONS {
            request.headers.remove(name);
        }
        request
            .headers
            .extend(own.map(|(name, value)| (name, value.clone())));
        true
    }

    /// Returns `true` if a 304 confirms this entry (section 4.3.4).
    pub(crate) fn is_confirmed_by(&self, response: &Parts) -> bool {
        let own = self.head.headers.get(header::ETAG).map(opaque_tag);
        let confirmed = response.headers.get(header::ETAG).map(opaque_tag);
        confirmed.is_none() || own == confirmed
    }

    /// Returns the head, updated with the headers of a 304 (section 3.2).
    pub(crate) fn updated_head(&self, response: &Parts) -> Parts {
        let mut head = self.response_head();
        // Without a date its age starts at the receipt (RFC 9110, section 6.6.1).
        head.headers.remove(header::DATE);
        let names = response.headers.keys();
        for name in names.filter(|name| !BODY_HEADERS.contains(name)) {
            head.headers.remove(name);
            for value in response.headers.get_all(name) {
                head.headers.append(name, value.clone());
            }
        }
        head
    }

    /// Returns the response to a request.
    pub(crate) fn respond(&self, request: &request::Parts, now: SystemTime) -> Response<Replay> {
        let mut head = self.response_head();
        head.headers
            .insert(header::AGE, self.policy.age(now).as_secs().into());
        respond(head, self.body.clone(), request)
    }

    fn response_head(&self) -> Parts {
        let (mut head, ()) = Response::new(()).into_parts();
        head.status = self.head.status;
        head.headers = self.head.headers.clone();
        head
    }
}

impl Debug for Entry {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // Without the headers and the body, which may be confidential.
        f.debug_struct("Entry")
            .field("status", &self.head.status)
            .field("vary", &self.head.vary)
            .field("received", &self.head.received)
            .finish_non_exhaustive()
    }
}

/// Returns the response to a request: a 304 if the client holds it (section 4.3.2), and no body for HEAD.
pub(crate) fn respond(
    mut head: Parts,
    body: StoredBody,
    request: &request::Parts,
) -> Response<Replay> {
    if head.status == StatusCode::OK && client_has(&head.headers, &request.headers) {
        head.status = StatusCode::NOT_MODIFIED;
        for name in BODY_HEADERS {
            head.headers.remove(name);
        }
        return Response::from_parts(head, Replay::default());
    }
    if request.method == Method::HEAD {
        // RFC 9110, section 9.3.2: the length is that of the body for GET; a 204 has none (section 8.6).
        if head.status != StatusCode::NO_CONTENT {
            head.headers
                .insert(header::CONTENT_LENGTH, body.len().into());
        }
        return Response::from_parts(head, Replay::default());
    }
    Response::from_parts(head, body.into())
}

/// Returns a copy that owns its bytes, without the headers of a single request. hyper's values are slices of the
/// connection's read buffer, which has 8 to 408 KiB: a stored slice would hold the whole buffer.
fn owned_headers(headers: &HeaderMap) -> HeaderMap {
    let is_stored = |name: &HeaderName| name != "x-request-id" && name != header::AGE;
    let mut copy = HeaderMap::with_capacity(headers.keys_len());
    for (name, value) in headers.iter().filter(|(name, _)| is_stored(name)) {
        if let Ok(mut owned) = HeaderValue::from_bytes(value.as_bytes()) {
            owned.set_sensitive(value.is_sensitive());
            copy.append(name.clone(), owned);
        }
    }
    copy
}
