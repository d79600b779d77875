//! WebSockets: copies bytes both ways until both sides have ended.

mod client_stream;

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade::{self, OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::{io, sync::watch, time};
use tokio_util::io::InspectReader;

use self::client_stream::ClientStream;
use crate::connection::ClientConnection;

/// Extension of a request for a WebSocket: its client uses HTTP/2.
#[derive(Clone)]
pub(crate) struct Http2Handshake {
    /// The `sec-websocket-accept` that the origin must return, since the client does not check it.
    pub(crate) accept: String,
}

/// The client's side of a requested WebSocket.
pub(crate) struct Tunnel {
    client: OnUpgrade,
    connection: Option<ClientConnection>,
    http2: Option<Http2Handshake>,
}

/// Extension of a response: its connection is a tunnel.
#[derive(Clone)]
struct Opened;

impl Tunnel {
    /// Returns the tunnel that a request asks for. The signing layer leaves `upgrade` only to requests for a WebSocket.
    pub(crate) fn requested<B>(request: &mut Request<B>) -> Option<Self> {
        request
            .headers()
            .contains_key(header::UPGRADE)
            .then(|| Self {
                client: upgrade::on(&mut *request),
                connection: request.extensions_mut().remove(),
                http2: request.extensions_mut().remove(),
            })
    }

    /// Returns `true` if the origin has switched to the WebSocket that was asked for.
    fn is_accepted<B>(&self, response: &Response<B>) -> bool {
        let headers = response.headers();
        let is_websocket =
            |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
        response.status() == StatusCode::SWITCHING_PROTOCOLS
            && headers.get(header::UPGRADE).is_some_and(is_websocket)
            && self.http2.as_ref().is_none_or(|handshake| {
                let accept = headers.get(header::SEC_WEBSOCKET_ACCEPT);
                accept.is_some_and(|value| *value == *handshake.accept)
            })
    }

    /// Joins both connections once HTTP has ended on both, if the origin has switched to a WebSocket.
    pub(crate) fn open<B>(self, response: &mut Response<B>) {
        if !self.is_accepted(response) {
            return;
        }
        let origin = upgrade::on(&mut *response);
        // An HTTP/2 connection has other streams.
        if let Some(connection) = self.connection.as_ref().filter(|_| self.http2.is_none()) {
            connection.begin_tunnel();
        }
        response.extensions_mut().insert(Opened);
        tokio::spawn(self.copy(origin));
    }

    async fn copy(self, origin: OnUpgrade) {
        let Ok((client_io, origin_io)) = tokio::try_join!(self.client, origin) else {
            return;
        };
        let (activity, mut active) = watch::channel(());
        let report = |_: &[u8]| activity.send_replace(());
        let mut client = InspectReader::new(ClientStream::new(TokioIo::new(client_io)), report);
        let mut server = InspectReader::new(TokioIo::new(origin_io), report);
        let timeout = self
            .connection
            .as_ref()
            .map_or(Duration::MAX, ClientConnection::websocket_timeout);
        let idle = async { while time::timeout(timeout, active.changed()).await.is_ok() {} };
        // If one side breaks, both end here.
        tokio::select! {
            _ = io::copy_bidirectional(&mut client, &mut server) => {}
            () = idle => {}
        }
    }
}

pub(crate) fn is_open<B>(response: &Response<B>) -> bool {
    response.extensions().get::<Opened>().is_some()
}

/// Announces to the client that its connection becomes a WebSocket.
pub(crate) fn add_upgrade_headers(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}
