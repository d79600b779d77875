//! Whether requests can be signed and sent.

use std::{sync::Arc, time::Duration};

use tokio::{
    net,
    sync::{Mutex, watch},
    task::JoinSet,
    time::{self, Instant},
};

use crate::{config::OriginHost, gateway::Gateway};

/// How long a finding holds, so that probes cost the resolver and the provider little.
const HOLDS: Duration = Duration::from_secs(1);
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Ready {
    pub(super) gateway: Arc<Gateway>,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) found: Mutex<Option<(Instant, Arc<Found>)>>,
}

/// What a check has found.
#[derive(Default)]
pub(super) struct Found {
    /// Why requests cannot be signed.
    pub(super) credentials: Option<String>,
    /// Of each origin whether its name resolves.
    pub(super) names: Vec<(OriginHost, bool)>,
}

impl Found {
    /// Why requests cannot be signed and sent; empty if they can.
    pub(super) fn reasons(&self) -> Vec<String> {
        let unresolved = self.names.iter().filter(|(_, resolves)| !resolves);
        let unresolved = unresolved.map(|(OriginHost { origin, host, .. }, _)| {
            format!("origin {origin:?}: the name {host:?} does not resolve")
        });
        self.credentials.iter().cloned().chain(unresolved).collect()
    }
}

impl Ready {
    /// Why not; empty if it is.
    pub(super) async fn reasons(self: Arc<Self>) -> Vec<String> {
        if *self.stopping.borrow() {
            return vec!["the gateway is stopping".to_owned()];
        }
        match self.found().await {
            Some(found) => found.reasons(),
            None => vec!["the check failed".to_owned()],
        }
    }

    /// `None` if the check itself failed.
    pub(super) async fn found(self: Arc<Self>) -> Option<Arc<Found>> {
        // A probe that gives up does not cancel the check, so that the next one finds its result.
        tokio::spawn(self.checked()).await.ok()
    }

    async fn checked(self: Arc<Self>) -> Arc<Found> {
        let mut found = self.found.lock().await;
        if let Some((_, found)) = found.as_ref().filter(|(since, _)| since.elapsed() < HOLDS) {
            return found.clone();
        }
        let (credentials, names) = {
            let config = &self.gateway.current().config;
            (
                config.signs().then(|| config.credentials()),
                config.origin_hosts().to_vec(),
            )
        };
        let mut lookups = JoinSet::new();
        for name in names {
            lookups.spawn(looked_up(name));
        }
        let credentials = match &credentials {
            // Its source may hold what a provider said, which is for the log alone.
            Some(credentials) => credentials
                .ready()
                .await
                .err()
                .map(|error| error.to_string()),
            None => None,
        };
        let mut names = lookups.join_all().await;
        names.sort_by(|(one, _), (other, _)| one.origin.cmp(&other.origin));
        let checked = Arc::new(Found { credentials, names });
        *found = Some((Instant::now(), checked.clone()));
        checked
    }
}

/// The name, and whether it resolves.
async fn looked_up(name: OriginHost) -> (OriginHost, bool) {
    let addresses = net::lookup_host((&*name.host, name.port));
    let found = time::timeout(RESOLVE_TIMEOUT, addresses).await;
    let resolves = found.is_ok_and(|found| found.is_ok_and(|mut found| found.next().is_some()));
    (name, resolves)
}
