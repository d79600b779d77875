//! Connections that have become WebSockets: bytes go both ways until both sides have ended.

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade::{self, OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::{io, sync::mpsc};

/// In the extensions of requests: held by whatever is under way, and waited for at the end.
#[derive(Clone)]
pub(crate) struct Open(#[expect(dead_code, reason = "it is held")] pub(crate) mpsc::Sender<()>);

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
        request.headers().contains_key(header::UPGRADE).then(|| Self {
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
            let Self { client, open: _open } = self;
            if let Ok((client, origin)) = tokio::try_join!(client, origin) {
                let (mut client, mut origin) = (TokioIo::new(client), TokioIo::new(origin));
                // Where one side breaks, both connections end here.
                drop(io::copy_bidirectional(&mut client, &mut origin).await);
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
