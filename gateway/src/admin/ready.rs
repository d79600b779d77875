//! Readiness: checks that credentials are available and that the origins' names resolve.

use std::{sync::Arc, time::Duration};

use tokio::{
    net,
    sync::{Mutex, watch},
    task::JoinSet,
    time::{self, Instant},
};

use crate::{
    build::CallerVerification,
    config::OriginHost,
    gateway::Gateway,
    identity::{Identity, IdentityError},
};

/// Time for which a report is reused, so that probes put little load on the resolver and the provider.
const REPORT_LIFETIME: Duration = Duration::from_secs(1);
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);
/// Shorter than the timeout of most probes, which must not fail for one slow identity of several.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct Readiness {
    pub(super) gateway: Arc<Gateway>,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) latest: Mutex<Option<(Instant, Arc<ReadinessReport>)>>,
}

#[derive(Default)]
pub(super) struct ReadinessReport {
    /// Identities that requests are signed with, each with its error.
    pub(super) identities: Vec<(Arc<Identity>, Option<String>)>,
    /// `true` for each origin whose name resolves.
    pub(super) names: Vec<(OriginHost, bool)>,
    /// Reason for which no caller can be verified.
    no_callers: Option<String>,
}

impl ReadinessReport {
    /// Returns the reasons for which requests cannot be signed and sent. Identities count only if all are missing: else
    /// the routes of the others serve.
    pub(super) fn reasons(&self) -> Vec<String> {
        let unresolved = self.names.iter().filter(|(_, resolves)| !resolves);
        let errors = unresolved.map(|(OriginHost { origin, host, .. }, _)| {
            format!("origin {origin:?}: the name {host:?} does not resolve")
        });
        let missing = self.missing_identities().filter(|_| self.is_unsigned());
        let reasons = missing.map(str::to_owned).chain(errors);
        reasons.chain(self.no_callers.clone()).collect()
    }

    /// Returns the identities that are missing while others have credentials.
    pub(super) fn degraded(&self) -> Vec<String> {
        let missing = self.missing_identities().filter(|_| !self.is_unsigned());
        missing.map(str::to_owned).collect()
    }

    fn missing_identities(&self) -> impl Iterator<Item = &str> {
        self.identities
            .iter()
            .filter_map(|(_, error)| error.as_deref())
    }

    fn is_unsigned(&self) -> bool {
        self.identities.iter().all(|(_, error)| error.is_some())
    }
}

impl Readiness {
    /// Returns the reasons for which the gateway is not ready, and what does not work although it is.
    pub(super) async fn reasons(self: Arc<Self>) -> (Vec<String>, Vec<String>) {
        if *self.stopping.borrow() {
            return (vec!["the gateway is stopping".to_owned()], Vec::new());
        }
        match self.report().await {
            Some(report) => (report.reasons(), report.degraded()),
            None => (vec!["the check failed".to_owned()], Vec::new()),
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
        let (used_identities, names, verification) = {
            let config = &self.gateway.current().config;
            (
                config.used_identities.clone(),
                config.origin_hosts.to_vec(),
                config.verification.clone(),
            )
        };
        let issuers = tokio::spawn(check_issuers(verification));
        let mut lookups = JoinSet::new();
        for name in names {
            lookups.spawn(resolve(name));
        }
        let mut checks = JoinSet::new();
        for identity in used_identities {
            checks.spawn(check_identity(identity));
        }
        let mut identities = checks.join_all().await;
        identities.sort_by(|(one, _), (other, _)| one.name().cmp(other.name()));
        let mut resolved = lookups.join_all().await;
        resolved.sort_by(|(one, _), (other, _)| one.origin.cmp(&other.origin));
        let report = Arc::new(ReadinessReport {
            identities,
            names: resolved,
            no_callers: issuers.await.unwrap_or_default(),
        });
        *latest = Some((Instant::now(), report.clone()));
        report
    }
}

/// Fetches the keys of issuers that have none. Returns an error if no caller can be verified without them.
async fn check_issuers(verification: Option<CallerVerification>) -> Option<String> {
    let callers = verification?;
    let tokens = callers.tokens.as_ref()?;
    let fetched = time::timeout(CREDENTIALS_TIMEOUT, tokens.ready()).await;
    let has_keys = callers.issuers().iter().any(|status| status.keys > 0);
    let has_others = callers.signatures.is_some() || callers.principals.is_some();
    if matches!(fetched, Ok(Ok(()))) || has_keys || has_others {
        return None;
    }
    Some("no caller can be verified: the keys of no issuer could be fetched".to_owned())
}

/// Returns the identity with its error. Only the log shows the error's source, which may name accounts.
async fn check_identity(identity: Arc<Identity>) -> (Arc<Identity>, Option<String>) {
    if identity.needs_token() {
        return (identity, None); // known once a user calls
    }
    let ready = identity.credentials().ready();
    let message = match time::timeout(CREDENTIALS_TIMEOUT, ready).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(match IdentityError::find(&error) {
            Some(known) => known.to_string(),
            None => error.to_string(),
        }),
        Err(_) => Some(format!(
            "identity {:?} has no credentials: its source has not responded for {CREDENTIALS_TIMEOUT:?}",
            identity.name()
        )),
    };
    (identity, message)
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
