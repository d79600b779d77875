//! Storability and freshness of responses (RFC 9111, sections 3 and 4.2).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request, response};

use crate::{
    conditional::conditions,
    dates::http_date,
    directives::{Directives, MAX_SECONDS, RequestDirectives, delta_seconds},
    list::members,
};

/// Share of the time since `last-modified` for which a response is fresh without directives (section 4.2.2).
const HEURISTIC_DIVISOR: u32 = 10;

/// Storability and freshness of a response, as its headers define them.
///
/// [`CacheLayer::with_policy`](crate::CacheLayer::with_policy) changes it for single responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    storable: bool,
    freshness: Option<Duration>,
    stale_while_revalidate: Duration,
    stale_if_error: Duration,
    /// No directive forbids a stale response (section 4.2.4).
    may_be_stale: bool,
}

/// Times in seconds, which are stored with a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "redis", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Lifetimes {
    pub(crate) fresh: u64,
    pub(crate) stale_while_revalidate: u64,
    pub(crate) stale_if_error: u64,
    pub(crate) may_be_stale: bool,
}

impl Policy {
    /// Returns the policy of a final response to GET.
    pub(crate) fn new(
        directives: &Directives,
        response: &response::Parts,
        requested: RequestDirectives,
        identified: bool,
        received: SystemTime,
    ) -> Self {
        let seconds = |name| Duration::from_secs(directives.seconds(name).unwrap_or(0));
        let may_be_stale = ["must-revalidate", "proxy-revalidate", "s-maxage"]
            .iter()
            .all(|name| !directives.has(name))
            && !is_no_cache(directives, &response.headers);
        Self {
            storable: is_storable(directives, response.status, identified) && !requested.no_store,
            freshness: freshness(directives, &response.headers, received),
            stale_while_revalidate: seconds("stale-while-revalidate"),
            stale_if_error: seconds("stale-if-error"),
            may_be_stale,
        }
    }

    /// Returns `true` if a shared cache may store the response.
    #[must_use]
    pub fn is_storable(&self) -> bool {
        self.storable
    }

    /// Returns the time for which the response is fresh after its creation; `None` if the origin does not say.
    #[must_use]
    pub fn freshness(&self) -> Option<Duration> {
        self.freshness
    }

    /// Allows or forbids to store the response.
    ///
    /// `true` stores a response that its headers forbid to share (`private`, `no-store`, `set-cookie`, a request with
    /// `authorization`): the next caller receives it too.
    pub fn set_storable(&mut self, storable: bool) {
        self.storable = storable;
    }

    /// Sets the time for which the response is fresh after its creation.
    ///
    /// It does not make a response storable that the origin forbids to store.
    pub fn set_freshness(&mut self, freshness: Duration) {
        self.freshness = Some(freshness);
    }

    /// Sets the time after its freshness for which the response is served during a revalidation, and when the origin
    /// fails (RFC 5861).
    pub fn set_stale(&mut self, while_revalidating: Duration, if_error: Duration) {
        self.stale_while_revalidate = while_revalidating;
        self.stale_if_error = if_error;
        self.may_be_stale = true;
    }

    /// Applies a default where no directive says how long a stale response may be served.
    pub(crate) fn set_default_stale_if_error(
        &mut self,
        directives: &Directives,
        default: Duration,
    ) {
        if !directives.has("stale-if-error") {
            self.stale_if_error = default;
        }
    }

    /// Makes a response without directives fresh for a share of the time since its last change (section 4.2.2).
    pub(crate) fn guess_freshness(
        &mut self,
        directives: &Directives,
        response: &response::Parts,
        received: SystemTime,
        limit: Duration,
    ) {
        let modified = http_date(&response.headers, header::LAST_MODIFIED);
        let date = http_date(&response.headers, header::DATE).unwrap_or(received);
        let may_guess = is_heuristic(response.status) || directives.has("public");
        if may_guess
            && self.freshness.is_none()
            && let Some(unchanged) = modified.and_then(|time| date.duration_since(time).ok())
        {
            self.freshness = Some((unchanged / HEURISTIC_DIVISOR).min(limit));
        }
    }

