//! Key stores: the keys of callers.

mod cached_keys;
mod key;
mod key_pools;
mod key_request;
mod lookup_future;
mod shared_lookup;
mod static_keys;
mod store;

pub use self::{
    cached_keys::CachedKeys, key::Key, key_request::KeyRequest, lookup_future::LookupFuture,
    static_keys::StaticKeys, store::KeyStore,
};
pub(super) use self::{
    key::Attachments,
    key_request::{MAX_SESSION_TOKEN, RequestToken},
    lookup_future::LookupResult,
};
