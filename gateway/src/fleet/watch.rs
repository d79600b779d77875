//! Announces this gateway to the others that share its Redis.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use http_cache_layer::RedisStore;
use tokio::{
    sync::watch,
    time::{self, Instant},
};

use super::{Member, Members};
use crate::{
    gateway::{Current, Gateway},
    metrics::sample::Totals,
};

const INTERVAL: Duration = Duration::from_secs(5);
/// Time after which a gateway that has ended is not shown any more.
const LIFETIME: Duration = Duration::from_secs(15);

/// Announces the gateway until the process ends, if its configuration uses Redis.
pub(crate) async fn watch(gateway: Arc<Gateway>, mut stopping: watch::Receiver<bool>) {
    let mut announcer = Announcer::new(&gateway);
    loop {
        let is_stopping = *stopping.borrow();
        let members = announcer.announce(&gateway, is_stopping).await;
        gateway.fleet().set(members);
        tokio::select! {
            () = time::sleep(INTERVAL) => {}
            Ok(()) = stopping.changed() => {}
        }
    }
}

/// Figures of the last announcement.
struct Announcer {
    started: Instant,
    before: Totals,
    /// The configuration of `fingerprint`.
    current: Weak<Current>,
    fingerprint: String,
}

impl Announcer {
    fn new(gateway: &Gateway) -> Self {
        Self {
            started: Instant::now(),
            before: Totals::read(gateway.metrics()),
            current: Weak::new(),
            fingerprint: String::new(),
        }
    }

    /// Returns all gateways, or `None` without Redis or its response.
    async fn announce(&mut self, gateway: &Gateway, stopping: bool) -> Option<Members> {
        let (store, member) = self.describe(gateway, stopping)?;
        let description = serde_json::to_string(&member).ok()?;
        let id = gateway.fleet().id();
        let all = store.announce(id, &description, LIFETIME).await?;
        let mut members: Members = all
            .into_iter()
            .filter_map(|(known, text)| Some((known, Member::parse(&text)?)))
            .collect();
        members.sort_by(|one, other| (&one.1.host, &one.0).cmp(&(&other.1.host, &other.0)));
        Some(members)
    }

    /// Returns the Redis in use, and the description of this gateway.
    fn describe(&mut self, gateway: &Gateway, stopping: bool) -> Option<(RedisStore, Member)> {
        let current = gateway.current();
        let store = current.config.used_redis()?.clone();
        if !Weak::ptr_eq(&self.current, &Arc::downgrade(&current)) {
            self.current = Arc::downgrade(&current);
            self.fingerprint = current.config.fingerprint();
        }
        let metrics = gateway.metrics();
        let totals = Totals::read(metrics);
        let point = totals.point_since(&self.before, 0);
        self.before = totals;
        let member = Member {
            host: host_name(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config: self.fingerprint.clone(),
            uptime: self.started.elapsed().as_secs(),
            stopping,
            degraded: current.config.degraded().len() as u64,
            requests_per_second: point.requests_per_second(),
            failed_per_second: point.failed_per_second(),
            p99: point.p99(),
            in_flight: metrics.in_flight().get(),
            connections: metrics.connections().get(),
        };
        Some((store, member))
    }
}

#[cfg(unix)]
fn host_name() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}
