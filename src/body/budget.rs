use std::{
    fmt,
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Extensions;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, futures::OwnedNotified},
    time::{self, Instant, Sleep},
};

use crate::error::{Error, ErrorKind};

/// How many bytes of bodies may be buffered at one time, by all services that share it.
///
/// Without one, each request may have as many bytes in memory as its own limit allows. A request takes all
/// the room that its body can need before the first byte of it is read: what the body announces, or its
/// limit if it announces nothing. So no two bodies can wait for each other in the middle; room goes to who
/// has waited longest, however much is wanted. What was not needed is given back when the body is there, and
/// the rest when the body has been sent or dropped.
///
/// While a client sends, its room is taken, but no longer for little: as long as a request waits for room, a
/// body of more than 64 KiB that comes too slowly to be there within a minute loses its own, the one that has
/// been slow for longest first, and is refused as one that finds none is. As long as none waits, each may take
/// its time; limit that outside of the layer. Give the budget a share of the memory. Bodies that stream are
/// not counted; their modes say what they hold.
///
/// A request that has come through a [`VerifyLayer`](crate::VerifyLayer) of the same budget has its room
/// already, and keeps it on the way through a [`SigningLayer`](crate::SigningLayer).
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
    room: Arc<Semaphore>,
    permits: u32,
    timeout: Duration,
    queue: Arc<Queue>,
}

/// The requests that wait, as slow bodies see them.
#[derive(Default)]
struct Queue {
    waiting: AtomicUsize,
    /// Wakes the body that has been slow for longest. A notification alone evicts nothing: the request that
    /// sent it may be gone.
    eviction: Arc<Notify>,
}

/// Counts a request as waiting until it is dropped.
struct Waiter(Arc<Queue>);

impl Waiter {
    fn new(queue: Arc<Queue>) -> Self {
        queue.waiting.fetch_add(1, Ordering::Relaxed);
        Self(queue)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl BodyBudget {
    /// Bytes that are counted as one.
    const UNIT: u64 = 1024;
    const TIMEOUT: Duration = Duration::from_secs(5);
    /// Interval at which a waiting request asks a slow body to release its memory.
    const EVICTION: Duration = Duration::from_millis(20);
    /// A body is slow that comes at a rate at which it would need longer.
    const ARRIVAL: Duration = Duration::from_secs(60);
    /// Before the rate counts.
    const START: Duration = Duration::from_secs(1);
    /// Bytes whose room is worth no call.
    const SMALL: u64 = 64 * 1024;

    /// A budget of so many bytes, counted in steps of 1 KiB.
    ///
    /// A body that is larger than all of it is refused as larger than its limit is.
    pub fn new(bytes: u64) -> Self {
        let most = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
        let permits = u32::try_from(bytes.div_ceil(Self::UNIT))
            .unwrap_or(most)
            .min(most);
        let room = Arc::new(Semaphore::new(permits as usize));
        Self {
            room,
            permits,
            timeout: Self::TIMEOUT,
            queue: Arc::default(),
        }
    }

    /// Sets how long a request waits for room, 5 s by default; with zero it does not wait. Then it is
    /// refused with an error of kind [`BudgetExhausted`](ErrorKind::BudgetExhausted).
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many bytes are free.
    #[must_use]
    pub fn available(&self) -> u64 {
        self.room.available_permits() as u64 * Self::UNIT
    }

    /// How many bytes it has, free or not: what it was given, in whole KiB.
    #[must_use]
    pub fn total(&self) -> u64 {
        u64::from(self.permits) * Self::UNIT
    }

    fn permits_of(bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(Self::UNIT)).unwrap_or(u32::MAX)
    }

    /// Room for so many bytes, in place of what the request has of this budget already.
    pub(crate) fn reserve(&self, bytes: u64, extensions: &mut Extensions) -> Room {
        let wanted = Self::permits_of(bytes);
        let held = extensions
            .remove::<Weak<Reservation>>()
            .and_then(|held| held.upgrade());
        let held = held.filter(|held| Arc::ptr_eq(held.permit.semaphore(), &self.room));
        let exhausted = move || {
            Error::new(
                ErrorKind::BudgetExhausted,
                format!("there is no room for a body of {bytes} bytes now; try again later"),
            )
        };
        let room = self.room.clone();
        let timeout = self.timeout;
        let queue = self.queue.clone();
        let reservation = |permit, queue| Reservation {
            permit,
            held: None,
            queue,
            slow: None,
        };
        if let Some(held) = held {
            // Who has room never waits for more: two of them could wait for each other.
            let held_permits = u32::try_from(held.permits()).unwrap_or(u32::MAX);
            let more = wanted.saturating_sub(held_permits);
            let permit = match room.try_acquire_many_owned(more) {
                Ok(permit) => permit,
                Err(_) => return Room::Refused(exhausted()),
            };
            return Room::Now(Reservation {
                held: Some(held),
                ..reservation(permit, queue)
            });
        }
        match room.clone().try_acquire_many_owned(wanted) {
            Ok(permit) => Room::Now(reservation(permit, queue)),
            Err(_) if timeout.is_zero() => Room::Refused(exhausted()),
            Err(_) => Room::Later(Box::pin(async move {
                let waiter = Waiter::new(queue.clone());
                let permit = async {
                    let mut permit = pin!(room.acquire_many_owned(wanted));
                    loop {
                        queue.eviction.notify_one();
                        if let Ok(permit) = time::timeout(Self::EVICTION, permit.as_mut()).await {
                            break permit;
                        }
                    }
                };
                let acquired = time::timeout(timeout, permit).await;
                drop(waiter);
                match acquired {
                    Ok(Ok(permit)) => Ok(reservation(permit, queue)),
                    _ => Err(exhausted()),
                }
            })),
        }
    }
}

/// Whether there is room for a body.
pub(crate) enum Room {
    Now(Reservation),
    Later(Waiting),
    Refused(Error),
}

pub(crate) type Waiting = Pin<Box<dyn Future<Output = Result<Reservation, Error>> + Send>>;

/// Room that is taken until this is dropped.
pub(crate) struct Reservation {
    permit: OwnedSemaphorePermit,
    /// What was taken before, for the same request.
    held: Option<Arc<Reservation>>,
    queue: Arc<Queue>,
    /// Since its client is waited for.
    slow: Option<Slow>,
}

struct Slow {
    since: Instant,
    /// Until when it is not.
    due: Pin<Box<Sleep>>,
    evicted: Option<Pin<Box<OwnedNotified>>>,
}

impl Reservation {
    fn permits(&self) -> usize {
        self.permit.num_permits() + self.held.as_ref().map_or(0, |held| held.permits())
    }

