//! Stored responses, and the responses made from them.

use std::{
    fmt::{self, Debug, Formatter},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header, request, response::Parts,
};

use crate::{
    conditional::{conditions, remove_conditions},
    cost,
    directives::{Directives, RequestDirectives},
    key::Key,
    limit::Reservation,
    policy::{self, Lifetimes, Policy},
    request::CacheRequest,
    response::{new_head, respond},
    settings::Settings,
    status::ForwardReason,
    stored_body::{Replay, StoredBody},
    stored_headers,
    vary::{VariantId, VaryNames},
};

/// Time for which a response is stored for its validators alone.
const VALIDATORS_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Headers of the cache itself, `age` and `cache-status`.
const ADDED_HEADERS: usize = 2;

/// A stored response, which a [`Store`](crate::Store) keeps.
pub struct Entry {
    pub(crate) head: StoredHead,
    pub(crate) body: StoredBody,
    /// The last value of `age`: responses in one second share it.
    last_age: Mutex<(u64, HeaderValue)>,
    /// The entry's share of the memory limit; `None` for an entry that was read from Redis.
    reservation: Option<Reservation>,
}

/// The parts of an entry that another process needs.
#[derive(Clone)]
pub(crate) struct StoredHead {
    pub(crate) vary: VaryNames,
    pub(crate) variant: VariantId,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) received: SystemTime,
    /// Age in seconds at the receipt.
    pub(crate) age: u64,
    pub(crate) lifetimes: Lifetimes,
}

/// Times of a request to the origin.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    pub(crate) sent: SystemTime,
    pub(crate) received: SystemTime,
}

/// Use of a stored response for a request (RFC 9111, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usability {
    Fresh,
    /// Stale by this many seconds, which the request accepts.
    Stale(u64),
    Unusable(ForwardReason),
}

impl Entry {
    /// Returns an entry without its body, or `None` if the response must not be stored (RFC 9111, section 3).
    pub(crate) fn try_new(
        request: &CacheRequest,
        response: &Parts,
        times: Times,
        settings: &Settings,
    ) -> Option<Self> {
        let Times { sent, received } = times;
        let directives = Directives::from_response(&response.headers, &settings.targeted_fields);
        let omitted: Vec<HeaderName> = directives.listed_fields().collect();
        let mut policy = Policy::new(
            &directives,
            response,
            request.directives,
            request.identified,
            received,
        );
        // A cookie is for one client, whatever the directives are (section 7.3).
        let has_cookie = response.headers.contains_key(header::SET_COOKIE);
        if has_cookie && !settings.cookies && !omitted.contains(&header::SET_COOKIE) {
            policy.set_storable(false);
        }
        policy.set_default_stale_if_error(&directives, settings.stale_if_error);
        if let Some(limit) = settings.heuristics {
            policy.guess_freshness(&directives, response, received, limit);
        }
        (settings.policy)(&request.head, response, &mut policy);
        let age = policy::age(&response.headers, sent, received);
        let lifetimes = policy.lifetimes(&directives, response, age)?;
        let vary = VaryNames::from_response(&response.headers)?;
        Some(Self::new(StoredHead {
            variant: vary.variant(&request.key, &request.head.headers),
            vary,
            status: response.status,
            headers: stored_headers::copy(&response.headers, &omitted)?,
            received,
            age,
            lifetimes,
        }))
    }

    /// Returns an entry for a response to GET, with the default settings.
    #[cfg(test)]
    pub(crate) fn from_response(
        key: &Key,
        request: &request::Parts,
        response: &Parts,
        now: SystemTime,
    ) -> Option<Self> {
        let settings = Settings::default();
        let cacheable = CacheRequest::new(key.clone(), request.clone(), &settings);
        let times = Times {
            sent: now,
            received: now,
        };
        Self::try_new(&cacheable, response, times, &settings)
    }

