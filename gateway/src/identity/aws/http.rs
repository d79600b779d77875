//! HTTP clients of the SDK, and its region.

use std::sync::{Arc, OnceLock};

use aws_config::{
    Region, environment::EnvironmentVariableRegionProvider, meta::region::RegionProviderChain,
    profile::ProfileFileRegionProvider,
};
use aws_sdk_sts::config::{RuntimeComponents, SharedAsyncSleep, SharedHttpClient};
use aws_smithy_http_client::{
    Builder, Connector,
    proxy::ProxyConfig,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;

/// Clients with the gateway's TLS library: the SDK's default needs aws-lc.
///
/// They trust the system's certificates, or those in the file that `SSL_CERT_FILE` names.
#[derive(Clone, Debug, Default)]
pub(crate) struct HttpClients {
    clients: Arc<[OnceLock<SharedHttpClient>; 2]>,
    connector: Arc<OnceLock<Connector>>,
}

impl HttpClients {
    /// Returns the client of STS and IAM Identity Center. It uses the proxy of `HTTPS_PROXY` and `NO_PROXY`.
    pub(super) fn proxied(&self) -> SharedHttpClient {
        self.clients[0]
            .get_or_init(|| client(ProxyConfig::from_env()))
            .clone()
    }

    /// Returns the connector of services without a client of the SDK. It uses the proxy as [`proxied`](Self::proxied).
    pub(super) fn connector(&self) -> &Connector {
        self.connector
            .get_or_init(|| connector(&ProxyConfig::from_env(), None, None))
    }

    /// Returns the client of metadata services, which are on this machine.
    pub(super) fn direct(&self) -> SharedHttpClient {
        self.clients[1]
            .get_or_init(|| client(ProxyConfig::disabled()))
            .clone()
    }
}

fn client(proxy: ProxyConfig) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let sleep = components.and_then(RuntimeComponents::sleep_impl);
        connector(&proxy, settings.cloned(), sleep)
    })
}

fn connector(
    proxy: &ProxyConfig,
    settings: Option<HttpConnectorSettings>,
    sleep: Option<SharedAsyncSleep>,
) -> Connector {
    let mut builder = Connector::builder()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .proxy_config(proxy.clone());
    builder.set_connector_settings(settings);
    builder.set_sleep_impl(sleep);
    builder.build()
}

/// Returns the region of the environment or of the profile. The metadata service is not called: outside of AWS it makes
/// each start slow.
pub(super) async fn region() -> Option<Region> {
    RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new())
        .region()
        .await
}
