//! Live data of the status page: `GET /events`, as server-sent events.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::response::{
    IntoResponse, Response,
    sse::{Event, Sse},
};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::{
    sync::{Semaphore, watch},
    time::{self, Instant, MissedTickBehavior},
};
use tokio_stream::{self as stream, Stream, StreamExt, wrappers::WatchStream};

use super::{
    ready::{Readiness, ReadinessReport},
    sample::{Point, Totals},
};
use crate::{gateway::Gateway, identity::Identity, response};

const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// Interval at which names are resolved while a page is open.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Seconds shown by the plots.
const MAX_POINTS: usize = 120;
const MAX_PAGES: usize = 16;

/// Data produced once and shared by all open pages.
pub(super) struct LiveStatus {
    gateway: Arc<Gateway>,
    readiness: Arc<Readiness>,
    points: Mutex<VecDeque<Point>>,
    /// One snapshot each second while a page is open.
    snapshots: watch::Sender<Arc<str>>,
    rejections: watch::Sender<Arc<str>>,
    /// Latest check while a page is open.
    report: watch::Sender<Option<Arc<ReadinessReport>>>,
    pages: Arc<Semaphore>,
}

impl LiveStatus {
    /// Starts sampling. Panics outside of a Tokio runtime.
    pub(super) fn start(gateway: Arc<Gateway>, readiness: Arc<Readiness>) -> Arc<Self> {
        let rejections = gateway.metrics().recent_rejections().to_json().to_string();
        let live = Arc::new(Self {
            gateway,
            readiness,
            points: Mutex::default(),
            snapshots: watch::Sender::new("".into()),
            rejections: watch::Sender::new(rejections.into()),
            report: watch::Sender::new(None),
            pages: Arc::new(Semaphore::new(MAX_PAGES)),
        });
        tokio::spawn(live.clone().sample());
        tokio::spawn(live.clone().check());
        live
    }

    fn is_watched(&self) -> bool {
        self.snapshots.receiver_count() > 0
    }

    async fn sample(self: Arc<Self>) {
        let metrics = self.gateway.metrics();
        let rejections = metrics.recent_rejections();
        let mut before = Totals::read(metrics);
        let mut sampled = Instant::now();
        let mut sent_version = None;
        let mut ticks = time::interval(SAMPLE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await; // the first tick is immediate
        loop {
            ticks.tick().await;
            let totals = Totals::read(metrics);
            let elapsed = sampled.elapsed();
            sampled = Instant::now();
            let point = totals.point_since(&before, unix_millis(SystemTime::now()), elapsed);
            if self.is_watched() {
                let snapshot = self.snapshot(&point, &totals, &before, elapsed);
                self.snapshots.send_replace(snapshot.to_string().into());
            }
            let mut points = self.points.lock().unwrap_or_else(PoisonError::into_inner);
            points.truncate(MAX_POINTS - 1);
            points.push_front(point);
            drop(points);
            let version = Some(rejections.version());
            if version != sent_version {
                self.rejections
                    .send_replace(rejections.to_json().to_string().into());
                sent_version = version;
            }
            before = totals;
        }
    }

    /// Runs apart from [`sample`](Self::sample), because resolvers and credential providers may be slow.
    async fn check(self: Arc<Self>) {
        loop {
            let report = if self.is_watched() {
                self.readiness.clone().report().await
            } else {
                None
            };
            let pause = if report.is_some() && self.is_watched() {
                CHECK_INTERVAL
            } else {
                SAMPLE_INTERVAL
            };
            self.report.send_replace(report);
            time::sleep(pause).await;
        }
    }

    fn snapshot(
        &self,
        point: &Point,
        totals: &Totals,
        before: &Totals,
        elapsed: Duration,
    ) -> Value {
        let now = self.gateway.current();
        let config = &now.config;
        let budget = &config.budget;
        let metrics = self.gateway.metrics();
        let latest = self.report.borrow().clone();
        let origins = config.origin_hosts.iter().map(|name| {
            let mut checked = latest.iter().flat_map(|report| &report.names);
            let resolves = checked
                .find_map(|(known, resolves)| (known.host == name.host).then_some(*resolves));
            let last_response = metrics.last_response(&name.origin).get();
            json!({
                "name": name.origin,
                "host": name.host,
                "port": name.port,
                "resolves": resolves,
                "rate": totals.origin_rate(&name.origin, before, elapsed),
                "last_response": last_response.map(|(second, result)| json!({
                    "at": second * 1000,
                    "status": result.ok(),
                    "error": result.err(),
                })),
            })
        });
        let mut degraded = config.degraded();
        degraded.extend(latest.iter().flat_map(|report| report.degraded()));
        let identities = config.used_identities.iter().map(|identity| {
            let mut checked = latest.iter().flat_map(|report| &report.identities);
            let result = checked.find(|(known, _)| known.name() == identity.name());
            to_json(identity, result.and_then(|(_, error)| error.as_deref()))
        });
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "stopping": *self.readiness.stopping.borrow(),
            "reasons": latest.as_ref().map(|report| report.reasons()),
            "point": point,
            "requests": totals.requests,
            "connections": metrics.connections().get(),
            "bodies": {
                "size": budget.total(),
                "used": budget.total().saturating_sub(budget.available()),
            },
            "degraded": degraded,
            "has_cache": config.used_cache().is_some(),
            "identities": identities.collect::<Vec<_>>(),
            "origins": origins.collect::<Vec<_>>(),
        })
    }

    /// Sends the recorded points, then each new snapshot. A slow page misses some.
    fn events(&self) -> impl Stream<Item = Event> + use<> {
        let points: Vec<_> = {
            let points = self.points.lock().unwrap_or_else(PoisonError::into_inner);
            points.iter().rev().cloned().collect()
        };
        let event = |name, data: &str| Event::default().event(name).data(data);
        let history = stream::once(event("history", &json!(points).to_string()));
        let snapshots = WatchStream::from_changes(self.snapshots.subscribe());
        let rejections = WatchStream::new(self.rejections.subscribe());
        history.chain(
            snapshots
                .map(move |data| event("status", &data))
                .merge(rejections.map(move |data| event("rejections", &data))),
        )
    }

    pub(super) fn respond(&self) -> Response {
        let Ok(permit) = self.pages.clone().try_acquire_owned() else {
            let message = "too many open status pages; close some";
            return response::message(StatusCode::SERVICE_UNAVAILABLE, message);
        };
        let events = self.events().map(move |event| {
            let _held = &permit; // released when the page disconnects
            Ok::<_, Infallible>(event)
        });
        Sse::new(events).into_response()
    }
}

fn unix_millis(time: SystemTime) -> u64 {
    let elapsed = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    elapsed.as_millis() as u64
}

fn to_json(identity: &Identity, error: Option<&str>) -> Value {
    let (succeeded, failed) = identity.calls();
    json!({
        "name": identity.name(),
        "source": identity.settings().source_name(),
        "error": error,
        "expires_in": identity.credentials().expiry().map(seconds_until),
        "sessions": identity.session_count(),
        "calls": { "succeeded": succeeded, "failed": failed },
    })
}

/// Returns 0 for a time in the past.
fn seconds_until(time: SystemTime) -> u64 {
    let left = time.duration_since(SystemTime::now());
    left.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expired_credentials_have_zero_seconds_left() {
        let now = SystemTime::now();
        let hour = seconds_until(now + Duration::from_secs(3600));
        assert!((3500..=3600).contains(&hour), "{hour}");
        assert_eq!(seconds_until(now - Duration::from_secs(1)), 0);
    }
}
