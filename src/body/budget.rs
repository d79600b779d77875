use std::{
    fmt,
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Extensions;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, futures::OwnedNotified},
    time::{self, Instant, Sleep},
};

use crate::error::{Error, ErrorKind};

/// Limits the memory of all buffered bodies of the services that share it.
///
/// Without a budget each request may buffer as many bytes as its own limit allows. With one, a request
/// reserves memory before the first byte of its body is read: the declared length, or its limit if no
/// length is declared. So no two requests wait for each other with half of their bodies buffered. Requests
/// acquire memory in the order of their arrival. Memory that the body did not need is released when the
/// body is complete, and the rest when the body has been sent or dropped.
///
/// A slow client could hold a reservation for long. So while a request waits, a body of more than 64 KiB
/// that arrives too slowly to be complete within a minute is evicted. The body that has been slow for
/// longest is evicted first, and its request is rejected as if the budget had been exhausted. While no
/// request waits, nothing is evicted; limit the time of a request outside of the layer.
///
/// Set the budget to a part of the machine's memory. Bodies that stream are not counted; see
/// [`PayloadMode`](crate::origin::PayloadMode) for the memory that they need.
///
/// A request that passed a [`VerifyLayer`](crate::VerifyLayer) of the same budget keeps its reservation in
/// a [`SigningLayer`](crate::SigningLayer).
///
/// ```
/// use std::time::Duration;
/// use tower_sigv4::body::BodyBudget;
///
/// let budget = BodyBudget::new(256 * 1024 * 1024).with_timeout(Duration::from_secs(2));
/// assert_eq!(budget.available(), budget.total());
/// ```
#[derive(Clone)]
#[must_use]
pub struct BodyBudget {
    semaphore: Arc<Semaphore>,
    permits: u32,
    timeout: Duration,
    queue: Arc<Queue>,
}

/// Number of waiting requests, and their signal to slow bodies.
#[derive(Default)]
struct Queue {
    /// Each waiting request holds a clone.
    waiting: Arc<()>,
    /// Wakes the body that has been slow for longest. A notification alone evicts nothing: the request that
    /// sent it may be gone.
    eviction: Arc<Notify>,
}

impl BodyBudget {
    /// Number of bytes per permit.
    const UNIT: u64 = 1024;
    const TIMEOUT: Duration = Duration::from_secs(5);
    /// Interval at which a waiting request asks a slow body to release its memory.
    const EVICTION_INTERVAL: Duration = Duration::from_millis(20);
    /// A body is slow if it would need more time than this at its rate.
    const MAX_ARRIVAL: Duration = Duration::from_secs(60);
    /// Time before the rate is measured.
    const GRACE: Duration = Duration::from_secs(1);
    /// Bodies of this size or less are not evicted.
    const SMALL: u64 = 64 * 1024;

    /// Creates a budget of `bytes`, which is counted in units of 1 KiB.
    ///
    /// A body that is larger than the whole budget is rejected with
    /// [`BodyTooLarge`](ErrorKind::BodyTooLarge).
    pub fn new(bytes: u64) -> Self {
        let max = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
        let permits = Self::permits_for(bytes).min(max);
        Self {
            semaphore: Arc::new(Semaphore::new(permits as usize)),
            permits,
            timeout: Self::TIMEOUT,
            queue: Arc::default(),
        }
    }

    /// Sets the timeout of a request that waits for memory: 5 s by default. With zero it fails at once.
    ///
    /// A request that waits longer fails with [`BudgetExhausted`](ErrorKind::BudgetExhausted).
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Returns the number of bytes that are free.
    #[must_use]
    pub fn available(&self) -> u64 {
        self.semaphore.available_permits() as u64 * Self::UNIT
    }

    /// Returns the size of the budget in bytes, rounded up to whole KiB.
    #[must_use]
    pub fn total(&self) -> u64 {
        u64::from(self.permits) * Self::UNIT
    }

