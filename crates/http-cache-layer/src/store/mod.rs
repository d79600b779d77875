//! Stores of responses.

pub(crate) mod backend;
mod memory;
#[cfg(feature = "redis")]
mod redis;

#[cfg(test)]
pub(crate) use self::backend::MAX_VARIANTS;
pub use self::backend::Store;
pub(crate) use self::backend::{Backend, Clock, Found, StoreFuture, Ticket, Variants};
#[cfg(test)]
pub(crate) use self::memory::Memory;
pub use self::memory::MemoryStore;
#[cfg(all(test, feature = "redis"))]
pub(crate) use self::redis::found;
#[cfg(feature = "redis")]
pub use self::redis::{InvalidRedisUrl, RedisStore};
