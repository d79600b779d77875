//! Calls of a provider: one at a time, each in a task of its own.

use std::{
    sync::{Arc, atomic::Ordering},
    time::SystemTime,
};

use tokio::{runtime, sync::watch, time};

use super::{
    cache::{CacheState, CredentialsCache},
    cached_credentials::CachedCredentials,
    pending_load::{Load, LoadResult, PendingLoad, timed_out},
};
use crate::error::{Error, ErrorKind};

impl CredentialsCache {
    /// Returns the time by the clock of this handle.
    pub(crate) fn now(&self) -> SystemTime {
        self.settings.clock.now()
    }

    /// Returns the number of the cache, which its clones share.
    pub(crate) fn serial(&self) -> u64 {
        self.state.serial
    }

    /// Returns cached credentials if they are valid, and starts a refresh if it is due.
    pub(crate) fn current(&self, now: SystemTime) -> Option<Arc<CachedCredentials>> {
        let credentials = self.cached(|cached| cached.is_valid(now))?;
        if credentials.is_stale(now) {
            // Fails without a runtime; the credentials are valid.
            drop(self.start(|cached, time| cached.is_valid(time) && !cached.is_stale(time)));
        }
        Some(credentials)
    }

    pub(super) async fn current_or_load(&self) -> LoadResult {
        match self.current(self.now()) {
            Some(credentials) => Ok(credentials),
            None => self.clone().load().await,
        }
    }

    /// Returns valid credentials, from the provider if none are cached.
    pub(crate) async fn load(self) -> LoadResult {
        self.start(CachedCredentials::is_valid)?.result().await
    }

    /// Starts to replace credentials that an origin rejects as expired. They stay in use until there are others.
    ///
    /// Returns the cached credentials if they are others already. Also returns them if the provider returned them or
    /// failed to replace them recently, since another call would have the same result.
    pub(crate) fn start_replacement(&self, used: &CachedCredentials) -> Result<Load, Error> {
        let used_serial = used.serial();
        let is_enough = move |cached: &CachedCredentials, now| {
            (cached.serial() != used_serial && cached.is_valid(now)) || cached.is_recent(now)
        };
        let now = self.now();
        match self.cached(|cached| is_enough(cached, now)) {
            Some(credentials) => Ok(Load::Cached(credentials)),
            None => self.start(is_enough),
        }
    }

    /// Waits for credentials other than these, which an origin rejects as expired. Returns the ones in use if the
    /// provider has no others.
    pub(crate) async fn load_replacement(self, used: Arc<CachedCredentials>) -> LoadResult {
        let replacement = match self.start_replacement(&used) {
            Ok(load) => load.result().await,
            Err(error) => Err(error),
        };
        replacement.or_else(|error| self.current(self.now()).ok_or(error))
    }

    /// Returns the cached credentials if they were not invalidated and `is_enough` accepts them.
    pub(super) fn cached(
        &self,
        is_enough: impl FnOnce(&CachedCredentials) -> bool,
    ) -> Option<Arc<CachedCredentials>> {
        let current = self.state.current.load();
        let invalidations = self.state.invalidations.load(Ordering::SeqCst);
        current
            .as_ref()
            .filter(|cached| cached.invalidations == invalidations && is_enough(cached))
            .cloned()
    }

    /// Joins the pending load, or starts one, which calls the provider unless `is_enough` accepts the cached
    /// credentials by then.
    fn start(
        &self,
        is_enough: impl Fn(&CachedCredentials, SystemTime) -> bool + Send + 'static,
    ) -> Result<Load, Error> {
        let runtime = runtime::Handle::try_current().map_err(|source| {
            let message = "credentials are loaded in a tokio runtime; run this in one";
            Error::new(ErrorKind::Credentials, message).with_source(source)
        })?;
        // A load may have to wait for the previous one.
        let limit = self.settings.load_timeout.saturating_mul(3);
        loop {
            let invalidations = self.state.invalidations.load(Ordering::SeqCst);
            let latest = self.state.pending.load_full();
            let previous = latest.clone().filter(|load| !load.has_ended());
            if let Some(load) = &previous
                && load.invalidations == invalidations
            {
                return Ok(Load::Pending(load.clone(), limit));
            }
            let (sender, load) = PendingLoad::new(invalidations, self.shared_name());
            let replaced = self
                .state
                .pending
                .compare_and_swap(&latest, Some(load.clone()));
            if replaced.as_ref().map(Arc::as_ptr) != latest.as_ref().map(Arc::as_ptr) {
                continue; // another request started a load
            }
            let guard = PendingLoadGuard {
                state: self.state.clone(),
                load: load.clone(),
            };
            runtime.spawn(self.clone().run(guard, sender, previous, is_enough));
            return Ok(Load::Pending(load, limit));
        }
    }

