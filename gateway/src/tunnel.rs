//! WebSockets: copies bytes both ways until both sides have ended.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade::{self, OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::{io, sync::watch, time};
use tokio_util::io::InspectReader;

use crate::connection::ClientConnection;

/// The client's side of a requested WebSocket.
pub(crate) struct Tunnel {
    client: OnUpgrade,
    connection: Option<ClientConnection>,
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
            })
    }

    /// Joins both connections once HTTP has ended on both, if the origin has switched to a WebSocket.
    pub(crate) fn open<B>(self, response: &mut Response<B>) {
        let is_websocket =
            |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
        let upgrade = response.headers().get(header::UPGRADE);
        if response.status() != StatusCode::SWITCHING_PROTOCOLS
            || !upgrade.is_some_and(is_websocket)
        {
            return;
        }
        let origin = upgrade::on(&mut *response);
        if let Some(connection) = &self.connection {
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
        let mut client = InspectReader::new(TokioIo::new(client_io), report);
        let mut server = InspectReader::new(TokioIo::new(origin_io), report);
        let timeout = self
            .connection
            .as_ref()
            .map_or(Duration::MAX, ClientConnection::websocket_timeout);
        let idle = async { while time::timeout(timeout, active.changed()).await.is_ok() {} };
        // If one side breaks, both connections end here.
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