    /// Returns the times to store, or `None` if the response must not be stored, or would be of no use.
    pub(crate) fn lifetimes(
        &self,
        directives: &Directives,
        response: &response::Parts,
        age: u64,
    ) -> Option<Lifetimes> {
        let is_explicit = self.freshness.is_some() || directives.has("public");
        let seconds = |time: Duration| time.as_secs().min(MAX_SECONDS);
        let lifetimes = Lifetimes {
            fresh: seconds(self.freshness.unwrap_or_default()),
            stale_while_revalidate: seconds(self.stale_while_revalidate),
            stale_if_error: seconds(self.stale_if_error),
            may_be_stale: self.may_be_stale,
        };
        let stale = lifetimes
            .stale_while_revalidate
            .max(lifetimes.stale_if_error);
        let is_useful = age < lifetimes.fresh.saturating_add(stale)
            || conditions(&response.headers).next().is_some();
        let is_allowed = is_explicit || is_heuristic(response.status);
        (self.storable && is_allowed && is_useful).then_some(lifetimes)
    }
}

/// Applies the directives of section 3 that forbid to store a response.
fn is_storable(directives: &Directives, status: StatusCode, identified: bool) -> bool {
    let is_final = !status.is_informational();
    let is_complete = status != StatusCode::PARTIAL_CONTENT && status != StatusCode::NOT_MODIFIED;
    let is_allowed = if directives.has("must-understand") {
        // Section 5.2.2.3: it overrides `no-store` if the status is known.
        status.canonical_reason().is_some()
    } else {
        !directives.has("no-store")
    };
    // Section 3.5.
    let is_shared = ["public", "must-revalidate", "s-maxage"]
        .iter()
        .any(|name| directives.has(name));
    is_final
        && is_complete
        && is_allowed
        && !directives.has_unlimited("private")
        && (!identified || is_shared)
}

/// Returns the explicit freshness (section 4.2.1). Malformed times count as zero.
fn freshness(
    directives: &Directives,
    headers: &HeaderMap,
    received: SystemTime,
) -> Option<Duration> {
    if is_no_cache(directives, headers) {
        return Some(Duration::ZERO);
    }
    let seconds = directives
        .seconds("s-maxage")
        .or_else(|| directives.seconds("max-age"));
    if seconds.is_some() || directives.is_targeted() || !headers.contains_key(header::EXPIRES) {
        return seconds.map(Duration::from_secs);
    }
    let date = http_date(headers, header::DATE).unwrap_or(received);
    let expires = http_date(headers, header::EXPIRES);
    let lifetime = expires.and_then(|time| time.duration_since(date).ok());
    Some(lifetime.unwrap_or_default())
}

/// `pragma` in responses is not specified, but servers of HTTP/1.0 use it like `no-cache`.
fn is_no_cache(directives: &Directives, headers: &HeaderMap) -> bool {
    let mut pragma = headers.get_all(header::PRAGMA).iter();
    directives.has_unlimited("no-cache")
        || directives.is_empty() && pragma.any(|value| value.as_bytes() == b"no-cache")
}

/// Returns `true` for a status that allows to store a response without directives (RFC 9110, section 15.1).
fn is_heuristic(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

/// Returns `true` for methods whose responses are stored, or made from stored ones.
pub(crate) fn is_cacheable(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// Returns `true` for conditions that only the origin can evaluate (section 4.3.2).
pub(crate) fn needs_origin(head: &request::Parts) -> bool {
    [header::IF_MATCH, header::IF_UNMODIFIED_SINCE]
        .iter()
        .any(|name| head.headers.contains_key(name))
}

/// Returns the age of a response in seconds at its receipt (section 4.2.3).
pub(crate) fn age(headers: &HeaderMap, requested: SystemTime, received: SystemTime) -> u64 {
    // Of several, the first counts; an invalid one is ignored (section 5.1). Parameters are malformed, but such a
    // response is better too old than too young.
    let first = headers.get(header::AGE).map(HeaderValue::as_bytes);
    let member = first.and_then(|value| members(value).next());
    let number = member.and_then(|text| text.split(|byte| *byte == b';').next());
    let declared = number.and_then(delta_seconds).unwrap_or(0);
    let delay = received.duration_since(requested).unwrap_or_default();
    let date = http_date(headers, header::DATE);
    let apparent = date.and_then(|time| received.duration_since(time).ok());
    declared
        .saturating_add(delay.as_secs())
        .max(apparent.unwrap_or_default().as_secs())
}
