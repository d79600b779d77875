//! The connection to Redis, which may be down or slow.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, aio::MultiplexedConnection};
use rustls::crypto::ring;
use tokio::time::{Instant, timeout};

/// How long it is not asked after it failed, so that not every request waits for it.
pub(super) const REST: Duration = Duration::from_secs(1);
/// How long nothing is said of failures after one was told.
const SILENCE: Duration = Duration::from_secs(60);

pub(super) struct Link {
    client: Client,
    timeout: Duration,
    // Tokio's, since who connects holds it.
    connection: tokio::sync::Mutex<Option<MultiplexedConnection>>,
    health: Mutex<Health>,
}

#[derive(Default)]
struct Health {
    rests_until: Option<Instant>,
    told: Option<Instant>,
}

impl Link {
    /// None if this is not the URL of a Redis. What is wrong with it is not told, since it may hold a password.
    pub(super) fn new(url: &str, timeout: Duration) -> Option<Self> {
        if url.starts_with("rediss:") {
            // The client asks for the process's own; an error says that there is one.
            drop(ring::default_provider().install_default());
        }
        let client = Client::open(url).ok()?;
        Some(Self {
            client,
            timeout,
            connection: Default::default(),
            health: Default::default(),
        })
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What Redis answers; none if it does not in time, or refuses.
    pub(super) async fn ask<T, F>(
        &self,
        question: impl FnOnce(MultiplexedConnection) -> F + Send,
    ) -> Option<T>
    where
        F: Future<Output = RedisResult<T>> + Send,
    {
        if !self.may_be_asked() {
            return None;
        }
        let answer = async { question(self.connected().await?).await };
        match timeout(self.timeout, answer).await {
            Ok(Ok(answer)) => {
                self.works();
                Some(answer)
            }
            Ok(Err(error)) => {
                // Not the error's own text: it may quote what was sent, and with it a password.
                let what = error.code().unwrap_or_else(|| error.category()).to_owned();
                self.failed(&what, rests(&error)).await;
                None
            }
            Err(_) => {
                self.failed(&format!("no answer within {:?}", self.timeout), true)
                    .await;
                None
            }
        }
    }

    async fn connected(&self) -> RedisResult<MultiplexedConnection> {
        let mut held = self.connection.lock().await;
        if let Some(connection) = &*held {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout));
        let connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        *held = Some(connection.clone());
        Ok(connection)
    }

    /// After a rest one tries, and the others go on as if it were down.
    fn may_be_asked(&self) -> bool {
        let mut health = self.health();
        let now = Instant::now();
        if health.rests_until.is_some_and(|until| now < until) {
            return false;
        }
        health.rests_until = health.rests_until.map(|_| now + REST);
        true
    }

    fn works(&self) {
        let mut health = self.health();
        if health.rests_until.take().is_some() && health.told.is_some() {
            tracing::info!("redis at {} answers again", self.name());
        }
    }

    async fn failed(&self, what: &str, rests: bool) {
        let now = Instant::now();
        {
            let mut health = self.health();
            if rests {
                health.rests_until = Some(now + REST);
            }
            if health.told.is_none_or(|told| now > told + SILENCE) {
                health.told = Some(now);
                let name = self.name();
                tracing::warn!("redis at {name}: {what}; what it holds is not used");
            }
        }
        if rests {
            self.connection.lock().await.take();
        }
    }

    fn name(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it is of no use to ask again soon. What is wrong with one key, or what is not written for want of
/// room, says nothing of the rest.
fn rests(error: &RedisError) -> bool {
    !matches!(error.code(), Some("WRONGTYPE" | "OOM"))
}
