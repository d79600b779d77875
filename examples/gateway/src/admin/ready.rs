//! Whether requests can be signed and sent.

use std::{sync::Arc, time::Duration};

use tokio::{
    net,
    sync::{Mutex, watch},
    task::JoinSet,
    time::{self, Instant},
};

use crate::gateway::Gateway;

/// How long a finding holds, so that probes cost the resolver and the provider little.
const HOLDS: Duration = Duration::from_secs(1);
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

/// A name that requests are sent to.
#[derive(Clone)]
pub(crate) struct Named {
    pub(crate) origin: String,
    pub(crate) host: String,
    pub(crate) port: u16,
}

pub(super) struct Ready {
    pub(super) gateway: Arc<Gateway>,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) found: Mutex<Option<(Instant, Vec<String>)>>,
}

impl Ready {
    /// Why not; empty if it is.
    pub(super) async fn reasons(self: Arc<Self>) -> Vec<String> {
        if *self.stopping.borrow() {
            return vec!["the gateway is stopping".to_owned()];
        }
        // A probe that gives up before the provider answers would take its question with it.
        let checked = tokio::spawn(self.checked()).await;
        checked.unwrap_or_else(|_| vec!["the check failed".to_owned()])
    }

    async fn checked(self: Arc<Self>) -> Vec<String> {
        let mut found = self.found.lock().await;
        if let Some((_, reasons)) = found.as_ref().filter(|(since, _)| since.elapsed() < HOLDS) {
            return reasons.clone();
        }
        let (credentials, names) = {
            let config = &self.gateway.now().config;
            (config.signs().then(|| config.credentials()), config.names().to_vec())
        };
        let mut lookups = JoinSet::new();
        for name in names {
            lookups.spawn(unresolved(name));
        }
        let mut reasons = Vec::new();
        if let Some(credentials) = &credentials {
            // Its source may hold what a provider said, which is for the log alone.
            reasons.extend(credentials.ready().await.err().map(|error| error.to_string()));
        }
        reasons.extend(lookups.join_all().await.into_iter().flatten());
        *found = Some((Instant::now(), reasons.clone()));
        reasons
    }
}

/// What is told of a name that does not resolve.
async fn unresolved(name: Named) -> Option<String> {
    let Named { origin, host, port } = name;
    let addresses = time::timeout(RESOLVE_TIMEOUT, net::lookup_host((&*host, port))).await;
    let resolves = addresses.is_ok_and(|found| found.is_ok_and(|mut found| found.next().is_some()));
    (!resolves).then(|| format!("origin {origin:?}: the name {host:?} does not resolve"))
}
