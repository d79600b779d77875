//! Where the gateway itself is asked: the section `[admin]`.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ConfigError, Spanned};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AdminSection {
    listen: Option<SocketAddr>,
    #[serde(default)]
    allowed_hosts: Vec<Spanned<String>>,
}

#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) listen: SocketAddr,
    /// Names that it may be called by, besides `localhost` and its address; in small letters.
    pub(crate) allowed_hosts: Vec<String>,
}

impl AdminSection {
    const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9090));

    pub(super) fn build(&self, text: &str) -> Result<Admin, ConfigError> {
        let is_name = |host: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            !host.is_empty() && host.bytes().all(allowed)
        };
        if let Some(host) = self
            .allowed_hosts
            .iter()
            .find(|host| !is_name(host.get_ref()))
        {
            let message = format!(
                "{:?} is not the name of a host; write one such as \"gateway.internal\", without a port",
                host.get_ref()
            );
            return Err(ConfigError::new(text, Some(host.span()), message));
        }
        Ok(Admin {
            listen: self.listen.unwrap_or(Self::LISTEN),
            allowed_hosts: self
                .allowed_hosts
                .iter()
                .map(|host| host.get_ref().to_ascii_lowercase())
                .collect(),
        })
    }
}