    fn permits_for(bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(Self::UNIT)).unwrap_or(u32::MAX)
    }

    /// Reserves `bytes` in place of an earlier reservation of the same request.
    pub(super) fn reserve(
        &self,
        bytes: u64,
        extensions: &mut Extensions,
    ) -> Result<Acquire, Error> {
        let semaphore = self.semaphore.clone();
        let timeout = self.timeout;
        let queue = self.queue.clone();
        let exhausted = move || {
            Error::new(
                ErrorKind::BudgetExhausted,
                format!(
                    "the body budget has no memory for a body of {bytes} bytes now; try again later"
                ),
            )
        };
        let earlier = extensions
            .remove::<Weak<Reservation>>()
            .and_then(|weak| weak.upgrade())
            .filter(|reservation| Arc::ptr_eq(reservation.permit.semaphore(), &semaphore));
        let held = earlier.as_deref().map_or(0, Reservation::permits);
        let wanted = Self::permits_for(bytes).saturating_sub(held as u32); // permits of one budget
        match semaphore.clone().try_acquire_many_owned(wanted) {
            Ok(permit) => Ok(Acquire::Ready(Reservation::new(permit, earlier, queue))),
            // A request with a reservation never waits for more: two of them could wait for each other.
            Err(_) if earlier.is_some() || timeout.is_zero() => Err(exhausted()),
            Err(_) => Ok(Acquire::Waiting(Box::pin(async move {
                let waiter = queue.waiting.clone();
                let acquire = async {
                    let mut acquire = pin!(semaphore.acquire_many_owned(wanted));
                    loop {
                        queue.eviction.notify_one();
                        let acquired = time::timeout(Self::EVICTION_INTERVAL, acquire.as_mut());
                        if let Ok(permit) = acquired.await {
                            break permit;
                        }
                    }
                };
                let acquired = time::timeout(timeout, acquire).await;
                drop(waiter);
                match acquired {
                    Ok(Ok(permit)) => Ok(Reservation::new(permit, None, queue)),
                    _ => Err(exhausted()),
                }
            }))),
        }
    }
}

/// Result of a request for memory.
pub(super) enum Acquire {
    Ready(Reservation),
    Waiting(ReservationFuture),
}

pub(super) type ReservationFuture =
    Pin<Box<dyn Future<Output = Result<Reservation, Error>> + Send>>;

/// Memory of a budget, released on drop.
pub(crate) struct Reservation {
    permit: OwnedSemaphorePermit,
    /// An earlier reservation of the same request.
    earlier: Option<Arc<Reservation>>,
    queue: Arc<Queue>,
    /// `Some` from the first time that the client is waited for.
    pace: Option<Pace>,
}

/// Rate at which a body arrives.
struct Pace {
    started: Instant,
    /// Fires when the body is slow.
    slow: Pin<Box<Sleep>>,
    eviction: Option<Pin<Box<OwnedNotified>>>,
}

impl Reservation {
    fn new(
        permit: OwnedSemaphorePermit,
        earlier: Option<Arc<Reservation>>,
        queue: Arc<Queue>,
    ) -> Self {
        Self {
            permit,
            earlier,
            queue,
            pace: None,
        }
    }

    fn permits(&self) -> usize {
        let earlier = self.earlier.as_deref().map_or(0, Self::permits);
        self.permit.num_permits() + earlier
    }

    /// Releases all but the memory for a complete body of `bytes`.
    pub(crate) fn shrink(&mut self, bytes: u64) {
        self.pace = None; // it must not consume the notification for another body
        let needed = BodyBudget::permits_for(bytes) as usize;
        let excess = self.permits().saturating_sub(needed);
        drop(self.permit.split(excess.min(self.permit.num_permits())));
    }

    /// Ready when the body is evicted: it is slow, and a request waits. `len` is the number of bytes that
    /// have arrived.
    pub(crate) fn poll_evicted(&mut self, cx: &mut Context<'_>, len: u64) -> Poll<Error> {
        let bytes = self.permits() as u64 * BodyBudget::UNIT;
        if bytes <= BodyBudget::SMALL {
            return Poll::Pending;
        }
        let pace = self.pace.get_or_insert_with(|| Pace {
            started: Instant::now(),
            slow: Box::pin(time::sleep(BodyBudget::GRACE)),
            eviction: None,
        });
        loop {
            ready!(pace.slow.as_mut().poll(cx));
            let earned = BodyBudget::MAX_ARRIVAL.mul_f64(len as f64 / bytes as f64);
            let slow_at = pace.started + BodyBudget::GRACE + earned;
            if slow_at > Instant::now() {
                pace.eviction = None;
                pace.slow.as_mut().reset(slow_at);
                continue;
            }
            let notified = || Box::pin(self.queue.eviction.clone().notified_owned());
            let eviction = pace.eviction.get_or_insert_with(notified);
            ready!(eviction.as_mut().poll(cx));
            pace.eviction = None;
            // The memory of another body may have been enough meanwhile.
            let exhausted = self.permit.semaphore().available_permits() == 0;
            if exhausted && Arc::strong_count(&self.queue.waiting) > 1 {
                return Poll::Ready(Error::new(
                    ErrorKind::BudgetExhausted,
                    "the body arrived too slowly while other requests waited for its memory; try \
                     again later",
                ));
            }
        }
    }
}

impl fmt::Debug for BodyBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyBudget")
            .field("bytes", &self.total())
            .field("available", &self.available())
            .field("timeout", &self.timeout)
            .finish()
    }
}
