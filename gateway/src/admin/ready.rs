//! Readiness: checks that credentials are available and that the origins' names resolve.

use std::{sync::Arc, time::Duration};

use tokio::{
    net,
    sync::{Mutex, watch},
    task::JoinSet,
    time::{self, Instant},
};

use crate::{config::OriginHost, gateway::Gateway};

/// Time for which a report is reused, so that probes put little load on the resolver and the provider.
const REPORT_LIFETIME: Duration = Duration::from_secs(1);
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Readiness {
    pub(super) gateway: Arc<Gateway>,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) latest: Mutex<Option<(Instant, Arc<ReadinessReport>)>>,
}

#[derive(Default)]
pub(super) struct ReadinessReport {
    pub(super) credentials_error: Option<String>,
    /// `true` for each origin whose name resolves.
    pub(super) names: Vec<(OriginHost, bool)>,
}

impl ReadinessReport {
    /// Returns the reasons for which requests cannot be signed and sent.
    pub(super) fn reasons(&self) -> Vec<String> {
        let unresolved = self.names.iter().filter(|(_, resolves)| !resolves);
        let errors = unresolved.map(|(OriginHost { origin, host, .. }, _)| {
            format!("origin {origin:?}: the name {host:?} does not resolve")
        });
        self.credentials_error
            .iter()
            .cloned()
            .chain(errors)
            .collect()
    }
}

impl Readiness {
    /// Returns no reason if the gateway is ready.
    pub(super) async fn reasons(self: Arc<Self>) -> Vec<String> {
        if *self.stopping.borrow() {
            return vec!["the gateway is stopping".to_owned()];
        }
        match self.report().await {
            Some(report) => report.reasons(),
            None => vec!["the check failed".to_owned()],
        }
    }

    /// Returns `None` if the check itself failed.
    pub(super) async fn report(self: Arc<Self>) -> Option<Arc<ReadinessReport>> {
        // In a task, so that a cancelled probe leaves its result to the next one.
        tokio::spawn(self.check()).await.ok()
    }

    async fn check(self: Arc<Self>) -> Arc<ReadinessReport> {
        let mut latest = self.latest.lock().await;
        if let Some((checked, report)) = &*latest
            && checked.elapsed() < REPORT_LIFETIME
        {
            return report.clone();
        }
        let (credentials, names) = {
            let config = &self.gateway.current().config;
            let credentials = config.signs.then(|| config.credentials.clone());
            (credentials, config.origin_hosts.to_vec())
        };
        let mut lookups = JoinSet::new();
        for name in names {
            lookups.spawn(resolve(name));
        }
        let credentials_error = match &credentials {
            // The error's source may quote the provider, so only the log shows it.
            Some(provider) => provider.ready().await.err().map(|error| error.to_string()),
            None => None,
        };
        let mut resolved = lookups.join_all().await;
        resolved.sort_by(|(one, _), (other, _)| one.origin.cmp(&other.origin));
        let report = Arc::new(ReadinessReport {
            credentials_error,
            names: resolved,
        });
        *latest = Some((Instant::now(), report.clone()));
        report
    }
}

/// Returns the name with `true` if it resolves.
async fn resolve(name: OriginHost) -> (OriginHost, bool) {
    let lookup = net::lookup_host((&*name.host, name.port));
    let resolves = match time::timeout(RESOLVE_TIMEOUT, lookup).await {
        Ok(Ok(mut addresses)) => addresses.next().is_some(),
        _ => false,
    };
    (name, resolves)
}
