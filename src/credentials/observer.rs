//! Events for metrics.

use std::{sync::Arc, time::SystemTime};

use crate::error::Error;

/// Receives the events of a [`CredentialsCache`](super::CredentialsCache) or of [`Identities`](super::Identities), for
/// metrics.
///
/// The methods run while credentials are loaded or looked up, and must return quickly. `identity` is the
/// [name](super::CredentialsCache::with_name) of the identity, or empty without one. The number of names is that of the
/// identities: limit the labels of a metric.
///
/// ```
/// use std::{
///     collections::HashMap,
///     sync::{Arc, Mutex},
///     time::SystemTime,
/// };
/// use tower_sigv4::credentials::{Credentials, CredentialsCache, Observer};
///
/// /// The expiry of each identity.
/// #[derive(Default)]
/// struct Expiries(Mutex<HashMap<String, Option<SystemTime>>>);
///
/// impl Observer for Expiries {
///     fn on_refresh(&self, identity: &str, expiry: Option<SystemTime>) {
///         self.0.lock().unwrap().insert(identity.to_owned(), expiry);
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), tower_sigv4::Error> {
/// let expiries = Arc::new(Expiries::default());
/// let cache = CredentialsCache::new(Credentials::new("AKIDEXAMPLE", "secret", None, None, "example"))
///     .with_name("orders")
///     .with_observer(expiries.clone());
/// cache.ready().await?;
/// assert_eq!(expiries.0.lock().unwrap()["orders"], None);
/// # Ok(())
/// # }
/// ```
pub trait Observer: Send + Sync {
    /// The provider has returned credentials, valid until `expiry`.
    fn on_refresh(&self, identity: &str, expiry: Option<SystemTime>) {
        let _ = (identity, expiry);
    }

    /// The provider has failed. Cached credentials stay in use until they expire.
    fn on_failure(&self, identity: &str, error: &Error) {
        let _ = (identity, error);
    }

    /// [`Identities`](super::Identities) have added an identity, and are now this many.
    fn on_add(&self, identity: &str, count: usize) {
        let _ = (identity, count);
    }

    /// [`Identities`](super::Identities) have dropped an identity, and are now this many.
    fn on_drop(&self, identity: &str, reason: DropReason, count: usize) {
        let _ = (identity, reason, count);
    }
}

/// Reason why [`Identities`](super::Identities) have dropped an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// Another identity took its place: the capacity was reached, and this one was unused for the longest time.
    Evicted,
    /// It was unused for longer than the idle timeout.
    Idle,
    /// The caller removed it.
    Removed,
}

impl<T> Observer for Arc<T>
where
    T: Observer + ?Sized,
{
    fn on_refresh(&self, identity: &str, expiry: Option<SystemTime>) {
        (**self).on_refresh(identity, expiry);
    }

    fn on_failure(&self, identity: &str, error: &Error) {
        (**self).on_failure(identity, error);
    }

    fn on_add(&self, identity: &str, count: usize) {
        (**self).on_add(identity, count);
    }

    fn on_drop(&self, identity: &str, reason: DropReason, count: usize) {
        (**self).on_drop(identity, reason, count);
    }
}

impl Observer for () {}
