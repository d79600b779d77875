//! The section `[server]`.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    time::Duration,
};

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    error::ConfigError,
    quantity::{Quantity, Size, optional_delay, optional_duration},
    value::{Spanned, positive},
};
use crate::{min_body_rate::BodyLimits, upstream::ReadLimit};

/// Address that the gateway listens on by default.
pub(crate) const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerSection {
    pub(super) listen: Option<Spanned<SocketAddr>>,
    /// Lets other processes listen on the same port.
    #[serde(default)]
    reuse_port: bool,
    header_timeout: Option<Spanned<Quantity>>,
    idle_timeout: Option<Spanned<Quantity>>,
    body_timeout: Option<Spanned<Quantity>>,
    min_body_rate: Option<Size>,
    drain_delay: Option<Spanned<Quantity>>,
    shutdown_grace: Option<Spanned<Quantity>>,
    websocket_timeout: Option<Spanned<Quantity>>,
    max_connections: Option<Spanned<u32>>,
    max_headers: Option<Spanned<u32>>,
    streams: Option<Spanned<u32>>,
    send_buffer: Option<Size>,
    origin_buffer: Option<Spanned<Size>>,
    pub(crate) tls_certificate: Option<Spanned<String>>,
    pub(crate) tls_key: Option<Spanned<String>>,
}

/// Settings of the listener.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) listen: SocketAddr,
    /// Other processes may listen on the same port (`SO_REUSEPORT`).
    pub(crate) reuse_port: bool,
    /// Limits the time from the first byte of a request's head to its last.
    pub(crate) header_timeout: Duration,
    /// Limits the time between two requests on a connection.
    pub(crate) idle_timeout: Duration,
    pub(crate) body_limits: BodyLimits,
    /// Time from the signal to stop until connections are no longer accepted.
    pub(crate) drain_delay: Duration,
    /// Time that requests in flight have from then on.
    pub(crate) shutdown_grace: Duration,
    /// Limits the time between two bytes of a WebSocket.
    pub(crate) websocket_timeout: Duration,
    /// Maximum number of clients' connections, if it is set.
    pub(crate) max_connections: Option<usize>,
    /// Maximum number of headers in a request or in an origin's response over HTTP/1, if it is not hyper's default
    /// of 100, for which hyper needs no allocation.
    pub(crate) max_headers: Option<usize>,
    /// Maximum number of concurrent requests on an HTTP/2 connection.
    pub(crate) streams: u32,
    /// Memory that the responses on an HTTP/2 connection share for large reads, in bytes.
    pub(crate) send_buffer: usize,
    /// Maximum size of one read of a response from its origin, in bytes.
    pub(crate) origin_buffer: u32,
    /// Certificate and key; without them the listener speaks plain HTTP.
    pub(crate) tls: Option<TlsFiles>,
}

/// Paths of a certificate chain and its key, in PEM.
#[derive(Clone)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl ServerSection {
    const TIMEOUT: Duration = Duration::from_secs(30);
    /// Default of Apache's `mod_reqtimeout`.
    const MIN_BODY_RATE: ByteSize = ByteSize::b(500);
    /// Default of API Gateway.
    const WEBSOCKET_TIMEOUT: Duration = Duration::from_secs(10 * 60);
    /// Minimum that RFC 9113, section 6.5.2, recommends.
    const STREAMS: u32 = 100;
    const SEND_BUFFER: ByteSize = ByteSize::mib(1);
    const ORIGIN_BUFFER: ByteSize = ByteSize::kib(32);
    const MIN_ORIGIN_BUFFER: ByteSize = ByteSize::b(ReadLimit::MIN as u64);
    const MAX_ORIGIN_BUFFER: ByteSize = ByteSize::mib(16);

    /// Returns the address to listen on.
    pub(super) fn address(&self) -> SocketAddr {
        self.listen.as_ref().map_or(DEFAULT_LISTEN, Spanned::get)
    }

    pub(crate) fn check(&self) -> Result<Server, ConfigError> {
        let timeout = |value, default| Ok(optional_duration(value)?.unwrap_or(default));
        let max_connections = positive("max_connections", &self.max_connections)?;
        let max_headers = positive("max_headers", &self.max_headers)?;
        let streams = positive("streams", &self.streams)?;
        let header_timeout = timeout(&self.header_timeout, Self::TIMEOUT)?;
        let send_buffer = self
            .send_buffer
            .map_or(Self::SEND_BUFFER, |size| size.0)
            .as_u64();
        Ok(Server {
            listen: self.address(),
            reuse_port: self.reuse_port,
            header_timeout,
            idle_timeout: timeout(&self.idle_timeout, header_timeout)?,
            body_limits: BodyLimits {
                timeout: timeout(&self.body_timeout, Self::TIMEOUT)?,
                min_rate: self
                    .min_body_rate
                    .map_or(Self::MIN_BODY_RATE, |size| size.0)
                    .as_u64(),
            },
            drain_delay: optional_delay(&self.drain_delay)?.unwrap_or_default(),
            shutdown_grace: optional_delay(&self.shutdown_grace)?.unwrap_or(Self::TIMEOUT),
            websocket_timeout: timeout(&self.websocket_timeout, Self::WEBSOCKET_TIMEOUT)?,
            max_connections: max_connections.map(|max| max as usize),
            max_headers: max_headers.map(|max| max as usize),
            streams: streams.unwrap_or(Self::STREAMS),
            send_buffer: usize::try_from(send_buffer).unwrap_or(usize::MAX),
            origin_buffer: self.origin_buffer()?,
            tls: self.tls()?,
        })
    }

    fn origin_buffer(&self) -> Result<u32, ConfigError> {
        let (min, max) = (Self::MIN_ORIGIN_BUFFER, Self::MAX_ORIGIN_BUFFER);
        match &self.origin_buffer {
            None => Ok(Self::ORIGIN_BUFFER.as_u64() as u32),
            Some(size) if (min..=max).contains(&size.get().0) => Ok(size.get().0.as_u64() as u32),
            Some(size) => Err(size.error(format!(
                "origin_buffer is {}; set it to a size from {min} to {max}",
                size.get().0
            ))),
        }
    }

    fn tls(&self) -> Result<Option<TlsFiles>, ConfigError> {
        match (&self.tls_certificate, &self.tls_key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => Ok(Some(TlsFiles {
                certificate: certificate.get_ref().clone(),
                key: key.get_ref().clone(),
            })),
            (Some(alone), None) | (None, Some(alone)) => {
                Err(alone.error("tls_certificate and tls_key go together; set both or neither"))
            }
        }
    }
}
