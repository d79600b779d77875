use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;

use crate::{
    error::{Error, ErrorKind},
    sigv4::Identity,
};

/// Time to wait before a provider is asked again that failed, or that returned credentials just now.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Credentials with their expiry, as a provider returned them.
#[derive(Clone)]
pub(crate) struct CachedCredentials {
    identity: Identity,
    /// When to ask for new ones; `None` for credentials that do not expire.
    refresh_at: Option<SystemTime>,
    pub(super) expires_at: Option<SystemTime>,
    loaded_at: SystemTime,
    /// Set after a failed refresh: no refresh starts before this time.
    retry_at: Option<SystemTime>,
    /// Differs for different credentials.
    serial: u64,
    /// Number of invalidations when the provider was asked for these.
    pub(super) invalidations: u64,
}

impl CachedCredentials {
    /// Creates an entry, with the serial number of the `known` one if the provider returned the same credentials.
    pub(super) fn new(
        credentials: Credentials,
        now: SystemTime,
        window: Duration,
        invalidations: u64,
        known: Option<&Self>,
    ) -> Result<Self, Error> {
        let expires_at = credentials.expiry();
        let refresh_at = match expires_at.map(|expiry| (expiry, expiry.duration_since(now))) {
            None => None,
            Some((expiry, Ok(lifetime))) if !lifetime.is_zero() => {
                let window = window.min(lifetime / 2);
                Some(expiry - window.mul_f64(1.0 - fastrand::f64() / 2.0))
            }
            Some(_) => {
                return Err(Error::new(
                    ErrorKind::Credentials,
                    "the credentials provider returned credentials that have expired; compare \
                     this machine's clock with the provider's",
                ));
            }
        };
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = match known.filter(|known| known.has(&credentials)) {
            Some(known) => known.serial,
            None => SERIAL.fetch_add(1, Ordering::Relaxed),
        };
        let identity = Identity::new(credentials)?;
        let (loaded_at, retry_at) = (now, None);
        Ok(Self {
            identity,
            refresh_at,
            expires_at,
            loaded_at,
            retry_at,
            serial,
            invalidations,
        })
    }

    /// Returns the same credentials, to be refreshed a little later.
    pub(super) fn postponed(&self, now: SystemTime) -> Self {
        let retry_at = now.checked_add(RETRY_AFTER.mul_f64(1.0 + fastrand::f64()));
        Self {
            retry_at,
            ..self.clone()
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

    /// Returns true if the credentials stay valid for longer than `time`. Temporary ones without a known
    /// expiry do not.
    pub(crate) fn outlives(&self, now: SystemTime, time: Duration) -> bool {
        match self.expires_at {
            Some(expiry) => expiry.duration_since(now).is_ok_and(|left| left > time),
            None => self.identity.token().is_none(),
        }
    }

    pub(super) fn is_valid(&self, now: SystemTime) -> bool {
        self.expires_at.is_none_or(|expiry| now < expiry)
    }

    /// Returns true if a refresh is due.
    pub(super) fn is_stale(&self, now: SystemTime) -> bool {
        self.refresh_at.is_some_and(|refresh| refresh <= now) && !self.is_postponed(now)
    }

    /// Returns true if the provider returned these, or failed to replace them, a moment ago.
    ///
    /// A clock that was set back makes the age unknown: then the credentials count as old.
    pub(super) fn was_asked_just_now(&self, now: SystemTime) -> bool {
        let is_new = now
            .duration_since(self.loaded_at)
            .is_ok_and(|age| age < RETRY_AFTER);
        is_new || self.is_postponed(now)
    }

    fn is_postponed(&self, now: SystemTime) -> bool {
        let left = self
            .retry_at
            .and_then(|retry| retry.duration_since(now).ok());
        left.is_some_and(|left| !left.is_zero() && left <= RETRY_AFTER * 2)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn entry(lifetime: Duration, window: Duration) -> Result<CachedCredentials, Error> {
        let credentials =
            Credentials::new("AKID", "secret", None, Some(UNIX_EPOCH + lifetime), "test");
        CachedCredentials::new(credentials, UNIX_EPOCH, window, 0, None)
    }

    #[test]
    fn a_fleet_does_not_refresh_at_once() {
        let seconds = |number| Duration::from_secs(number);
        for (lifetime, window) in [(3600, 300), (100, 50)] {
            let window = seconds(window);
            let refreshes: Vec<_> = (0..100)
                .map(|_| {
                    entry(seconds(lifetime), seconds(300))
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
            assert!(earliest.zip(latest).is_some_and(|(earliest, latest)| {
                *earliest - *latest > window / 8 // chance leaves this out once in 10^12 times
            }));
        }
    }

    #[test]
    fn expired_credentials_are_an_error() {
        let error = entry(Duration::ZERO, Duration::from_secs(300))
            .err()
            .expect("expired");
        assert_eq!(error.kind(), ErrorKind::Credentials);
        assert!(error.to_string().contains("clock"), "{error}");
    }

    #[test]
    fn a_provider_is_left_alone_after_it_was_asked() {
        let seconds = |number| UNIX_EPOCH + Duration::from_secs(number);
        let entry = entry(Duration::from_secs(100), Duration::from_secs(50)).expect("valid");
        assert!(entry.was_asked_just_now(seconds(4)) && !entry.was_asked_just_now(seconds(5)));
        assert!(!entry.is_stale(seconds(49)) && entry.is_stale(seconds(75)));
        let postponed = entry.postponed(seconds(80));
        assert!(postponed.was_asked_just_now(seconds(84)) && !postponed.is_stale(seconds(84)));
        assert!(!postponed.was_asked_just_now(seconds(90)) && postponed.is_stale(seconds(90)));
        // The clock was set back by more than a provider is left alone.
        assert!(!postponed.was_asked_just_now(seconds(10)));
    }
}
