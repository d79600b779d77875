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
use serde_json::json;
use tokio::{
    sync::{Semaphore, watch},
    time::{self, MissedTickBehavior},
};
use tokio_stream::{self as stream, Stream, StreamExt, wrappers::WatchStream};

use super::{
    ready::{Readiness, ReadinessReport},
    status,
};
use crate::{
    gateway::Gateway,
    metrics::{
        route_sample::RouteWindow,
        sample::{Point, Totals},
    },
    response,
};

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
        let mut routes = RouteWindow::default();
        let mut sent_version = None;
        let mut ticks = time::interval(SAMPLE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await; // the first tick is immediate
        loop {
            ticks.tick().await;
            let totals = Totals::read(metrics);
            let point = totals.point_since(&before, unix_millis(SystemTime::now()));
            if self.is_watched() {
                let interval = status::Interval {
                    point: &point,
                    totals: &totals,
                    before: &before,
                };
                let report = self.report.borrow().clone();
                let snapshot = status::snapshot(
                    &self.gateway,
                    &interval,
                    &mut routes,
                    report.as_deref(),
                    *self.readiness.stopping.borrow(),
                );
                self.snapshots.send_replace(snapshot.to_string().into());
            } else {
                routes = RouteWindow::default();
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
