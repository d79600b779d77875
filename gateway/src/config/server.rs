//! Where clients arrive, and how long they may take: the section `[server]`.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    time::Duration,
};

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    ConfigError, Spanned,
    route::{duration, positive},
    schema::Size,
};
use crate::{listener::tls::Files, min_body_rate::Pace, upstream::ReadLimit};

/// Where to listen if nothing else is said.
pub(crate) const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerSection {
    listen: Option<SocketAddr>,
    header_timeout: Option<Spanned<String>>,
    idle_timeout: Option<Spanned<String>>,
    body_timeout: Option<Spanned<String>>,
    #[schemars(with = "Option<Size>")]
    min_body_rate: Option<ByteSize>,
    drain_delay: Option<Spanned<String>>,
    shutdown_grace: Option<Spanned<String>>,
    websocket_timeout: Option<Spanned<String>>,
    max_connections: Option<Spanned<u32>>,
    streams: Option<Spanned<u32>>,
    #[schemars(with = "Option<Size>")]
    send_buffer: Option<ByteSize>,
    #[schemars(with = "Option<Size>")]
    origin_buffer: Option<Spanned<ByteSize>>,
    tls_certificate: Option<Spanned<String>>,
    tls_key: Option<Spanned<String>>,
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) listen: SocketAddr,
    /// Limits the time from the first byte of a request's head to its last.
    pub(crate) header_timeout: Duration,
    /// Limits the time between two requests on a connection.
    pub(crate) idle_timeout: Duration,
    /// How slowly a client may send a body.
    pub(crate) body_pace: Pace,
    /// How long clients may still come once the gateway is told to stop.
    pub(crate) drain_delay: Duration,
    /// How long requests in flight may take once the gateway is told to stop.
    pub(crate) shutdown_grace: Duration,
    /// How long a WebSocket may be idle.
    pub(crate) websocket_timeout: Duration,
    /// How many connections of clients there may be at once.
    pub(crate) max_connections: usize,
    /// Maximum number of requests at once on a client's connection with HTTP/2.
    pub(crate) streams: u32,
    /// Memory that the responses on one connection with HTTP/2 share for large reads, in bytes.
    pub(crate) send_buffer: usize,
    /// How much of a response is read at once from its origin, in bytes.
    pub(crate) origin_buffer: u32,
    /// Plain if there are none.
    pub(crate) tls: Option<Files>,
}

impl ServerSection {
    const PATIENCE: Duration = Duration::from_secs(30);
    /// As Apache's `mod_reqtimeout` has it.
    const MIN_BODY_RATE: ByteSize = ByteSize::b(500);
    /// As API Gateway has it.
    const WEBSOCKET_TIMEOUT: Duration = Duration::from_secs(10 * 60);
    const MAX_CONNECTIONS: u32 = 10_000;
    /// The least that RFC 9113, section 6.5.2, recommends.
    const STREAMS: u32 = 100;
    const SEND_BUFFER: ByteSize = ByteSize::mib(1);
    const ORIGIN_BUFFER: ByteSize = ByteSize::kib(32);
    const LARGEST_BUFFER: ByteSize = ByteSize::mib(16);

    pub(super) fn build(&self, text: &str) -> Result<Server, ConfigError> {
        let time = |value: &Option<Spanned<String>>, default| {
            value
                .as_ref()
                .map_or(Ok(default), |value| duration(text, value))
        };
        let max_connections = positive(text, "max_connections", self.max_connections.as_ref())?;
        let streams = positive(text, "streams", self.streams.as_ref())?;
        let header_timeout = time(&self.header_timeout, Self::PATIENCE)?;
        let send_buffer = self.send_buffer.unwrap_or(Self::SEND_BUFFER).as_u64();
        Ok(Server {
            listen: self.listen.unwrap_or(DEFAULT_LISTEN),
            header_timeout,
            idle_timeout: time(&self.idle_timeout, header_timeout)?,
            body_pace: Pace {
                timeout: time(&self.body_timeout, Self::PATIENCE)?,
                rate: self.min_body_rate.unwrap_or(Self::MIN_BODY_RATE).as_u64(),
            },
            drain_delay: time(&self.drain_delay, Duration::ZERO)?,
            shutdown_grace: time(&self.shutdown_grace, Self::PATIENCE)?,
            websocket_timeout: time(&self.websocket_timeout, Self::WEBSOCKET_TIMEOUT)?,
            max_connections: max_connections.unwrap_or(Self::MAX_CONNECTIONS) as usize, // of 32 bits at least
            streams: streams.unwrap_or(Self::STREAMS),
            send_buffer: usize::try_from(send_buffer).unwrap_or(usize::MAX),
            origin_buffer: self.origin_buffer(text)?,
            tls: self.tls(text)?,
        })
    }

    fn origin_buffer(&self, text: &str) -> Result<u32, ConfigError> {
        let Some(given) = &self.origin_buffer else {
            return Ok(Self::ORIGIN_BUFFER.as_u64() as u32);
        };
        let (least, most) = (ByteSize::b(ReadLimit::LEAST as u64), Self::LARGEST_BUFFER);
        if *given.get_ref() < least || *given.get_ref() > most {
            let message = format!(
                "origin_buffer is {}; give {least} to {most}",
                given.get_ref()
            );
            return Err(ConfigError::new(text, Some(given.span()), message));
        }
        Ok(given.get_ref().as_u64() as u32) // at most 16 MiB
    }

    fn tls(&self, text: &str) -> Result<Option<Files>, ConfigError> {
        match (&self.tls_certificate, &self.tls_key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => {
                let files = Files {
                    certificate: certificate.get_ref().clone(),
                    key: key.get_ref().clone(),
                };
                let at = Some(certificate.span());
                let sound = files.check();
                sound
                    .map_err(|error| ConfigError::new(text, at, crate::response::chain(&*error)))?;
                Ok(Some(files))
            }
            (Some(alone), None) | (None, Some(alone)) => {
                let message = "tls_certificate and tls_key go together; give both, or neither";
                Err(ConfigError::new(
                    text,
                    Some(alone.span()),
                    message.to_owned(),
                ))
            }
        }
    }
}
