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
    metrics::{
        Metrics,
        sample::{Point, Totals},
    },
};

const INTERVAL: Duration = Duration::from_secs(5);
/// Minimum interval of rates.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
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

/// State of the last announcement.
struct Announcer {
    started: Instant,
    figures: Figures,
    /// The configuration of `fingerprint`.
    current: Weak<Current>,
    fingerprint: String,
}

impl Announcer {
    fn new(gateway: &Gateway) -> Self {
        Self {
            started: Instant::now(),
            figures: Figures::new(gateway.metrics()),
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
        let metrics = gateway.metrics();
        self.figures.update(metrics); // also without Redis: a reload may configure it
        let current = gateway.current();
        let store = current.config.used_redis()?.clone();
        if !Weak::ptr_eq(&self.current, &Arc::downgrade(&current)) {
            self.current = Arc::downgrade(&current);
            self.fingerprint = current.config.fingerprint();
        }
        let point = &self.figures.point;
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

/// Figures of the last interval.
struct Figures {
    /// Totals at its end.
    end: Totals,
    point: Point,
}

impl Figures {
    fn new(metrics: &Metrics) -> Self {
        let end = Totals::read(metrics);
        Self {
            point: end.point_since(&end, 0),
            end,
        }
    }

    /// Ends the interval, unless it is too short for rates, as when the gateway starts or stops.
    fn update(&mut self, metrics: &Metrics) {
        let totals = Totals::read(metrics);
        if totals.elapsed_since(&self.end) >= MIN_INTERVAL {
            self.point = totals.point_since(&self.end, 0);
            self.end = totals;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::ActiveConfig;

    #[tokio::test(start_paused = true)]
    async fn figures_are_those_of_the_last_interval() {
        let address = "127.0.0.1:1".parse().expect("an address");
        let config = ActiveConfig::parse(&crate::demo::config(address)).expect("valid");
        let gateway = Gateway::new(config).expect("a gateway");
        let mut announcer = Announcer::new(&gateway);
        let durations = &gateway.metrics().durations;
        let route = durations.with_label_values(&["/", "a"]);
        for (requests, elapsed, rate) in [
            (9, Duration::ZERO, 0.0),
            (1, INTERVAL, 2.0),
            (1, Duration::from_millis(1), 2.0),
            (4, INTERVAL, 1.0),
            (0, INTERVAL, 0.0),
        ] {
            (0..requests).for_each(|_| route.observe(0.01));
            time::advance(elapsed).await;
            assert!(announcer.describe(&gateway, false).is_none(), "no Redis");
            let point = &announcer.figures.point;
            assert_eq!(point.requests_per_second(), rate, "{requests}");
        }
    }
}
