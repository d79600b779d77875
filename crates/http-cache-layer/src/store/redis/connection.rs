//! Queries to servers that may be down or slow.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{Cmd, ErrorKind, RedisError, RedisResult, Value};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    time::timeout,
};

use super::{
    gate::Gate,
    login::{LoginSource, NOT_LOADED},
    target::{Link, Target},
    topology::Topology,
};

/// Limits the time to connect, which goes on while requests no longer wait for it.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit of a write, as a multiple of that of a read.
const WRITE_TIMEOUT: u32 = 5;

/// Lookups do not wait behind large writes.
#[derive(Clone, Copy)]
pub(super) enum Lane {
    Read,
    Write,
}

pub(super) struct Connection {
    pub(super) target: Target,
    login: Option<LoginSource>,
    timeout: Duration,
    links: [watch::Sender<LinkState>; 2],
    last_link: AtomicU64,
    pub(super) topology: Topology,
    errors: AtomicU64,
    successes: AtomicU64,
    recovered: Notify,
}

#[derive(Clone)]
enum LinkState {
    /// With the error of the last attempt.
    Absent(Option<Arc<str>>),
    Connecting,
    /// With its number.
    Up(u64, Link),
}

/// Reason of a failed query.
struct Failure {
    reason: Arc<str>,
    /// The server cannot be used.
    is_outage: bool,
    /// The connection had ended before.
    is_disconnected: bool,
    link: Option<u64>,
}

impl Connection {
    pub(super) fn new(target: Target, login: Option<LoginSource>, timeout: Duration) -> Self {
        let absent = || watch::Sender::new(LinkState::Absent(None));
        Self {
            target,
            login,
            timeout,
            links: [absent(), absent()],
            last_link: AtomicU64::new(0),
            topology: Topology::default(),
            errors: AtomicU64::new(0),
            successes: AtomicU64::new(0),
            recovered: Notify::new(),
        }
    }

