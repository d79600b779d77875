use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;

use super::recent_success::RecentSuccesses;
use crate::{
    error::{Error, ErrorKind},
    sigv4::Identity,
};

/// Minimum time between two calls of a provider that failed or returned the same credentials.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Widest clock window of a service. It rejects a clock that is off by more before it looks at the credentials.
const MAX_WINDOW: Duration = Duration::from_secs(15 * 60);

/// Credentials of a provider with their expiry.
pub(crate) struct CachedCredentials {
    identity: Identity,
    /// Time of the refresh; `None` for credentials that do not expire.
    refresh_at: Option<SystemTime>,
    pub(super) expires_at: Option<SystemTime>,
    loaded_at: SystemTime,
    /// Earliest time of the next refresh, set after a failed one.
    retry_at: Option<SystemTime>,
    /// Number of the credentials; the same credentials keep it.
    serial: u64,
    /// Number of the cache, and so of the identity.
    cache: u64,
    /// Number of invalidations when the provider was called.
    pub(super) invalidations: u64,
    successes: RecentSuccesses,
}

impl CachedCredentials {
    /// Validates credentials, and copies the serial number of `previous` if they are the same.
    pub(super) fn new(
        credentials: Credentials,
        now: SystemTime,
        window: Duration,
        (cache, invalidations): (u64, u64),
        previous: Option<&Self>,
    ) -> Result<Self, Error> {
        let expires_at = credentials.expiry();
        if expires_at.is_some_and(|expiry| expiry <= now) {
            return Err(Error::new(
                ErrorKind::Credentials,
                "the credentials provider returned expired credentials; compare this machine's clock with the \
                 provider's",
            ));
        }
        let refresh_at = expires_at.map(|expiry| {
            let lifetime = expiry.duration_since(now).unwrap_or_default();
            let longest = window.min(lifetime / 2);
            expiry - longest.mul_f64(1.0 - fastrand::f64() / 2.0)
        });
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let same = previous.filter(|cached| cached.has(&credentials));
        let serial = match same {
            Some(cached) => cached.serial,
            None => SERIAL.fetch_add(1, Ordering::Relaxed),
        };
        let identity = match same {
            // It has the signing keys already.
            Some(cached) if cached.expires_at == expires_at => cached.identity.clone(),
            _ => Identity::new(credentials)?,
        };
        Ok(Self {
            identity,
            refresh_at,
            expires_at,
            loaded_at: now,
            retry_at: None,
            serial,
            cache,
            invalidations,
            successes: RecentSuccesses::default(),
        })
    }

    /// Returns the same credentials with a later refresh.
    pub(super) fn postponed(&self, now: SystemTime) -> Self {
        Self {
            identity: self.identity.clone(),
            retry_at: now.checked_add(RETRY_AFTER.mul_f64(1.0 + fastrand::f64())),
            successes: RecentSuccesses::default(),
            ..*self
        }
    }

