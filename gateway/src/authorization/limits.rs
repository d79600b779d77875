//! Rate and concurrency of each caller.

use std::{
    collections::HashMap,
    error::Error,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};

use crate::rate::{SharedRates, rate_name};

/// Maximum number of callers of a section whose rate is counted. Only verified callers count.
const MAX_CALLERS: usize = 100_000;

/// Limits of a section `[[caller]]`, for each of its callers on all routes together.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallerLimits {
    rate: Option<Arc<CallerRate>>,
    shared: Option<(SharedRates, String)>,
    concurrency: Option<Arc<CallerConcurrency>>,
}

impl CallerLimits {
    pub(crate) fn new(rate: Option<Quota>, max_concurrency: Option<usize>) -> Self {
        Self {
            rate: rate.map(|quota| Arc::new(CallerRate::new(quota, MAX_CALLERS))),
            shared: None,
            concurrency: max_concurrency.map(|limit| {
                Arc::new(CallerConcurrency {
                    limit,
                    requests: Mutex::default(),
                })
            }),
        }
    }

    /// Counts requests of the section with this name for all gateways.
    pub(crate) fn with_shared(mut self, rates: Option<SharedRates>, section: &str) -> Self {
        self.shared = rates.map(|shared| (shared, section.to_owned()));
        self
    }

    /// Admits a request of a caller, until the guard is dropped.
    pub(super) async fn admit(&self, id: &str) -> Result<Option<InFlight>, CallerLimited> {
        if let Some(rate) = &self.rate {
            self.check_rate(rate, id).await?;
        }
        let concurrency = self.concurrency.as_ref();
        concurrency.map(|it| it.clone().start(id)).transpose()
    }

    async fn check_rate(&self, rate: &CallerRate, id: &str) -> Result<(), CallerLimited> {
        if let Some((shared, section)) = &self.shared
            && let Some(decision) = shared
                .check(&rate_name("caller", section, id), rate.quota)
                .await
        {
            return decision.map_err(CallerLimited::Rate);
        }
        rate.check(id)
    }
}

/// A request beyond a limit of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallerLimited {
    /// The rate is reached, for this duration.
    Rate(Duration),
    Concurrency,
}

impl CallerLimited {
    /// Label in metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rate(_) => "rate",
            Self::Concurrency => "concurrency",
        }
    }
}

impl fmt::Display for CallerLimited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many requests of this caller; try again later")
    }
}

impl Error for CallerLimited {}

struct CallerRate {
    quota: Quota,
    limiter: DefaultKeyedRateLimiter<String>,
    max_callers: usize,
}

impl CallerRate {
    fn new(quota: Quota, max_callers: usize) -> Self {
        Self {
            quota,
            limiter: RateLimiter::keyed(quota),
            max_callers,
        }
    }

    fn check(&self, id: &str) -> Result<(), CallerLimited> {
        if self.limiter.len() >= self.max_callers {
            // Callers whose quota is full again need no state.
            self.limiter.retain_recent();
            if self.limiter.len() >= self.max_callers {
                return Err(CallerLimited::Rate(Duration::from_secs(1)));
            }
        }
        self.limiter.check_key(&id.to_owned()).map_err(|until| {
            CallerLimited::Rate(until.wait_time_from(DefaultClock::default().now()))
        })
    }
}

impl fmt::Debug for CallerRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallerRate").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct CallerConcurrency {
    limit: usize,
    /// Number of requests of each caller that has some.
    requests: Mutex<HashMap<String, usize>>,
}

impl CallerConcurrency {
    fn start(self: Arc<Self>, id: &str) -> Result<InFlight, CallerLimited> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        match requests.get_mut(id) {
            Some(count) if *count >= self.limit => return Err(CallerLimited::Concurrency),
            Some(count) => *count += 1,
            None => drop(requests.insert(id.to_owned(), 1)),
        }
        drop(requests);
        Ok(InFlight {
            id: id.to_owned(),
            concurrency: self,
        })
    }
}

/// A request in progress.
#[derive(Debug)]
pub(super) struct InFlight {
    id: String,
    concurrency: Arc<CallerConcurrency>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let lock = self.concurrency.requests.lock();
        let mut requests = lock.unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = requests.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                requests.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    const ONE: NonZeroU32 = NonZeroU32::new(1).expect("not zero");

    #[tokio::test]
    async fn callers_have_separate_rates() {
        let limits = CallerLimits::new(Some(Quota::per_hour(ONE)), None);
        assert!(limits.admit("a").await.is_ok());
        assert!(
            matches!(limits.admit("a").await, Err(CallerLimited::Rate(wait)) if !wait.is_zero())
        );
        assert!(limits.admit("b").await.is_ok());
    }

    #[test]
    fn rates_of_callers_are_bounded() {
        let rate = CallerRate::new(Quota::per_hour(ONE), 2);
        assert!(rate.check("a").is_ok() && rate.check("b").is_ok());
        assert!(rate.check("c").is_err());
        assert_eq!(rate.limiter.len(), 2);
        // A quota that is full again after a nanosecond.
        let quick = CallerRate::new(
            Quota::with_period(Duration::from_nanos(1)).expect("a period"),
            2,
        );
        for id in 0..1000 {
            while quick.check(&id.to_string()).is_err() {}
            assert!(quick.limiter.len() <= 2);
        }
    }

    #[tokio::test]
    async fn requests_in_progress_are_counted_until_they_end() {
        let limits = CallerLimits::new(None, Some(1));
        let first = limits.admit("a").await.expect("admitted");
        assert_eq!(
            limits.admit("a").await.err(),
            Some(CallerLimited::Concurrency)
        );
        assert!(limits.admit("b").await.is_ok());
        drop(first);
        assert!(limits.admit("a").await.is_ok());
        let concurrency = limits.concurrency.expect("a limit");
        assert!(concurrency.requests.lock().expect("a map").is_empty());
    }
}
