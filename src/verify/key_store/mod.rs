//! Key stores: the keys of callers.

mod key;
mod key_request;
mod lookup_future;
mod static_keys;
mod store;

pub(super) use self::{
    key::Attachments,
    key_request::{MAX_SESSION_TOKEN, RequestToken},
    lookup_future::LookupResult,
};
pub use self::{
    key::Key, key_request::KeyRequest, lookup_future::LookupFuture, static_keys::StaticKeys,
    store::KeyStore,
};
