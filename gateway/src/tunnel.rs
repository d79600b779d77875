//! Connections that have become WebSockets: bytes go both ways until both sides have ended.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade::{self, OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::{
    io,
    sync::{OwnedSemaphorePermit, mpsc, watch},
    time,
};
use tokio_util::io::InspectReader;

use crate::metrics::Counted;

/// A place among the clients' connections, which are counted.
pub(crate) type Place = (OwnedSemaphorePermit, Option<Counted>);

/// In the extensions of requests: held by whatever is under way, and waited for at the end.
#[derive(Clone)]
pub(crate) struct Open {
    _held: mpsc::Sender<()>,
    connection: Arc<(Place, AtomicU64)>,
    idle: Duration,
}

impl Open {
    /// A WebSocket ends that was idle for so long.
    pub(crate) fn new(ended: mpsc::Sender<()>, place: Place, idle: Duration) -> Self {
        Self {
            _held: ended,
            connection: Arc::new((place, AtomicU64::new(0))),
            idle,
        }
    }

    pub(crate) fn wrote(&self, bytes: u64) {
        self.connection.1.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How many bytes the client was sent.
    pub(crate) fn written(&self) -> u64 {
        self.connection.1.load(Ordering::Relaxed)
    }
}

/// The client's connection, of a request that opens a WebSocket.
pub(crate) struct Tunnel {
    client: OnUpgrade,
    open: Option<Open>,
}

/// In the extensions of an answer: its connection is tunnelled.
#[derive(Clone)]
struct Opened;

impl Tunnel {
    /// The signing layer has left `upgrade` to those requests alone that open a WebSocket.
    pub(crate) fn asked_for<B>(request: &mut Request<B>) -> Option<Self> {
        request
            .headers()
            .contains_key(header::UPGRADE)
            .then(|| Self {
                client: upgrade::on(&mut *request),
                open: request.extensions_mut().remove(),
            })
    }

    /// Joins both connections once both are done with HTTP, if the origin has switched to a WebSocket.
    pub(crate) fn open<B>(self, answer: &mut Response<B>) {
        let websocket = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS
            || !answer.headers().get(header::UPGRADE).is_some_and(websocket)
        {
            return;
        }
        let origin = upgrade::on(&mut *answer);
        answer.extensions_mut().insert(Opened);
        tokio::spawn(async move {
            let Self { client, open } = self;
            let Ok((client, origin)) = tokio::try_join!(client, origin) else {
                return;
            };
            let (moves, mut moved) = watch::channel(());
            let tell = |_: &[u8]| moves.send_replace(());
            let mut client = InspectReader::new(TokioIo::new(client), tell);
            let mut origin = InspectReader::new(TokioIo::new(origin), tell);
            let idle = open.as_ref().map_or(Duration::MAX, |open| open.idle);
            let idle = async { while time::timeout(idle, moved.changed()).await.is_ok() {} };
            // Where one side breaks, both connections end here.
            tokio::select! {
                _ = io::copy_bidirectional(&mut client, &mut origin) => {}
                () = idle => {}
            }
        });
    }
}

pub(crate) fn is_open<B>(answer: &Response<B>) -> bool {
    answer.extensions().get::<Opened>().is_some()
}

/// Says of an answer that its connection is a WebSocket's from here on.
pub(crate) fn announce(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}
