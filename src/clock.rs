use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Where the time of signing comes from.
///
/// [`Clock::system`] reads the machine's clock. [`Clock::manual`] stands still until it is told
/// otherwise, so that a test sees the same signature each time; its clones share one time.
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
    /// Nanoseconds since the epoch; `None` for the machine's clock.
    manual: Option<Arc<AtomicU64>>,
    /// Seconds to add to it, once they are known.
    correction: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands at `now`; times before 1970 count as 1970, times after 2554 as 2554.
    #[must_use]
    pub fn manual(now: SystemTime) -> Self {
        Self { manual: Some(Arc::new(AtomicU64::new(to_nanos(now)))), correction: None }
    }

    /// Sets a manual clock and all its clones; the machine's clock is left alone.
    pub fn set(&self, now: SystemTime) {
        if let Some(manual) = &self.manual {
            manual.store(to_nanos(now), Ordering::SeqCst);
        }
    }

    /// Moves a manual clock and all its clones forward; the machine's clock is left alone.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        if let Some(manual) = &self.manual {
            let _ = manual.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| {
                Some(now.saturating_add(by))
            });
        }
    }

    /// The time it is.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        let now = self.uncorrected();
        let seconds = self.correction.as_ref().map_or(0, |seconds| seconds.load(Ordering::Relaxed));
        let correction = Duration::from_secs(seconds.unsigned_abs());
        let corrected = match seconds {
            0 => return now,
            1.. => now.checked_add(correction),
            _ => now.checked_sub(correction),
        };
        corrected.unwrap_or(now)
    }

    /// The same without its correction.
    fn uncorrected(&self) -> SystemTime {
        match &self.manual {
            Some(manual) => UNIX_EPOCH + Duration::from_nanos(manual.load(Ordering::SeqCst)),
            None => SystemTime::now(),
        }
    }

    /// Takes the correction back if this time lies between what the clock shows and what it would show without:
    /// it comes from one who knows that it is not past yet.
    pub(crate) fn doubt(&self, to_come: SystemTime) {
        if let Some(correction) = &self.correction
            && self.uncorrected() < to_come
            && to_come <= self.now()
        {
            correction.store(0, Ordering::Relaxed);
        }
    }

    /// A clock that can be corrected, and its clones with it; what it is made from is left alone.
    pub(crate) fn correctable(mut self) -> Self {
        self.correction = Some(Arc::default());
        self
    }

    /// Has it show this time now; false if it is off by more than a day, which no clock is by accident.
    pub(crate) fn correct(&self, right: SystemTime) -> bool {
        const MOST: u64 = 24 * 60 * 60;
        let now = self.uncorrected();
        let (ahead, distance) = match right.duration_since(now) {
            Ok(ahead) => (true, ahead.as_secs()),
            Err(behind) => (false, behind.duration().as_secs()),
        };
        let Some(correction) = self.correction.as_ref().filter(|_| distance <= MOST) else {
            return false;
        };
        let seconds = i64::try_from(distance).unwrap_or_default();
        correction.store(if ahead { seconds } else { -seconds }, Ordering::Relaxed);
        true
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
