//! A stored answer: whether it may be stored, for how long it is fresh, and what is made of it.

use std::time::{Duration, SystemTime};

use axum::{body::Body, response::Response};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header, request,
    response::Parts,
};
use http_cache_semantics::{BeforeRequest, CacheOptions, CachePolicy};

use super::{
    cost,
    key::{Directives, RouteId, Vary, is_authorized},
    memory::Reserved,
    pieces::Pieces,
};
use crate::response::remove_where;

const WHILE_REVALIDATED: &str = "stale-while-revalidate";
const IF_ERROR: &str = "stale-if-error";
/// How long an answer is kept for its validators alone.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Stands for what tells who asks.
const WHOEVER: HeaderValue = HeaderValue::from_static("whoever");

/// The crate judges by few headers; those that are served stand beside, each as often as the origin sent it.
pub(super) struct Entry {
    pub(super) head: Head,
    pub(super) body: Pieces,
    policy: CachePolicy,
    fresh_until: SystemTime,
    /// The entry's share of the cache's memory; none for an entry that was read from Redis.
    reserved: Option<Reserved>,
}

/// What an entry is made of, here or where it was read from a store.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) route: RouteId,
    pub(super) vary: Vary,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// When it came.
    pub(super) at: SystemTime,
    /// How many seconds old it was then.
    pub(super) age: u64,
    /// Whether the request told who asks.
    pub(super) authorized: bool,
}

impl Entry {
    /// An answer whose body is to come; none if it is not to be stored (RFC 9111, section 3).
    pub(super) fn of(
        route: RouteId,
        request: &request::Parts,
        response: &Parts,
        now: SystemTime,
    ) -> Option<Self> {
        let forbidden = Directives::of(&request.headers).has("no-store");
        // A cookie is for the one who asked, whatever else is said (section 7.3).
        let personal = response.headers.contains_key(header::SET_COOKIE);
        if request.method != Method::GET || personal || forbidden {
            return None;
        }
        Self::new(Head {
            route,
            vary: Vary::of(&request.headers, &response.headers)?,
            status: response.status,
            headers: owned(&response.headers),
            at: now,
            age: age(&response.headers, now),
            authorized: is_authorized(request),
        })
    }

    pub(super) fn new(head: Head) -> Option<Self> {
        let options = CacheOptions {
            immutable_min_time_to_live: Duration::ZERO,
            ..CacheOptions::default()
        };
        let mut request = Request::new(());
        if head.authorized {
            request.headers_mut().insert(header::AUTHORIZATION, WHOEVER);
        }
        let judged = judged_response(&head);
        let policy = CachePolicy::new_options(&request, &judged, head.at, options);
        let lifetime = policy.time_to_live(head.at);
        let fresh_until = head.at.checked_add(lifetime)?;
        let entry = Self {
            head,
            body: Pieces::default(),
            policy,
            fresh_until,
            reserved: None,
        };
        let useful = !lifetime.is_zero() || !entry.use_when_stale().is_zero();
        (useful && entry.policy.is_storable()).then_some(entry)
    }

    /// Adds the body, which has to own its bytes and no more.
    pub(super) fn with_body(mut self, body: Pieces) -> Self {
        self.body = body;
        self
    }

    /// Keeps the entry's share of the cache's memory until the last user of the entry drops it.
    pub(super) fn with_reserved(mut self, reserved: Option<Reserved>) -> Self {
        self.reserved = reserved;
        self
    }

    /// Memory that the entry takes, counted as the allocator does.
    pub(super) fn size(&self) -> usize {
        let own = cost::allocation(cost::COUNTS + size_of::<Self>());
        let policy = cost::POLICY + Directives::of(&self.head.headers).size();
        own + policy + cost::headers(&self.head.headers) + self.head.vary.size() + self.body.size()
    }

    pub(super) fn matches(&self, route: RouteId, request: &HeaderMap) -> bool {
        self.head.route == route && self.head.vary.matches(request)
    }

    pub(super) fn is_of(&self, route: RouteId) -> bool {
        self.head.route == route
    }

    /// What the request has of the headers that this varies on.
    pub(super) fn variant(&self, request: &HeaderMap) -> Vary {
        self.head.vary.in_request(request)
    }

    pub(super) fn replaces(&self, other: &Self) -> bool {
        self.head.route == other.head.route && self.head.vary == other.head.vary
    }

    /// Whether it may be served without asking the origin (section 4).
    pub(super) fn satisfies(&self, request: &request::Parts, now: SystemTime) -> bool {
        let judged = judged_request(request);
        matches!(
            self.policy.before_request(&judged, now),
            BeforeRequest::Fresh(_)
        )
    }

    pub(super) fn is_stale(&self, now: SystemTime) -> bool {
        self.policy.is_stale(now)
    }

