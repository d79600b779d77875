//! Keys of callers: those of the configuration, and those of an HTTP endpoint.

mod endpoint;

use std::{collections::HashSet, sync::Arc};

use arc_swap::ArcSwapOption;
use aws_credential_types::Credentials;
use tower_sigv4::verify::{KeyRequest, KeyStore, LookupFuture, StaticKeys};

pub(crate) use self::endpoint::KeysEndpoint;

/// Looks up the keys of callers. Those of the configuration come first.
#[derive(Clone)]
pub(crate) struct CallerKeys {
    configured: Arc<StaticKeys>,
    configured_ids: Arc<HashSet<String>>,
    /// Replaced before the first request, if a reload keeps the last one.
    endpoint: Arc<ArcSwapOption<KeysEndpoint>>,
}

impl CallerKeys {
    /// Creates a store of these keys.
    ///
    /// # Errors
    ///
    /// A key that cannot sign requests, or two keys with one ID.
    pub(crate) fn new(
        keys: Vec<Credentials>,
        endpoint: Option<KeysEndpoint>,
    ) -> Result<Self, tower_sigv4::Error> {
        let ids = keys.iter().map(|key| key.access_key_id().to_owned());
        Ok(Self {
            configured_ids: Arc::new(ids.collect()),
            configured: Arc::new(StaticKeys::new(keys)?),
            endpoint: Arc::new(ArcSwapOption::new(endpoint.map(Arc::new))),
        })
    }

    /// Returns the endpoint, if there is one.
    pub(crate) fn endpoint(&self) -> Option<Arc<KeysEndpoint>> {
        self.endpoint.load_full()
    }

    /// Uses the endpoint of others, with its cached keys, if it has the same settings. It gets our `authorization`.
    pub(crate) fn continue_endpoint(&self, others: &Self) {
        let last = others.endpoint();
        let new = self.endpoint.load();
        if let (Some(ours), Some(theirs)) = (&*new, &last)
            && ours.has_settings_of(theirs)
        {
            theirs.set_authorization_of(ours);
            self.endpoint.store(last);
        }
    }
}

impl KeyStore for CallerKeys {
    fn lookup(&self, request: &KeyRequest<'_>) -> LookupFuture {
        let endpoint = self.endpoint.load();
        match &*endpoint {
            Some(others) if !self.configured_ids.contains(request.access_key_id()) => {
                others.lookup(request)
            }
            _ => self.configured.lookup(request),
        }
    }
}
