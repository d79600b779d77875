//! Minutes of far more load than the gateway admits, while its configuration and all keys change: no answer is wrong,
//! nothing grows, and a stop loses no request. `scripts/soak` runs it.
#![cfg(target_os = "linux")]

mod clients;
mod figures;
mod origin;
mod report;
mod running;
#[allow(dead_code)]
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

use clients::{Answer, Ask, Judged, ROUTES, Unanswered};
use figures::Sample;
use http::Version;
use origin::Origin;
use report::Report;
use running::Running;
use tokio::{task::JoinSet, time};

/// Requests that each route admits at a time, and how many clients there are for each of them.
const CONCURRENCY: usize = 3;
const OVERLOAD: usize = 10;
const STREAMS: usize = 8;
const SAMPLED: Duration = Duration::from_millis(500);
const RELOADED: Duration = Duration::from_secs(4);
const DRAIN: Duration = Duration::from_secs(5);

/// What clients share.
struct Soak {
    address: SocketAddr,
    origin: Arc<Origin>,
    numbers: AtomicU64,
    /// The generation of the callers' keys.
    callers: AtomicU32,
    ends: AtomicBool,
    stopping: AtomicBool,
    counts: Mutex<Counts>,
    broken_off: AtomicUsize,
}

#[derive(Default)]
struct Counts {
    /// By method and route, and by version.
    right: BTreeMap<(String, &'static str), usize>,
    by_version: BTreeMap<String, usize>,
    bytes: usize,
    stored: usize,
    shed: usize,
    timed_out: usize,
    turned_away: usize,
    lost: usize,
    wrong: BTreeMap<String, usize>,
}

impl Soak {
    fn goes_on(&self) -> bool {
        !self.ends.load(Ordering::SeqCst)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().expect("not poisoned")
    }

    /// Counts what came of a request; true if it was shed.
    fn judge(&self, ask: &Ask, version: Version, answer: Result<Answer, Unanswered>) -> bool {
        let stopping = self.stopping.load(Ordering::SeqCst);
        let mut counts = self.counts();
        let judged = match &answer {
            Ok(answer) => ask.judge(answer),
            // A connection that is idle may end just when a request is sent; what came to an origin was accepted.
            Err(Unanswered { begun, .. }) if stopping => {
                match *begun || self.origin.has_seen(ask.number) {
                    true => counts.lost += 1,
                    false => counts.turned_away += 1,
                }
                return false;
            }
            Err(Unanswered { begun, error }) => Err(format!(
                "{version:?} {} /{}: no answer, {begun}: {error}",
                ask.method, ask.route.name
            )),
        };
        match judged {
            Ok(Judged::Shed) => counts.shed += 1,
            Ok(Judged::TimedOut) => counts.timed_out += 1,
            Ok(judged) => {
                counts.stored += usize::from(matches!(judged, Judged::Stored));
                counts.bytes += answer.map_or(0, |answer| answer.body.len());
                *counts
                    .right
                    .entry((ask.method.to_string(), ask.route.name))
                    .or_default() += 1;
                *counts.by_version.entry(format!("{version:?}")).or_default() += 1;
                return false;
            }
            Err(what) => {
                *counts.wrong.entry(what).or_default() += 1;
                return false;
            }
        }
        true
    }

    /// There is no connection.
    fn is_turned_away(&self, error: &dyn fmt::Debug) {
        if !self.stopping.load(Ordering::SeqCst) {
            *self
                .counts()
                .wrong
                .entry(format!("no connection: {error:?}"))
                .or_default() += 1;
        }
    }

    /// All clients: ten for each request that is admitted.
    fn clients(self: &Arc<Self>) -> JoinSet<()> {
        let (each, mut clients) = (ROUTES.len() * CONCURRENCY * OVERLOAD / 10, JoinSet::new());
        for _ in 0..4 * each {
            clients.spawn(clients::stays(self.clone(), Version::HTTP_11, 1));
        }
        for _ in 0..4 * each / STREAMS {
            clients.spawn(clients::stays(self.clone(), Version::HTTP_2, STREAMS));
        }
        for _ in 0..each {
            clients.spawn(clients::comes_anew(self.clone()));
        }
        for number in 0..each {
            let version = if number % 2 == 0 {
                Version::HTTP_11
            } else {
                Version::HTTP_2
            };
            clients.spawn(clients::breaks_off(self.clone(), version));
        }
        clients
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: scripts/soak"]
async fn soak_finds_no_errors_leaks_or_lost_requests() {
    let seconds = env::var("SOAK_SECONDS").map_or(600, |it| it.parse().expect("seconds"));
    let length = Duration::from_secs(seconds);
    let mut running = Running::start().await;
    let soak = Arc::new(Soak {
        address: running.gateway.address,
        origin: running.origin.clone(),
        numbers: AtomicU64::new(0),
        callers: AtomicU32::new(0),
        ends: AtomicBool::new(false),
        stopping: AtomicBool::new(false),
        counts: Mutex::default(),
        broken_off: AtomicUsize::new(0),
    });
    let (process, since) = (running.gateway.id(), Instant::now());
    let idle = Sample::of(process, since);

    let clients = soak.clients();
    let (mut samples, mut reloaded, mut rotated) = (Vec::new(), 0, 0);
    while since.elapsed() < length {
        time::sleep(SAMPLED).await;
        samples.push(Sample::of(process, since));
        if since.elapsed() > RELOADED * (reloaded + 1) {
            reloaded += 1;
            rotated += u32::from(reloaded % 2 == 0);
            running.reload(reloaded, rotated).await;
            soak.callers.store(rotated, Ordering::SeqCst);
        }
    }
    soak.ends.store(true, Ordering::SeqCst);
    clients.join_all().await;
    let (counts, took) = (mem::take(&mut *soak.counts()), since.elapsed());

    // The gateway closes connections to origins that were idle for a minute.
    let until = Instant::now() + Duration::from_secs(150);
    let mut after = Sample::of(process, since);
    while after.descriptors > idle.descriptors && Instant::now() < until {
        time::sleep(Duration::from_secs(1)).await;
        after = Sample::of(process, since);
    }

    soak.ends.store(false, Ordering::SeqCst);
    let clients = soak.clients();
    time::sleep(Duration::from_secs(3)).await;
    let before_stop = mem::take(&mut *soak.counts());
    let stop = Instant::now();
    running.gateway.terminate();
    // As long as the listener stands, no one is turned away.
    time::sleep(DRAIN / 2).await;
    soak.stopping.store(true, Ordering::SeqCst);
    let ended = running.ended().await;
    let stopped = stop.elapsed();
    soak.ends.store(true, Ordering::SeqCst);
    clients.join_all().await;
    let stop = mem::take(&mut *soak.counts());

    let mut wrong = soak.origin.wrong();
    for (when, counts) in [
        ("", &counts),
        ("", &before_stop),
        (", after the stop", &stop),
    ] {
        for (what, count) in &counts.wrong {
            *wrong.entry(format!("{what}{when}")).or_default() += count;
        }
    }
    let admitted = ROUTES.len() * CONCURRENCY;
    let report = Report {
        took,
        clients: admitted * OVERLOAD,
        admitted,
        reloaded,
        rotated,
        broken_off: soak.broken_off.load(Ordering::Relaxed),
        counts,
        stop,
        stopped,
        ended,
        wrong,
        complaints: running.complaints(),
        idle,
        samples,
        after,
    };
    report.print();
    let fails = report.fails();
    assert!(fails.is_empty(), "\n{}", fails.join("\n"));
}
