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
use crate::{paced::Pace, serve::tls::Files};

/// Where to listen if nothing else is said.
pub(crate) const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerSection {
    listen: Option<SocketAddr>,
    head_timeout: Option<Spanned<String>>,
    body_timeout: Option<Spanned<String>>,
    #[schemars(with = "Option<Size>")]
    body_rate: Option<ByteSize>,
    drain_delay: Option<Spanned<String>>,
    grace: Option<Spanned<String>>,
    websocket_timeout: Option<Spanned<String>>,
    connections: Option<Spanned<u32>>,
    tls_certificate: Option<Spanned<String>>,
    tls_key: Option<Spanned<String>>,
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) listen: SocketAddr,
    /// How long a client may take for the head of a request.
    pub(crate) head_timeout: Duration,
    /// How slowly a client may send a body.
    pub(crate) body_pace: Pace,
    /// How long clients may still come once the gateway is told to stop.
    pub(crate) drain_delay: Duration,
    /// How long requests in flight may take once the gateway is told to stop.
    pub(crate) grace: Duration,
    /// How long a WebSocket may be idle.
    pub(crate) websocket_timeout: Duration,
    /// How many connections of clients there may be at once.
    pub(crate) connections: usize,
    /// Plain if there are none.
    pub(crate) tls: Option<Files>,
}

impl ServerSection {
    const PATIENCE: Duration = Duration::from_secs(30);
    /// As Apache's `mod_reqtimeout` has it.
    const BODY_RATE: ByteSize = ByteSize::b(500);
    /// As API Gateway has it.
    const WEBSOCKET_TIMEOUT: Duration = Duration::from_secs(10 * 60);
    const CONNECTIONS: u32 = 10_000;

    pub(super) fn build(&self, text: &str) -> Result<Server, ConfigError> {
        let time = |value: &Option<Spanned<String>>, default| {
            value.as_ref().map_or(Ok(default), |value| duration(text, value))
        };
        let connections = positive(text, "connections", self.connections.as_ref())?;
        Ok(Server {
            listen: self.listen.unwrap_or(DEFAULT_LISTEN),
            head_timeout: time(&self.head_timeout, Self::PATIENCE)?,
            body_pace: Pace {
                timeout: time(&self.body_timeout, Self::PATIENCE)?,
                rate: self.body_rate.unwrap_or(Self::BODY_RATE).as_u64(),
            },
            drain_delay: time(&self.drain_delay, Duration::ZERO)?,
            grace: time(&self.grace, Self::PATIENCE)?,
            websocket_timeout: time(&self.websocket_timeout, Self::WEBSOCKET_TIMEOUT)?,
            connections: connections.unwrap_or(Self::CONNECTIONS) as usize, // of 32 bits at least
            tls: self.tls(text)?,
        })
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
                sound.map_err(|error| ConfigError::new(text, at, crate::proxy::chain(&*error)))?;
                Ok(Some(files))
            }
            (Some(alone), None) | (None, Some(alone)) => {
                let message = "tls_certificate and tls_key go together; give both, or neither";
                Err(ConfigError::new(text, Some(alone.span()), message.to_owned()))
            }
        }
    }
}