    pub(super) fn login(&self) -> Option<&LoginSource> {
        self.login.as_ref()
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    pub(super) fn successes(&self) -> u64 {
        self.successes.load(Ordering::Relaxed)
    }

    /// Time limit of a query. Requests wait only for reads, and for removals up to the limit of reads.
    fn limit(&self, lane: Lane) -> Duration {
        match lane {
            Lane::Read => self.timeout,
            Lane::Write => self.timeout.saturating_mul(WRITE_TIMEOUT),
        }
    }

    /// Waits for the end of an outage.
    pub(super) async fn recovered(&self) {
        self.recovered.notified().await;
    }

    /// Sends a command to the server that has this key. Returns `None` after a timeout, an error, or during a pause.
    pub(super) async fn query(
        self: &Arc<Self>,
        lane: Lane,
        key: &str,
        command: Cmd,
    ) -> Option<Value> {
        let gate = self.topology.gate(key);
        if !gate.admits() {
            return None;
        }
        let limit = self.limit(lane);
        let reply = match timeout(limit, self.send_again(&gate, lane, key, &command)).await {
            Ok(result) => result,
            Err(_) => Err(Failure {
                reason: format!("no reply within {limit:?}").into(),
                is_outage: true,
                is_disconnected: false,
                link: None,
            }),
        };
        match reply {
            Ok(value) => {
                self.successes.fetch_add(1, Ordering::Relaxed);
                if gate.record_success() {
                    tracing::info!("redis at {} responds again", self.target.addresses());
                    self.recovered.notify_waiters();
                }
                Some(value)
            }
            Err(failure) => {
                self.record_failure(&gate, lane, &failure);
                None
            }
        }
    }

    async fn send(
        self: &Arc<Self>,
        lane: Lane,
        key: &str,
        command: &Cmd,
    ) -> Result<Value, Failure> {
        let (number, mut link) = self.link(lane).await?;
        let reply = link.send(key, command).await;
        reply.map_err(|error| Failure {
            reason: self.describe(&error).into(),
            is_outage: is_outage(&error),
            is_disconnected: error.is_connection_dropped(),
            link: Some(number),
        })
    }

    /// Sends a command, once more if an idle connection has ended. Each command may be repeated.
    async fn send_again(
        self: &Arc<Self>,
        gate: &Gate,
        lane: Lane,
        key: &str,
        command: &Cmd,
    ) -> Result<Value, Failure> {
        match self.send(lane, key, command).await {
            Err(failure) if failure.is_disconnected && !self.target.is_cluster() => {
                // The server may have restarted, or another may have taken over.
                gate.begin_recovery();
                self.disconnect(lane, &failure);
                self.send(lane, key, command).await
            }
            reply => reply,
        }
    }

    /// Sends a command without regard to outages.
    pub(super) async fn send_now(
        self: &Arc<Self>,
        key: &str,
        command: Cmd,
    ) -> Result<Value, Arc<str>> {
        let reply = self.send(Lane::Read, key, &command).await;
        reply.map_err(|failure| failure.reason)
    }

    /// Returns the connection, or waits until it is established.
    async fn link(self: &Arc<Self>, lane: Lane) -> Result<(u64, Link), Failure> {
        let state = &self.links[lane as usize];
        let mut changes = state.subscribe();
        let starts = state.send_if_modified(|current| {
            let absent = matches!(current, LinkState::Absent(_));
            if absent {
                *current = LinkState::Connecting;
            }
            absent
        });
        if starts {
            match Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(self.clone().connect(lane))),
                Err(_) => drop(state.send_replace(LinkState::Absent(None))),
            }
        }
        let settled = changes.wait_for(|current| !matches!(current, LinkState::Connecting));
        match settled.await.as_deref() {
            Ok(LinkState::Up(number, link)) => Ok((*number, link.clone())),
            Ok(LinkState::Absent(reason)) => Err(Failure {
                reason: reason.clone().unwrap_or_else(|| "not connected".into()),
                is_outage: true,
                is_disconnected: false,
                link: None,
            }),
            _ => Err(Failure {
                reason: "not connected".into(),
                is_outage: true,
                is_disconnected: false,
                link: None,
            }),
        }
    }

    async fn connect(self: Arc<Self>, lane: Lane) {
        let result = timeout(CONNECT_TIMEOUT, self.open(lane)).await;
        let state = match result {
            Ok(Ok(link)) => {
                let number = self.last_link.fetch_add(1, Ordering::Relaxed) + 1;
                LinkState::Up(number, link)
            }
            Ok(Err(error)) => LinkState::Absent(Some(self.describe(&error).into())),
            Err(_) => {
                let reason = format!("no connection within {CONNECT_TIMEOUT:?}");
                LinkState::Absent(Some(reason.into()))
            }
        };
        self.links[lane as usize].send_replace(state);
    }

    async fn open(&self, lane: Lane) -> RedisResult<Link> {
        let mut link = self.target.connect(self.limit(lane), self.login()).await?;
        self.update_topology(&mut link).await;
        Ok(link)
    }

    /// Reads the primaries of a cluster.
    pub(super) async fn refresh_topology(self: &Arc<Self>) {
        if self.target.is_cluster()
            && let Ok((_, mut link)) = self.link(Lane::Read).await
        {
            self.update_topology(&mut link).await;
        }
    }

    async fn update_topology(&self, link: &mut Link) {
        if self.target.is_cluster() {
            let mut command = redis::cmd("CLUSTER");
            command.arg("SLOTS");
            if let Ok(slots) = link.send_anywhere(command).await {
                self.topology.update(&slots);
            }
        }
    }

    fn describe(&self, error: &RedisError) -> String {
        describe(error, &self.target)
    }

    fn record_failure(&self, gate: &Gate, lane: Lane, failure: &Failure) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        if !failure.is_outage {
            return;
        }
        if gate.record_failure(&failure.reason) {
            let address = self.target.addresses();
            let reason = &failure.reason;
            tracing::warn!("redis at {address}: {reason}; its responses are not used");
        }
        if !self.target.is_cluster() {
            self.disconnect(lane, failure); // a cluster connects to lost nodes again by itself
        }
    }

    fn disconnect(&self, lane: Lane, failure: &Failure) {
        self.links[lane as usize].send_if_modified(|current| {
            let failed = match current {
                // A timeout does not name its connection.
                LinkState::Up(number, _) => failure.link.is_none_or(|link| link == *number),
                _ => false,
            };
            if failed {
                *current = LinkState::Absent(Some(failure.reason.clone()));
            }
            failed
        });
    }
}

/// Describes an error without its own text, which may quote the command, and with it a password.
pub(super) fn describe(error: &RedisError, target: &Target) -> String {
    match error.code() {
        Some("MOVED" | "ASK" | "CLUSTERDOWN") if !target.is_cluster() => {
            "it is a node of a cluster; configure it as a cluster".to_owned()
        }
        Some("READONLY") => "it is a replica; configure its primary".to_owned(),
        code if code == Some("NOPERM") || is_forbidden_to_script(error) => {
            "the user's ACL forbids a command or a key; allow eval, its commands, hmget, wait, info \
             and cluster, on the prefix's keys"
                .to_owned()
        }
        Some("WRONGPASS" | "NOAUTH") => "wrong user or password".to_owned(),
        Some(code) => code.to_owned(),
        None if error.detail() == Some(NOT_LOADED) => NOT_LOADED.to_owned(),
        None if error.kind() == ErrorKind::AuthenticationFailed => {
            "wrong user or password".to_owned()
        }
        // The text of the system, such as `Connection refused`.
        None if error.is_io_error() && error.detail().is_none() => error.to_string(),
        None => error.category().to_owned(),
    }
}

/// Returns `true` if the user may run the script, but not a command in it.
fn is_forbidden_to_script(error: &RedisError) -> bool {
    error
        .detail()
        .is_some_and(|text| text.contains("can't run this command"))
}

/// Returns `false` for errors of one key, and of a write without memory: other queries still succeed.
fn is_outage(error: &RedisError) -> bool {
    !matches!(error.code(), Some("WRONGTYPE" | "OOM"))
}
