//! What the status page is told as it happens: `GET /events`.

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
    ready::{Found, Ready},
    sample::{Point, Totals},
};
use crate::{gateway::Gateway, response};

const TICK: Duration = Duration::from_secs(1);
/// How often names are resolved while someone looks.
const CHECK: Duration = Duration::from_secs(5);
/// How many seconds the plots show.
const POINTS: usize = 120;
/// How many pages may look at once.
const PLACES: usize = 16;

/// What is told, made once for all who look.
pub(super) struct Live {
    gateway: Arc<Gateway>,
    ready: Arc<Ready>,
    points: Mutex<VecDeque<Point>>,
    /// A snapshot each second, if anyone looks.
    status: watch::Sender<Arc<str>>,
    refused: watch::Sender<Arc<str>>,
    /// What was found last, if anyone looks.
    found: watch::Sender<Option<Arc<Found>>>,
    places: Arc<Semaphore>,
}

impl Live {
    /// Begins to count; to be called in a runtime.
    pub(super) fn start(gateway: Arc<Gateway>, ready: Arc<Ready>) -> Arc<Self> {
        let refused = gateway.metrics().refused().json().to_string().into();
        let live = Arc::new(Self {
            gateway,
            ready,
            points: Mutex::default(),
            status: watch::Sender::new("".into()),
            refused: watch::Sender::new(refused),
            found: watch::Sender::new(None),
            places: Arc::new(Semaphore::new(PLACES)),
        });
        tokio::spawn(live.clone().count());
        tokio::spawn(live.clone().check());
        live
    }

    fn is_watched(&self) -> bool {
        self.status.receiver_count() > 0
    }

    async fn count(self: Arc<Self>) {
        let metrics = self.gateway.metrics();
        let (mut before, mut since) = (Totals::of(metrics), Instant::now());
        let mut told = None;
        let mut ticks = time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await; // the first is at once
        loop {
            ticks.tick().await;
            let (totals, elapsed) = (Totals::of(metrics), since.elapsed());
            since = Instant::now();
            let point = totals.since(&before, milliseconds(SystemTime::now()), elapsed);
            if self.is_watched() {
                let status = self.snapshot(&point, &totals, &before, elapsed).to_string();
                self.status.send_replace(status.into());
            }
            let mut points = self.points.lock().unwrap_or_else(PoisonError::into_inner);
            points.truncate(POINTS - 1);
            points.push_front(point);
            drop(points);
            let version = Some(metrics.refused().version());
            if version != told {
                self.refused
                    .send_replace(metrics.refused().json().to_string().into());
                told = version;
            }
            before = totals;
        }
    }

    /// Resolvers and providers may take their time, and no snapshot waits for them.
    async fn check(self: Arc<Self>) {
        loop {
            let found = if self.is_watched() {
                self.ready.clone().found().await
            } else {
                None
            };
            let pause = if self.is_watched() && found.is_some() {
                CHECK
            } else {
                TICK
            };
            self.found.send_replace(found);
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
        let (now, metrics, found) = (
            self.gateway.current(),
            self.gateway.metrics(),
            self.found.borrow().clone(),
        );
        let (config, budget) = (&now.config, now.config.budget());
        let origins = config.origin_hosts().iter().map(|name| {
            let mut names = found.iter().flat_map(|found| &found.names);
            let resolves = names.find(|(known, _)| known.host == name.host);
            let last = metrics.last(&name.origin).read();
            json!({
                "name": name.origin,
                "host": name.host,
                "port": name.port,
                "resolves": resolves.map(|(_, resolves)| *resolves),
                "rate": totals.sent(&name.origin, before, elapsed),
                "last": last.map(|(second, what)| json!({
                    "at": second * 1000,
                    "status": what.ok(),
                    "error": what.err(),
                })),
            })
        });
        let missing = found
            .as_ref()
            .and_then(|found| found.credentials.as_deref());
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "stopping": *self.ready.stopping.borrow(),
            "reasons": found.as_ref().map(|found| found.reasons()),
            "point": point,
            "requests": totals.requests,
            "connections": metrics.connections().get(),
            "bodies": {
                "size": budget.total(),
                "used": budget.total().saturating_sub(budget.available()),
            },
            "cached": config.routes().iter().any(|route| route.cache.is_some()),
            "credentials": credentials(config.signs(), missing, config.credentials().expiry()),
            "origins": origins.collect::<Vec<_>>(),
        })
    }

    /// The seconds before, and then each as it passes. A page that reads slowly misses some.
    fn events(&self) -> impl Stream<Item = Event> + use<> {
        let points: Vec<_> = {
            let points = self.points.lock().unwrap_or_else(PoisonError::into_inner);
            points.iter().rev().cloned().collect()
        };
        let status = WatchStream::from_changes(self.status.subscribe());
        let refused = WatchStream::new(self.refused.subscribe());
        stream::once(
            Event::default()
                .event("history")
                .data(json!(points).to_string()),
        )
        .chain(
            status
                .map(|text| Event::default().event("status").data(text))
                .merge(refused.map(|text| Event::default().event("refused").data(text))),
        )
    }

    pub(super) fn answer(&self) -> Response {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            let message = "there are too many open pages that look at this gateway; close some";
            return response::message(StatusCode::SERVICE_UNAVAILABLE, message);
        };
        let events = self.events().map(move |event| {
            let _held = &place; // until the page is gone
            Ok::<_, Infallible>(event)
        });
        Sse::new(events).into_response()
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis() as u64
}

fn credentials(needed: bool, missing: Option<&str>, expiry: Option<SystemTime>) -> Value {
    let left = expiry.map(|at| at.duration_since(SystemTime::now()).unwrap_or_default());
    json!({ "needed": needed, "error": missing, "expires_in": left.map(|left| left.as_secs()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_count_down_to_nothing() {
        let now = SystemTime::now();
        let left = |expiry| credentials(true, None, expiry)["expires_in"].clone();
        let hour = left(Some(now + Duration::from_secs(3600)))
            .as_u64()
            .expect("a number");
        assert!((3500..=3600).contains(&hour), "{hour}");
        assert_eq!(left(Some(now - Duration::from_secs(1))), 0);
        assert_eq!(left(None), Value::Null);
    }
}
