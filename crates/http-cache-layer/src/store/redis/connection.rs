//! The connection to a server that may be down or slow.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, aio::MultiplexedConnection};
use rustls::crypto::ring;
use tokio::time::{Instant, timeout};

/// Time without queries after a failure, so that not every request waits.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// Minimum time between two warnings.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

pub(super) struct Connection {
    client: Client,
    timeout: Duration,
    // Tokio's mutex, since it is locked while connecting.
    current: tokio::sync::Mutex<Option<MultiplexedConnection>>,
    health: Mutex<Health>,
}

#[derive(Default)]
struct Health {
    paused_until: Option<Instant>,
    warned: Option<Instant>,
}

/// Returns `None` if the URL is malformed.
pub(super) fn client(url: &str) -> Option<Client> {
    if url.starts_with("rediss:") {
        // The client needs the process's default; an error means that there is one.
        drop(ring::default_provider().install_default());
    }
    Client::open(url).ok()
}

impl Connection {
    pub(super) fn new(client: Client, timeout: Duration) -> Self {
        Self {
            client,
            timeout,
            current: Default::default(),
            health: Default::default(),
        }
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns `None` after a timeout, an error, or during a pause.
    pub(super) async fn query<T, F>(
        &self,
        query: impl FnOnce(MultiplexedConnection) -> F + Send,
    ) -> Option<T>
    where
        F: Future<Output = RedisResult<T>> + Send,
    {
        if !self.is_available() {
            return None;
        }
        let reply = async { query(self.connect().await?).await };
        match timeout(self.timeout, reply).await {
            Ok(Ok(value)) => {
                self.record_success();
                Some(value)
            }
            Ok(Err(error)) => {
                // The error's own text may quote the command, and with it a password.
                let code = error.code().unwrap_or_else(|| error.category()).to_owned();
                self.record_failure(&code, needs_pause(&error)).await;
                None
            }
            Err(_) => {
                let message = format!("no reply within {:?}", self.timeout);
                self.record_failure(&message, true).await;
                None
            }
        }
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let mut current = self.current.lock().await;
        if let Some(connection) = &*current {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout));
        let connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        *current = Some(connection.clone());
        Ok(connection)
    }

    /// After a pause, one request tries; the pause goes on for the others.
    fn is_available(&self) -> bool {
        let mut health = self.health();
        let now = Instant::now();
        if health.paused_until.is_some_and(|until| now < until) {
            return false;
        }
        health.paused_until = health.paused_until.map(|_| now + PAUSE);
        true
    }

    fn record_success(&self) {
        let mut health = self.health();
        if health.paused_until.take().is_some() && health.warned.is_some() {
            tracing::info!("redis at {} responds again", self.address());
        }
    }

    async fn record_failure(&self, message: &str, pauses: bool) {
        let now = Instant::now();
        {
            let mut health = self.health();
            if pauses {
                health.paused_until = Some(now + PAUSE);
            }
            if health
                .warned
                .is_none_or(|warned| now > warned + WARNING_INTERVAL)
            {
                health.warned = Some(now);
                let address = self.address();
                tracing::warn!("redis at {address}: {message}; its responses are not used");
            }
        }
        if pauses {
            self.current.lock().await.take();
        }
    }

    fn address(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns `false` for errors of one key, and of a write without memory: other queries still succeed.
fn needs_pause(error: &RedisError) -> bool {
    !matches!(error.code(), Some("WRONGTYPE" | "OOM"))
}