    pub(crate) fn new(head: StoredHead) -> Self {
        Self {
            head,
            body: StoredBody::default(),
            last_age: Mutex::new((0, HeaderValue::from_static("0"))),
            reservation: None,
        }
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
        let age = cost::bytes(u64::MAX.ilog10() as usize + 1);
        own + age + cost::headers(&self.head.headers) + self.head.vary.size() + self.body.size()
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

    /// Returns for how long it is of use after its receipt: while it is fresh, and later for revalidation.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        let Lifetimes {
            fresh,
            stale_while_revalidate,
            stale_if_error,
            ..
        } = self.head.lifetimes;
        let stale = Duration::from_secs(stale_while_revalidate.max(stale_if_error));
        let served_stale = if conditions(&self.head.headers).next().is_some() {
            stale.max(VALIDATORS_LIFETIME)
        } else {
            stale
        };
        Duration::from_secs(fresh.saturating_sub(self.head.age)).saturating_add(served_stale)
    }

    /// Returns its age in seconds (section 4.2.3).
    fn age(&self, now: SystemTime) -> u64 {
        let resident = now.duration_since(self.head.received).unwrap_or_default();
        self.head.age.saturating_add(resident.as_secs())
    }

    /// Returns for how many seconds it is stale.
    fn staleness(&self, now: SystemTime) -> Option<u64> {
        self.age(now).checked_sub(self.head.lifetimes.fresh)
    }

    pub(crate) fn usability(&self, requested: &RequestDirectives, now: SystemTime) -> Usability {
        let age = self.age(now);
        let too_old = requested.max_age.is_some_and(|limit| age >= limit);
        let forbidden = requested.no_cache || too_old;
        let Some(stale) = self.staleness(now) else {
            let remaining = self.head.lifetimes.fresh - age;
            let too_stale = requested.min_fresh.is_some_and(|least| remaining < least);
            return if forbidden || too_stale {
                Usability::Unusable(ForwardReason::Request)
            } else {
                Usability::Fresh
            };
        };
        let accepted = requested.max_stale.is_some_and(|limit| stale <= limit);
        if accepted && !forbidden && self.head.lifetimes.may_be_stale {
            Usability::Stale(stale)
        } else {
            Usability::Unusable(ForwardReason::Stale)
        }
    }

    /// Returns `true` if it may be served because the origin fails (RFC 5861, section 4).
    pub(crate) fn usable_on_error(&self, request: &CacheRequest, now: SystemTime) -> bool {
        let limit = self.head.lifetimes.stale_if_error;
        self.usable_stale(limit, request, now).is_some()
    }

    /// Returns how many seconds it is stale, if it may be served during a revalidation (RFC 5861, section 3).
    pub(crate) fn usable_while_revalidating(
        &self,
        request: &CacheRequest,
        now: SystemTime,
    ) -> Option<u64> {
        let limit = self.head.lifetimes.stale_while_revalidate;
        let stale = self.usable_stale(limit, request, now)?;
        (request.is_get() && self.staleness(now).is_some()).then_some(stale)
    }

    /// Returns how many seconds it is stale, unless the origin or the request forbids to serve it (RFC 9111, section
    /// 4.2.4).
    fn usable_stale(&self, limit: u64, request: &CacheRequest, now: SystemTime) -> Option<u64> {
        let stale = self.staleness(now).unwrap_or(0);
        let allowed = self.head.lifetimes.may_be_stale && !request.directives.limits_age();
        (allowed && limit > 0 && stale <= limit).then_some(stale)
    }

    /// Replaces the client's conditions with the entry's own (section 4.3.1). Returns `false`, and changes nothing, if
    /// it has no validators.
    pub(crate) fn make_conditional(&self, request: &mut request::Parts) -> bool {
        let mut own = conditions(&self.head.headers).peekable();
        if own.peek().is_none() {
            return false;
        }
        remove_conditions(&mut request.headers);
        request
            .headers
            .extend(own.map(|(name, value)| (name, value.clone())));
        true
    }

    /// Returns the head, updated with the headers of a 304 or of a response to HEAD (section 3.2).
    pub(crate) fn updated_head(&self, newer: &HeaderMap) -> Parts {
        let mut head = new_head(self.head.status, self.head.headers.clone());
        stored_headers::update(&mut head.headers, newer);
        head
    }

    /// Returns the response to a request.
    pub(crate) fn respond(&self, request: &request::Parts, now: SystemTime) -> Response<Replay> {
        let stored = &self.head.headers;
        let mut headers = HeaderMap::with_capacity(stored.keys_len() + ADDED_HEADERS);
        for (name, value) in stored {
            headers.append(name, value.clone());
        }
        headers.insert(header::AGE, self.age_value(now));
        let head = new_head(self.head.status, headers);
        respond(head, self.body.clone(), request)
    }

    fn age_value(&self, now: SystemTime) -> HeaderValue {
        let age = self.age(now);
        let mut last = self.last_age.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != age {
            *last = (age, age.into());
        }
        last.1.clone()
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