    /// Calls the provider unless `is_enough` accepts the result of the previous load, and sends the result.
    async fn run(
        self,
        guard: PendingLoadGuard,
        sender: watch::Sender<Option<LoadResult>>,
        previous: Option<Arc<PendingLoad>>,
        is_enough: impl Fn(&CachedCredentials, SystemTime) -> bool,
    ) {
        if let Some(load) = previous {
            drop(
                load.result(self.settings.load_timeout.saturating_mul(2))
                    .await,
            );
        }
        let now = self.now();
        let result = match self.cached(|cached| is_enough(cached, now)) {
            Some(credentials) => Ok(credentials),
            None => self.call_and_cache().await,
        };
        drop(guard); // from here on requests find the result in `current`
        sender.send_replace(Some(result));
    }

    async fn call_and_cache(&self) -> LoadResult {
        // Read again, since the provider returns what is valid now.
        let invalidations = self.state.invalidations.load(Ordering::SeqCst);
        let result = self
            .call(invalidations)
            .await
            .map_err(|error| error.with_identity(self.name()));
        match &result {
            Ok(credentials) => self.state.current.store(Some(credentials.clone())),
            Err(error) => self.postpone(error),
        }
        if let Some(observer) = &self.settings.observer {
            let name = self.name().unwrap_or_default();
            match &result {
                Ok(credentials) => observer.on_refresh(name, credentials.expires_at),
                Err(error) => observer.on_failure(name, error),
            }
        }
        result
    }

    async fn call(&self, invalidations: u64) -> LoadResult {
        let provider = &self.state.provider;
        let timeout = self.settings.load_timeout;
        let loaded = time::timeout(timeout, provider.provide_credentials()).await;
        let credentials = match loaded {
            Ok(Ok(credentials)) => credentials,
            Ok(Err(error)) => {
                let message = "the credentials provider failed, so the request was not signed";
                return Err(Error::new(ErrorKind::Credentials, message).with_source(error));
            }
            Err(elapsed) => provider
                .fallback_on_interrupt()
                .ok_or_else(|| timed_out(timeout, elapsed))?,
        };
        let now = self.now();
        let previous = self.state.current.load_full();
        let window = self.settings.refresh_window;
        let numbers = (self.serial(), invalidations);
        CachedCredentials::new(credentials, now, window, numbers, previous.as_deref()).map(Arc::new)
    }

    /// Postpones the next refresh while the cached credentials are valid.
    fn postpone(&self, _error: &Error) {
        let now = self.now();
        let current = self.cached(|cached| cached.is_valid(now));
        if let Some(credentials) = &current {
            #[cfg(feature = "tracing")]
            tracing::warn!(identity = self.name(), error = %_error, "credentials were not refreshed, the old ones stay in use");
            let postponed = Some(Arc::new(credentials.postponed(now)));
            // Has no effect if they were invalidated meanwhile.
            self.state.current.compare_and_swap(&current, postponed);
        }
    }
}

/// Removes a pending load from the cache when it ends or panics.
struct PendingLoadGuard {
    state: Arc<CacheState>,
    load: Arc<PendingLoad>,
}

impl Drop for PendingLoadGuard {
    fn drop(&mut self) {
        self.state
            .pending
            .compare_and_swap(&Some(self.load.clone()), None);
    }
}