    /// Gives back all but what so many bytes need, of a body that has come.
    pub(crate) fn shrink(&mut self, bytes: u64) {
        self.slow = None; // it takes no other body's notification
        let more = self
            .permits()
            .saturating_sub(BodyBudget::permits_of(bytes) as usize);
        drop(self.permit.split(more.min(self.permit.num_permits())));
    }

    /// Ready once a body of which so many bytes have come is evicted: it is slow, and a request waits.
    pub(crate) fn poll_evicted(&mut self, cx: &mut Context<'_>, len: u64) -> Poll<Error> {
        let bytes = self.permits() as u64 * BodyBudget::UNIT;
        if bytes <= BodyBudget::SMALL {
            return Poll::Pending;
        }
        let slow = self.slow.get_or_insert_with(|| Slow {
            since: Instant::now(),
            due: Box::pin(time::sleep(BodyBudget::START)),
            evicted: None,
        });
        loop {
            ready!(slow.due.as_mut().poll(cx));
            let earned = BodyBudget::ARRIVAL.mul_f64(len as f64 / bytes as f64);
            let due = slow.since + BodyBudget::START + earned;
            if due > Instant::now() {
                slow.evicted = None;
                slow.due.as_mut().reset(due);
                continue;
            }
            let evicted = || Box::pin(self.queue.eviction.clone().notified_owned());
            ready!(slow.evicted.get_or_insert_with(evicted).as_mut().poll(cx));
            slow.evicted = None;
            // The memory of another body may have been enough meanwhile.
            let exhausted = self.permit.semaphore().available_permits() == 0;
            if exhausted && self.queue.waiting.load(Ordering::Relaxed) > 0 {
                let message =
                    "the body came slowly, and others waited for its room; try again later";
                return Poll::Ready(Error::new(ErrorKind::BudgetExhausted, message));
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