    /// How long it is of use from the time when it came.
    pub(super) fn lifetime(&self) -> Duration {
        let fresh = self
            .fresh_until
            .duration_since(self.head.at)
            .unwrap_or_default();
        fresh.saturating_add(self.use_when_stale())
    }

    /// For as long as validators are worth keeping, or as the origin says.
    fn use_when_stale(&self) -> Duration {
        let directives = Directives::of(&self.head.headers);
        let windows = [WHILE_REVALIDATED, IF_ERROR].iter();
        let window = windows
            .filter_map(|name| directives.seconds(name))
            .max()
            .unwrap_or_default();
        let validated = validators(&self.head.headers)
            .next()
            .map_or(Duration::ZERO, |_| DAY);
        Duration::from_secs(window).max(validated)
    }

    /// Whether it may be served since the origin fails (RFC 5861, section 4).
    pub(super) fn helps_out(&self, request: &request::Parts, now: SystemTime) -> bool {
        self.window(IF_ERROR, request, now).is_some()
    }

    /// For how many seconds it is stale, if it may be served while the origin is asked (section 3).
    pub(super) fn stale_while_revalidated(
        &self,
        request: &request::Parts,
        now: SystemTime,
    ) -> Option<u64> {
        let most = self.window(WHILE_REVALIDATED, request, now);
        most.filter(|_| request.method == Method::GET && self.is_stale(now))
    }

    /// For how many seconds it is stale, if that is in this window, and unless the origin forbids it (RFC
    /// 9111, section 4.2.4: `s-maxage` does as well) or the request.
    fn window(&self, name: &str, request: &request::Parts, now: SystemTime) -> Option<u64> {
        let directives = Directives::of(&self.head.headers);
        let strict = [
            "must-revalidate",
            "proxy-revalidate",
            "no-cache",
            "s-maxage",
        ];
        let asked = Directives::of(&request.headers);
        let stale = now
            .duration_since(self.fresh_until)
            .unwrap_or_default()
            .as_secs();
        let forbidden = strict.iter().any(|name| directives.has(name))
            || ["no-cache", "max-age", "min-fresh"]
                .iter()
                .any(|name| asked.has(name))
            || request.headers.contains_key(header::PRAGMA);
        (!forbidden && directives.seconds(name).is_some_and(|most| stale <= most)).then_some(stale)
    }

    /// Asks the origin whether it still holds (section 4.3.1), if it has what to ask by. The client's own
    /// conditions are for [`answer`](Self::answer).
    pub(super) fn ask(&self, request: &mut request::Parts) -> bool {
        let mut own = validators(&self.head.headers).peekable();
        if own.peek().is_none() {
            return false;
        }
        request.headers.remove(header::IF_NONE_MATCH);
        request.headers.remove(header::IF_MODIFIED_SINCE);
        request
            .headers
            .extend(own.map(|(name, value)| (name, value.clone())));
        true
    }

    /// Whether a 304 is about this answer (section 4.3.4).
    pub(super) fn is_meant_by(&self, response: &Parts) -> bool {
        match response.headers.get(header::ETAG) {
            Some(new) => self
                .head
                .headers
                .get(header::ETAG)
                .is_some_and(|own| opaque(own) == opaque(new)),
            None => true,
        }
    }

    /// The head of this answer with what a 304 brings (section 3.2).
    pub(super) fn updated_head(&self, response: &Parts) -> Parts {
        let (mut head, ()) = http::Response::new(()).into_parts();
        (head.status, head.headers) = (self.head.status, self.head.headers.clone());
        // Where it has no date, it is as old as it looks (RFC 9110, section 6.6.1).
        head.headers.remove(header::DATE);
        for name in response.headers.keys().filter(|name| !is_of_body(name)) {
            head.headers.remove(name);
            for value in response.headers.get_all(name) {
                head.headers.append(name, value.clone());
            }
        }
        head
    }

    /// The answer to a request; 304 if the client has it (section 4.3.2).
    pub(super) fn answer(&self, request: &request::Parts, now: SystemTime) -> Response {
        let (mut head, ()) = http::Response::new(()).into_parts();
        (head.status, head.headers) = (self.head.status, self.head.headers.clone());
        head.headers
            .insert(header::AGE, self.policy.age(now).as_secs().into());
        answer(head, self.body.clone(), request)
    }
}

