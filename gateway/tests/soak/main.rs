//! Minutes of overload, while configuration and keys change: no response is wrong, memory does not grow, and shutdown
//! loses no request. `scripts/soak` runs it.
#![cfg(target_os = "linux")]

mod clients;
mod gateway;
mod origin;
mod report;
mod samples;
#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::BTreeMap,
    env, fmt, mem,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use clients::{Correct, Failed, Plan, ROUTES, Response};
use gateway::SoakGateway;
use http::Version;
use origin::Origin;
use report::Report;
use samples::Sample;
use tokio::{task::JoinSet, time};

/// Concurrent requests that each route admits.
const CONCURRENCY: usize = 3;
/// Clients for each admitted request.
const OVERLOAD: usize = 10;
const STREAMS: usize = 8;
const SAMPLE_INTERVAL: Duration = Duration::from_millis(500);
const RELOAD_INTERVAL: Duration = Duration::from_secs(4);
const DRAIN: Duration = Duration::from_secs(5);

/// State shared by all clients.
struct Soak {
    address: SocketAddr,
    origin: Arc<Origin>,
    numbers: AtomicU64,
    /// Generation of the callers' keys.
    caller_generation: AtomicU32,
    ended: AtomicBool,
    stopping: AtomicBool,
    counts: Mutex<Counts>,
    aborted: AtomicUsize,
}

#[derive(Default)]
struct Counts {
    /// Correct responses by method and route.
    correct: BTreeMap<(String, &'static str), usize>,
    by_version: BTreeMap<String, usize>,
    bytes: usize,
    cached: usize,
    shed: usize,
    timed_out: usize,
    not_accepted: usize,
    lost: usize,
    wrong: BTreeMap<String, usize>,
}

impl Soak {
    fn is_running(&self) -> bool {
        !self.ended.load(Ordering::SeqCst)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().expect("not poisoned")
    }

    /// Counts the result of a request. Returns `true` if the gateway shed it.
    fn count(&self, plan: &Plan, version: Version, result: Result<Response, Failed>) -> bool {
        let stopping = self.stopping.load(Ordering::SeqCst);
        let mut counts = self.counts();
        let checked = match &result {
            Ok(response) => plan.check(response),
            // An idle connection may close just as a request is sent. Requests that reached an origin were accepted.
            Err(Failed { started, .. }) if stopping => {
                if *started || self.origin.has_received(plan.number) {
                    counts.lost += 1;
                } else {
                    counts.not_accepted += 1;
                }
                return false;
            }
            Err(Failed { started, error }) => Err(format!(
                "{version:?} {} /{}: no response, started {started}: {error}",
                plan.method, plan.route.name
            )),
        };
        match checked {
            Ok(Correct::Shed) => counts.shed += 1,
            Ok(Correct::TimedOut) => counts.timed_out += 1,
            Ok(correct) => {
                counts.cached += usize::from(matches!(correct, Correct::Cached));
                counts.bytes += result.map_or(0, |response| response.body.len());
                *counts
                    .correct
                    .entry((plan.method.to_string(), plan.route.name))
                    .or_default() += 1;
                *counts.by_version.entry(format!("{version:?}")).or_default() += 1;
                return false;
            }
            Err(error) => {
                *counts.wrong.entry(error).or_default() += 1;
                return false;
            }
        }
        true
    }

    /// Connections may fail only during shutdown.
    fn count_failed_connection(&self, error: &dyn fmt::Debug) {
        if !self.stopping.load(Ordering::SeqCst) {
            *self
                .counts()
                .wrong
                .entry(format!("no connection: {error:?}"))
                .or_default() += 1;
        }
    }

