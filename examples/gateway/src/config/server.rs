//! Where clients arrive, and how long they may take: the section `[server]`.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    time::Duration,
};

use serde::Deserialize;
use toml::Spanned;

use super::{ConfigError, route::duration};

/// Where to listen if nothing else is said.
pub(crate) const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerSection {
    listen: Option<SocketAddr>,
    head_timeout: Option<Spanned<String>>,
    body_timeout: Option<Spanned<String>>,
    grace: Option<Spanned<String>>,
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) listen: SocketAddr,
    /// How long a client may take for the head of a request.
    pub(crate) head_timeout: Duration,
    /// How long a client may take from one piece of its body to the next.
    pub(crate) body_timeout: Duration,
    /// How long requests in flight may take once the gateway is told to stop.
    pub(crate) grace: Duration,
}

impl ServerSection {
    const PATIENCE: Duration = Duration::from_secs(30);

    pub(super) fn build(&self, text: &str) -> Result<Server, ConfigError> {
        let time = |value: &Option<Spanned<String>>| {
            value.as_ref().map_or(Ok(Self::PATIENCE), |value| duration(text, value))
        };
        Ok(Server {
            listen: self.listen.unwrap_or(DEFAULT_LISTEN),
            head_timeout: time(&self.head_timeout)?,
            body_timeout: time(&self.body_timeout)?,
            grace: time(&self.grace)?,
        })
    }
}
