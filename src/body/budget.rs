use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    time::Duration,
};

use http::Extensions;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
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
/// Give the budget a share of the memory, and limit the time for a body outside of the layer: while a slow
/// client sends, its room is taken. Bodies that stream are not counted; their modes say what they hold.
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
}

impl BodyBudget {
    /// Bytes that are counted as one.
    const UNIT: u64 = 1024;
    const TIMEOUT: Duration = Duration::from_secs(5);

    /// A budget of so many bytes, counted in steps of 1 KiB.
    ///
    /// A body that is larger than all of it is refused as larger than its limit is.
    pub fn new(bytes: u64) -> Self {
        let most = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
        let permits = u32::try_from(bytes.div_ceil(Self::UNIT)).unwrap_or(most).min(most);
        let room = Arc::new(Semaphore::new(permits as usize));
        Self { room, permits, timeout: Self::TIMEOUT }
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
        let held = extensions.remove::<Weak<Reservation>>().and_then(|held| held.upgrade());
        let held = held.filter(|held| Arc::ptr_eq(held.permit.semaphore(), &self.room));
        let exhausted = move || {
            Error::new(
                ErrorKind::BudgetExhausted,
                format!("there is no room for a body of {bytes} bytes now; try again later"),
            )
        };
        let (room, timeout) = (self.room.clone(), self.timeout);
        if let Some(held) = held {
            // Who has room never waits for more: two of them could wait for each other.
            let held_permits = u32::try_from(held.permits()).unwrap_or(u32::MAX);
            let more = wanted.saturating_sub(held_permits);
            let permit = match room.try_acquire_many_owned(more) {
                Ok(permit) => permit,
                Err(_) => return Room::Refused(exhausted()),
            };
            return Room::Now(Reservation { permit, held: Some(held) });
        }
        match room.clone().try_acquire_many_owned(wanted) {
            Ok(permit) => Room::Now(Reservation { permit, held: None }),
            Err(_) if timeout.is_zero() => Room::Refused(exhausted()),
            Err(_) => Room::Later(Box::pin(async move {
                match time::timeout(timeout, room.acquire_many_owned(wanted)).await {
                    Ok(Ok(permit)) => Ok(Reservation { permit, held: None }),
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
}

impl Reservation {
    fn permits(&self) -> usize {
        self.permit.num_permits() + self.held.as_ref().map_or(0, |held| held.permits())
    }

    /// Gives back all but what so many bytes need.
    pub(crate) fn shrink(&mut self, bytes: u64) {
        let more = self.permits().saturating_sub(BodyBudget::permits_of(bytes) as usize);
        drop(self.permit.split(more.min(self.permit.num_permits())));
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