    fn has(&self, other: &Credentials) -> bool {
        let own = self.identity.credentials();
        own.access_key_id() == other.access_key_id()
            && own.secret_access_key() == other.secret_access_key()
            && own.session_token() == other.session_token()
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    /// Returns the number of the cache, which stays the same when the credentials are replaced.
    pub(crate) fn cache(&self) -> u64 {
        self.cache
    }

    /// Returns `true` if the origin cannot have a reason to reject a request for its clock or these credentials, since
    /// it has just accepted one.
    pub(crate) fn has_just_succeeded(
        &self,
        origin_hash: u64,
        signing_time: SystemTime,
        now: SystemTime,
    ) -> bool {
        self.successes.contains(origin_hash, signing_time) && self.outlives(now, MAX_WINDOW)
    }

    /// Records that the origin has accepted a request.
    pub(crate) fn succeeded(&self, origin_hash: u64, signing_time: SystemTime) {
        self.successes.insert(origin_hash, signing_time);
    }

    /// Records that the origin has rejected a request.
    pub(crate) fn failed(&self, origin_hash: u64) {
        self.successes.remove(origin_hash);
    }

    /// Returns `true` if the credentials stay valid for longer than `time`, and `false` for temporary credentials
    /// without a known expiry.
    fn outlives(&self, now: SystemTime, time: Duration) -> bool {
        match self.expires_at {
            Some(expiry) => expiry.duration_since(now).is_ok_and(|left| left > time),
            None => self.identity.token().is_none(),
        }
    }

    pub(super) fn is_valid(&self, now: SystemTime) -> bool {
        self.expires_at.is_none_or(|expiry| now < expiry)
    }

    /// Returns `true` if a refresh is due.
    pub(super) fn is_stale(&self, now: SystemTime) -> bool {
        self.refresh_at.is_some_and(|refresh| refresh <= now) && !self.is_postponed(now)
    }

    /// Returns `true` if the provider returned these or failed to replace them less than [`RETRY_AFTER`] ago.
    ///
    /// After the clock was set back the age is unknown, and the result is `false`.
    pub(super) fn is_recent(&self, now: SystemTime) -> bool {
        now.duration_since(self.loaded_at)
            .is_ok_and(|age| age < RETRY_AFTER)
            || self.is_postponed(now)
    }

    fn is_postponed(&self, now: SystemTime) -> bool {
        self.retry_at
            .and_then(|retry| retry.duration_since(now).ok())
            .is_some_and(|left| !left.is_zero() && left <= RETRY_AFTER * 2)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn cached(lifetime: Duration, window: Duration) -> Result<CachedCredentials, Error> {
        let credentials =
            Credentials::new("AKID", "secret", None, Some(UNIX_EPOCH + lifetime), "test");
        CachedCredentials::new(credentials, UNIX_EPOCH, window, (0, 0), None)
    }

    #[test]
    fn refreshes_are_spread_over_the_window() {
        let seconds = |number| Duration::from_secs(number);
        for (lifetime, longest) in [(3600, 300), (100, 50)] {
            let window = seconds(longest);
            let refreshes: Vec<_> = (0..100)
                .map(|_| {
                    cached(seconds(lifetime), seconds(300))
                        .expect("valid")
                        .refresh_at
                })
                .map(|refresh| refresh.expect("it expires").duration_since(UNIX_EPOCH))
                .map(|refresh| seconds(lifetime) - refresh.expect("after the epoch"))
                .collect();
            let (earliest, latest) = (refreshes.iter().max(), refreshes.iter().min());
            assert!(
                earliest <= Some(&window) && latest >= Some(&(window / 2)),
                "{refreshes:?}"
            );
            assert!(earliest.zip(latest).is_some_and(|(most, least)| {
                *most - *least > window / 8 // fails by chance once in 10^12 times
            }));
        }
    }

    #[test]
    fn expired_credentials_are_an_error() {
        let error = cached(Duration::ZERO, Duration::from_secs(300))
            .err()
            .expect("expired");
        assert_eq!(error.kind(), ErrorKind::Credentials);
        assert!(error.to_string().contains("clock"), "{error}");
    }

    #[test]
    fn provider_is_not_called_again_immediately() {
        let seconds = |number| UNIX_EPOCH + Duration::from_secs(number);
        let cached = cached(Duration::from_secs(100), Duration::from_secs(50)).expect("valid");
        assert!(cached.is_recent(seconds(4)) && !cached.is_recent(seconds(5)));
        assert!(!cached.is_stale(seconds(49)) && cached.is_stale(seconds(75)));
        let postponed = cached.postponed(seconds(80));
        assert!(postponed.is_recent(seconds(84)) && !postponed.is_stale(seconds(84)));
        assert!(!postponed.is_recent(seconds(90)) && postponed.is_stale(seconds(90)));
        // The clock was set back by more than the pause.
        assert!(!postponed.is_recent(seconds(10)));
    }
}