    /// Spawns all clients.
    fn clients(self: &Arc<Self>) -> JoinSet<()> {
        let each = ROUTES.len() * CONCURRENCY * OVERLOAD / 10;
        let mut clients = JoinSet::new();
        for _ in 0..4 * each {
            clients.spawn(clients::run_persistent(self.clone(), Version::HTTP_11, 1));
        }
        for _ in 0..4 * each / STREAMS {
            clients.spawn(clients::run_persistent(
                self.clone(),
                Version::HTTP_2,
                STREAMS,
            ));
        }
        for _ in 0..each {
            clients.spawn(clients::run_reconnecting(self.clone()));
        }
        for number in 0..each {
            let version = if number % 2 == 0 {
                Version::HTTP_11
            } else {
                Version::HTTP_2
            };
            clients.spawn(clients::run_aborting(self.clone(), version));
        }
        clients
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: scripts/soak"]
async fn soak_finds_no_errors_leaks_or_lost_requests() {
    let seconds = env::var("SOAK_SECONDS").map_or(600, |it| it.parse().expect("seconds"));
    let length = Duration::from_secs(seconds);
    let mut gateway = SoakGateway::start().await;
    let soak = Arc::new(Soak {
        address: gateway.process.address,
        origin: gateway.origin.clone(),
        numbers: AtomicU64::new(0),
        caller_generation: AtomicU32::new(0),
        ended: AtomicBool::new(false),
        stopping: AtomicBool::new(false),
        counts: Mutex::default(),
        aborted: AtomicUsize::new(0),
    });
    let process = gateway.process.id();
    let start = Instant::now();
    let idle = Sample::take(process, start);

    let clients = soak.clients();
    let mut samples = Vec::new();
    let mut reloaded = 0;
    let mut rotated = 0;
    while start.elapsed() < length {
        time::sleep(SAMPLE_INTERVAL).await;
        samples.push(Sample::take(process, start));
        if start.elapsed() > RELOAD_INTERVAL * (reloaded + 1) {
            reloaded += 1;
            rotated += u32::from(reloaded % 2 == 0);
            gateway.reload(reloaded, rotated).await;
            soak.caller_generation.store(rotated, Ordering::SeqCst);
        }
    }
    soak.ended.store(true, Ordering::SeqCst);
    clients.join_all().await;
    let counts = mem::take(&mut *soak.counts());
    let duration = start.elapsed();

    // The gateway closes connections to origins after a minute of idleness.
    let until = Instant::now() + Duration::from_secs(150);
    let mut after = Sample::take(process, start);
    while after.descriptors > idle.descriptors && Instant::now() < until {
        time::sleep(Duration::from_secs(1)).await;
        after = Sample::take(process, start);
    }

    soak.ended.store(false, Ordering::SeqCst);
    let clients = soak.clients();
    time::sleep(Duration::from_secs(3)).await;
    let before_stop = mem::take(&mut *soak.counts());
    let stop = Instant::now();
    gateway.process.terminate();
    // While the listener is open, no connection may fail.
    time::sleep(DRAIN / 2).await;
    soak.stopping.store(true, Ordering::SeqCst);
    let exited_cleanly = gateway.exits_cleanly().await;
    let stopped = stop.elapsed();
    soak.ended.store(true, Ordering::SeqCst);
    clients.join_all().await;
    let stop = mem::take(&mut *soak.counts());

    let mut wrong = soak.origin.wrong();
    for (suffix, counts) in [
        ("", &counts),
        ("", &before_stop),
        (", during shutdown", &stop),
    ] {
        for (error, count) in &counts.wrong {
            *wrong.entry(format!("{error}{suffix}")).or_default() += count;
        }
    }
    let admitted = ROUTES.len() * CONCURRENCY;
    let report = Report {
        duration,
        clients: admitted * OVERLOAD,
        admitted,
        reloaded,
        rotated,
        aborted: soak.aborted.load(Ordering::Relaxed),
        counts,
        stop,
        stopped,
        exited_cleanly,
        wrong,
        complaints: gateway.complaints(),
        idle,
        samples,
        after,
    };
    report.print();
    let failures = report.failures();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}
