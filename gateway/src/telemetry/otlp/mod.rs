//! Sends spans and metrics to a collector, from a task of its own.

mod metrics;
mod spans;
mod transport;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry_proto::tonic::collector::{
    metrics::v1::ExportMetricsServiceResponse, trace::v1::ExportTraceServiceResponse,
};
use prometheus::proto::MetricFamily;
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{self, Instant, MissedTickBehavior},
};

use self::transport::{ExportError, METRICS, TRACES, Transport};
use super::{Tracer, span::FinishedSpan};
use crate::{BoxError, config};

/// Longest wait of a span for others.
const BATCH_DELAY: Duration = Duration::from_secs(1);
/// First pause after a failure; it doubles.
const MIN_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(30);
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// The task that exports.
pub(crate) struct Exporter {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Reads all metrics.
type Families = Box<dyn Fn() -> prometheus::Result<Vec<MetricFamily>> + Send + Sync>;

/// Starts the export, once.
pub(crate) fn start(
    tracer: &Arc<Tracer>,
    families: impl Fn() -> prometheus::Result<Vec<MetricFamily>> + Send + Sync + 'static,
) -> Result<Option<Exporter>, BoxError> {
    if !tracer.start() {
        return Ok(None);
    }
    let export = Export {
        transport: Transport::new(tracer.settings())?,
        families: Box::new(families),
        tracer: tracer.clone(),
        started: SystemTime::now(),
        batch: Vec::new(),
        due: Instant::now() + BATCH_DELAY,
        pause: MIN_PAUSE,
        logged: None,
    };
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(export.until(stopped));
    Ok(Some(Exporter { stop, task }))
}

impl Exporter {
    /// Sends the queued spans and the last metrics, for at most this time.
    pub(crate) async fn flush(self, limit: Duration) {
        let _ = self.stop.send(()); // fails if the task has ended
        if time::timeout(limit, self.task).await.is_err() {
            tracing::warn!("telemetry was not exported within {limit:?}");
        }
    }
}

struct Export {
    transport: Transport,
    families: Families,
    tracer: Arc<Tracer>,
    started: SystemTime,
    /// Spans that are sent next.
    batch: Vec<FinishedSpan>,
    /// Time to send the batch, even if it is not complete.
    due: Instant,
    pause: Duration,
    logged: Option<Instant>,
}

impl Export {
    async fn until(mut self, stopped: oneshot::Receiver<()>) {
        self.run(stopped).await;
        self.finish().await;
    }

    /// Exports until the end. It does not interrupt an export, since the collector would receive the spans twice.
    async fn run(&mut self, mut stopped: oneshot::Receiver<()>) {
        let interval = self.tracer.settings().metrics_interval;
        let mut ticks = time::interval_at(Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let has_failed = self.pause > MIN_PAUSE;
            tokio::select! {
                _ = &mut stopped => return,
                _ = ticks.tick() => {
                    self.send_metrics().await;
                    continue;
                }
                () = time::sleep_until(self.due) => {}
                () = self.tracer.queue.batch_completed(), if !has_failed => {}
            }
            self.send_batch().await;
        }
    }

    /// Sends what is left, without a second attempt.
    async fn finish(&mut self) {
        while self.send_batch().await {}
        let lost = self.batch.len() + self.tracer.queue.len();
        self.tracer.dropped.inc_by(lost as u64);
        let dropped = self.tracer.dropped.get();
        if dropped > 0 {
            tracing::warn!("{dropped} spans of this process were not exported");
        }
        self.send_metrics().await;
    }

    /// Sends the next spans, and keeps them for another attempt if the collector may accept them later. Returns `false`
    /// if no spans are left or if they are kept.
    async fn send_batch(&mut self) -> bool {
        self.due = Instant::now() + BATCH_DELAY;
        if self.batch.is_empty() {
            self.batch = self.tracer.queue.take_batch();
        }
        if self.batch.is_empty() {
            return false;
        }
        let request = spans::request(&self.tracer.settings().resource, &self.batch);
        match self.transport.send(&TRACES, request).await {
            Ok(response) => {
                self.check_rejected(&response);
                self.pause = MIN_PAUSE;
            }
            Err(error) if error.is_temporary => {
                self.log(&error);
                self.due = Instant::now() + self.pause;
                self.pause = (self.pause * 2).min(MAX_PAUSE);
                return false;
            }
            Err(error) => {
                self.tracer.dropped.inc_by(self.batch.len() as u64);
                self.log(&error);
            }
        }
        self.batch.clear();
        true
    }

    fn check_rejected(&mut self, response: &ExportTraceServiceResponse) {
        let Some(partial) = &response.partial_success else {
            return;
        };
        if let Ok(count @ 1..) = u64::try_from(partial.rejected_spans) {
            self.tracer.dropped.inc_by(count);
            self.log(&ExportError::permanent(format!(
                "{count} spans rejected: {}",
                partial.error_message
            )));
        }
    }

    async fn send_metrics(&mut self) {
        let sent = match (self.families)() {
            Ok(families) => {
                let resource = &self.tracer.settings().resource;
                let request = metrics::request(resource, self.started, &families);
                let sent = self.transport.send(&METRICS, request).await;
                sent.map(|_: ExportMetricsServiceResponse| ())
            }
            Err(error) => Err(ExportError::permanent(error.to_string())),
        };
        if let Err(error) = sent {
            self.log(&error);
        }
    }

    /// Logs at most one failure a minute.
    fn log(&mut self, error: &ExportError) {
        let now = Instant::now();
        if self.logged.is_some_and(|last| now - last < LOG_PAUSE) {
            return;
        }
        self.logged = Some(now);
        let config::Telemetry {
            endpoint, protocol, ..
        } = self.tracer.settings();
        let dropped = self.tracer.dropped.get();
        tracing::warn!(
            "cannot export telemetry to {endpoint} by {protocol}: {error}; {dropped} spans dropped"
        );
    }
}
