//! HTTP/2 connections to origins, as many for each origin as its requests in flight need.

use std::{
    collections::HashMap,
    future,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Extensions, Uri, uri::Authority};
use hyper::client::conn::http2;
use hyper_util::{
    client::legacy::connect::Connection as _,
    rt::{TokioExecutor, TokioTimer},
};
use tokio::{
    sync::watch,
    time::{self, Instant},
};
use tower::{ServiceExt, timeout::error::Elapsed};

use super::{
    connector::{CONNECT_TIMEOUT, TimedConnector},
    error::ConnectError,
    http2_streams::{Attempt, Connection, OriginPool, Stream},
    read_limit::ReadLimit,
};
use crate::BoxError;

/// Interval of pings while a response is due: many requests share a connection.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// RFC 9113, section 6.9.1.
const MAX_WINDOW: u32 = (1 << 31) - 1;
/// First delay before the origin's settings are looked for.
const SETTINGS_DELAY: Duration = Duration::from_millis(1);
/// Delay after a failed attempt to add a connection.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Time for which an origin that did not negotiate HTTP/2 is used without it.
const HTTP1_PERIOD: Duration = Duration::from_secs(5 * 60);

/// Connections to all origins.
pub(super) struct Http2Pool {
    connector: TimedConnector,
    builder: http2::Builder<TokioExecutor>,
    origins: Mutex<HashMap<Authority, Arc<OriginPool>>>,
}

impl Http2Pool {
    /// Creates a pool whose responses may have `window` bytes in flight each.
    pub(super) fn new(connector: TimedConnector, window: u32) -> Self {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            // An origin rejects streams beyond its limit, which is unknown until its settings arrive.
            .initial_max_send_streams(0)
            .initial_stream_window_size(window)
            // All clients share it: those that do not read must not block the others.
            .initial_connection_window_size(MAX_WINDOW)
            .max_send_buf_size(window as usize);
        Self {
            connector,
            builder,
            origins: Mutex::default(),
        }
    }

    /// Returns a free stream of a connection to the origin of a URI. Connects if there is none and the origin has fewer
    /// connections than `max`, or else waits. Returns `None` if the origin does not negotiate HTTP/2.
    pub(super) async fn acquire(
        &self,
        uri: &Uri,
        max: usize,
    ) -> Result<Option<Stream>, ConnectError> {
        let Some(authority) = uri.authority() else {
            return Ok(None);
        };
        let origin = self.origin(authority);
        loop {
            // Before the state is read, so that no release in between is missed.
            let mut released = pin!(origin.released.notified());
            released.as_mut().enable();
            let (attempt, next_attempt) = {
                let mut state = origin.state();
                if state
                    .http1_until
                    .is_some_and(|until| Instant::now() < until)
                {
                    return Ok(None);
                }
                if let Some(stream) = state.stream(&origin) {
                    return Ok(Some(stream));
                }
                if state.can_connect(max) {
                    state.attempt = Some(self.connect(uri.clone(), origin.clone()));
                }
                (state.attempt.clone(), state.delayed_until())
            };
            tokio::select! {
                biased; // a failed attempt also notifies
                Some(error) = failure(attempt) => {
                    if origin.state().connections.is_empty() {
                        return Err(error);
                    }
                }
                () = released => {}
                Some(()) = until(next_attempt) => {}
            }
        }
    }

    fn origin(&self, authority: &Authority) -> Arc<OriginPool> {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(origin) = origins.get(authority) {
            return origin.clone();
        }
        origins.entry(authority.clone()).or_default().clone()
    }

    /// Connects in a task of its own: requests that give up must not end what others wait for.
    fn connect(&self, uri: Uri, origin: Arc<OriginPool>) -> Attempt {
        let (failed, attempt) = watch::channel(None);
        let (connector, builder) = (self.connector.clone(), self.builder.clone());
        tokio::spawn(async move {
            let result = establish(connector, builder, uri, &origin).await;
            let mut state = origin.state();
            state.attempt = None;
            state.next_attempt = None;
            match result {
                Ok(Some(connection)) => state.connections.push(connection),
                Ok(None) => state.http1_until = Some(Instant::now() + HTTP1_PERIOD),
                Err(error) => {
                    if !state.connections.is_empty() {
                        state.next_attempt = Some(Instant::now() + RETRY_DELAY);
                    }
                    failed.send_replace(Some(ConnectError(error.into())));
                }
            }
            drop(state);
            origin.released.notify_waiters();
        });
        attempt
    }
}

/// Returns the error of an attempt that fails, or `None` if it succeeds or there is none.
async fn failure(attempt: Option<Attempt>) -> Option<ConnectError> {
    let mut pending = attempt?;
    drop(pending.changed().await);
    let error = pending.borrow();
    error.clone()
}

async fn until(instant: Option<Instant>) -> Option<()> {
    time::sleep_until(instant?).await;
    Some(())
}

/// Connects, and returns the connection once the origin's settings have arrived; or `None` if the origin does not
/// negotiate HTTP/2.
async fn establish(
    connector: TimedConnector,
    builder: http2::Builder<TokioExecutor>,
    uri: Uri,
    origin: &Arc<OriginPool>,
) -> Result<Option<Connection>, BoxError> {
    let io = connector.oneshot(uri).await?;
    let connected = io.connected();
    if !connected.is_negotiated_h2() {
        return Ok(None);
    }
    let mut extensions = Extensions::new();
    connected.get_extras(&mut extensions);
    if let Some(limit) = extensions.remove::<ReadLimit>() {
        limit.set(usize::MAX); // HTTP/2 streams have windows instead
    }
    let (sender, driver) = builder.handshake(io).await?;
    let mut pinned = Box::pin(driver);
    let settings = async {
        let mut delay = SETTINGS_DELAY;
        while pinned.current_max_send_streams() == 0 {
            tokio::select! {
                result = pinned.as_mut() => {
                    result?;
                    return Err("the origin closed the connection before its first settings".into());
                }
                () = time::sleep(delay) => delay *= 2,
            }
        }
        Ok::<_, BoxError>(pinned.current_max_send_streams())
    };
    let max_streams = time::timeout(CONNECT_TIMEOUT, settings)
        .await
        .map_err(|_| Elapsed::new())??;
    let limit = Arc::new(AtomicUsize::new(max_streams));
    let connection = Connection::new(sender, limit.clone());
    let (id, pool) = (connection.id, origin.clone());
    tokio::spawn(async move {
        let ended = future::poll_fn(|cx| {
            // An origin may change it at any time.
            limit.store(pinned.current_max_send_streams(), Ordering::Relaxed);
            pinned.as_mut().poll(cx)
        });
        tokio::select! {
            _ = ended => pool.remove(id),
            () = pool.remove_when_idle(id) => {}
        }
    });
    Ok(Some(connection))
}
