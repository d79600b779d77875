use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Source of time for the date of requests and the expiry of credentials.
///
/// [`Clock::system`] is the system clock. [`Clock::manual`] is stopped until it is set or advanced, so that signatures
/// are reproducible in tests; its clones share one time.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use tower_sigv4::Clock;
///
/// let clock = Clock::manual(UNIX_EPOCH + Duration::from_secs(1_440_938_160));
/// let shared = clock.clone();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(shared.now(), UNIX_EPOCH + Duration::from_secs(1_440_938_220));
/// ```
#[derive(Clone, Default)]
pub struct Clock {
    /// Nanoseconds since the epoch; `None` for the system clock.
    manual: Option<Arc<AtomicU64>>,
}

impl Clock {
    /// Returns the system clock.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// Creates a clock that is stopped at `now`. Times before 1970 count as 1970, times after 2554 as 2554.
    #[must_use]
    pub fn manual(now: SystemTime) -> Self {
        Self {
            manual: Some(Arc::new(AtomicU64::new(to_nanos(now)))),
        }
    }

    /// Sets a manual clock and its clones. Has no effect on the system clock.
    pub fn set(&self, now: SystemTime) {
        if let Some(manual) = &self.manual {
            manual.store(to_nanos(now), Ordering::SeqCst);
        }
    }

    /// Advances a manual clock and its clones. Has no effect on the system clock.
    pub fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        if let Some(manual) = &self.manual {
            let _ = manual.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| {
                Some(now.saturating_add(nanos))
            });
        }
    }

    /// Returns the current time.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        match &self.manual {
            Some(manual) => UNIX_EPOCH + Duration::from_nanos(manual.load(Ordering::SeqCst)),
            None => SystemTime::now(),
        }
    }
}

fn to_nanos(time: SystemTime) -> u64 {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.manual {
            Some(_) => f.debug_tuple("Clock").field(&self.now()).finish(),
            None => f.write_str("Clock(system)"),
        }
    }
}
