//! The section `[admin]`.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{error::ConfigError, server::ServerSection, value::Spanned};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdminSection {
    listen: Option<Spanned<SocketAddr>>,
    #[serde(default)]
    allowed_hosts: Vec<Spanned<String>>,
}

/// Settings of the admin port.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) listen: SocketAddr,
    /// Accepted host names besides `localhost` and the port's own address, in lower case.
    pub(crate) allowed_hosts: Vec<String>,
}

impl AdminSection {
    const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9090));

    pub(super) fn check(&self, server: &ServerSection) -> Result<Admin, ConfigError> {
        let listen = self.listen.as_ref().map_or(Self::LISTEN, Spanned::get);
        // The system chooses different ports for 0.
        if listen == server.address() && listen.port() != 0 {
            let setting = self.listen.as_ref().or(server.listen.as_ref());
            return Err(ConfigError::at(
                setting.map(Spanned::span).unwrap_or_default(),
                format!(
                    "[server] and [admin] both listen on {listen}; choose another port for one"
                ),
            ));
        }
        let allowed_hosts = self.allowed_hosts.iter().map(host_name);
        Ok(Admin {
            listen,
            allowed_hosts: allowed_hosts.collect::<Result<_, _>>()?,
        })
    }
}

/// Returns a host name in lower case.
fn host_name(host: &Spanned<String>) -> Result<String, ConfigError> {
    let name = host.get_ref();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if name.is_empty() || !name.bytes().all(allowed) {
        return Err(host.error(format!(
            "{name:?} is not a host name; write one such as \"gateway.internal\", without a port"
        )));
    }
    Ok(name.to_ascii_lowercase())
}