/// A whole answer to a request that may ask for less of it.
pub(super) fn answer(mut head: Parts, body: Pieces, request: &request::Parts) -> Response {
    if head.status == StatusCode::OK && client_has(&head.headers, &request.headers) {
        head.status = StatusCode::NOT_MODIFIED;
        remove_where(&mut head.headers, is_of_body);
        return Response::from_parts(head, Body::empty());
    }
    if request.method == Method::HEAD {
        // RFC 9110, section 9.3.2: the length is that of the body which is not sent, and 204 has none (section 8.6).
        if head.status != StatusCode::NO_CONTENT {
            head.headers
                .insert(header::CONTENT_LENGTH, body.len().into());
        }
        return Response::from_parts(head, Body::empty());
    }
    Response::from_parts(head, body.into_body())
}

fn client_has(own: &HeaderMap, request: &HeaderMap) -> bool {
    if request.contains_key(header::IF_NONE_MATCH) {
        // RFC 9110, section 13.1.2: compared weakly, and the date does not count then.
        let tags = request.get_all(header::IF_NONE_MATCH).iter();
        let mut tags = tags.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        let own = own.get(header::ETAG).map(opaque);
        return tags.any(|tag| {
            let tag = tag.trim_ascii();
            tag == b"*" || Some(tag.strip_prefix(b"W/").unwrap_or(tag)) == own
        });
    }
    let modified = date(own, header::LAST_MODIFIED);
    let since = date(request, header::IF_MODIFIED_SINCE);
    modified
        .zip(since)
        .is_some_and(|(modified, since)| modified <= since)
}

/// An entity tag without the mark of a weak one.
fn opaque(tag: &HeaderValue) -> &[u8] {
    tag.as_bytes().strip_prefix(b"W/").unwrap_or(tag.as_bytes())
}

/// What says how the body is written, which a 304 has none of.
fn is_of_body(name: &HeaderName) -> bool {
    [
        header::CONTENT_LENGTH,
        header::CONTENT_ENCODING,
        header::CONTENT_RANGE,
        header::CONTENT_TYPE,
    ]
    .contains(name)
}

fn validators(headers: &HeaderMap) -> impl Iterator<Item = (HeaderName, &HeaderValue)> {
    let pairs = [
        (header::IF_NONE_MATCH, header::ETAG),
        (header::IF_MODIFIED_SINCE, header::LAST_MODIFIED),
    ];
    pairs
        .into_iter()
        .filter_map(|(asked, own)| Some((asked, headers.get(own)?)))
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

/// Of a request what the crate judges by. Host, path and `vary` were compared before.
fn judged_request(head: &request::Parts) -> Request<()> {
    let mut judged = Request::new(());
    let headers = judged.headers_mut();
    copy(&head.headers, headers, &[header::PRAGMA]);
    headers.extend(
        Directives::of(&head.headers)
            .to_value()
            .map(|v| (header::CACHE_CONTROL, v)),
    );
    if is_authorized(head) {
        headers.insert(header::AUTHORIZATION, WHOEVER);
    }
    judged
}

/// The same of an answer.
fn judged_response(head: &Head) -> http::Response<()> {
    let mut judged = http::Response::new(());
    *judged.status_mut() = head.status;
    let headers = judged.headers_mut();
    copy(
        &head.headers,
        headers,
        &[
            header::PRAGMA,
            header::EXPIRES,
            header::DATE,
            header::LAST_MODIFIED,
            header::ETAG,
        ],
    );
    headers.extend(
        Directives::of(&head.headers)
            .to_value()
            .map(|v| (header::CACHE_CONTROL, v)),
    );
    // At most 2^31 (RFC 9111, section 1.2.2): the crate adds to it unchecked.
    headers.insert(header::AGE, head.age.min(1 << 31).into());
    judged
}

/// The age of an answer when it came (RFC 9111, section 4.2.3).
fn age(headers: &HeaderMap, now: SystemTime) -> u64 {
    let told = headers
        .get(header::AGE)
        .and_then(|age| age.to_str().ok()?.parse().ok());
    let apparent = date(headers, header::DATE).and_then(|date| now.duration_since(date).ok());
    told.unwrap_or(0)
        .max(apparent.unwrap_or_default().as_secs())
}

/// A copy that owns its bytes, without what belonged to one request alone. hyper's values are slices of the
/// connection's read buffer, which has 8 to 408 KiB: to keep one value is to keep the buffer.
fn owned(headers: &HeaderMap) -> HeaderMap {
    let kept = |name: &HeaderName| name != "x-request-id" && name != header::AGE;
    let kept = headers.iter().filter(|(name, _)| kept(name));
    let mut copy = HeaderMap::with_capacity(headers.keys_len());
    for (name, value) in kept {
        // What was a value before is one now.
        if let Ok(mut owned) = HeaderValue::from_bytes(value.as_bytes()) {
            owned.set_sensitive(value.is_sensitive());
            copy.append(name.clone(), owned);
        }
    }
    copy
}

fn copy(from: &HeaderMap, to: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        to.extend(from.get(name).map(|value| (name.clone(), value.clone())));
    }
}
