//! Stores of responses.

#[cfg(feature = "redis")]
mod encoding;
mod interface;
mod memory;
#[cfg(feature = "redis")]
mod redis;

#[cfg(test)]
pub(crate) use self::interface::MAX_VARIANTS;
#[cfg(feature = "redis")]
pub use self::redis::{InvalidRedisUrl, RedisLogin, RedisStore, SharedDecision, SharedRate};
pub use self::{
    interface::{
        Found, Purge, PurgeOutcome, Store, StoreError, StoreFuture, StoreHealth, StoreServer,
        StoreStats, Ticket,
    },
    memory::MemoryStore,
};
