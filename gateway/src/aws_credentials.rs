//! Credentials of AWS's SDK: profiles and the roles of pods, tasks and instances; feature `aws-config`.

use aws_config::{
    default_provider::credentials::DefaultCredentialsChain, provider_config::ProviderConfig,
};
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use tokio::sync::OnceCell;

/// The SDK's default chain, created on first use: `--check` does not need it.
#[derive(Debug, Default)]
pub(crate) struct DefaultChain(OnceCell<DefaultCredentialsChain>);

impl ProvideCredentials for DefaultChain {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            self.0
                .get_or_init(build_chain)
                .await
                .provide_credentials()
                .await
        })
    }
}

async fn build_chain() -> DefaultCredentialsChain {
    // The SDK's default client needs aws-lc.
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let config = ProviderConfig::default().with_http_client(http);
    DefaultCredentialsChain::builder()
        .configure(config)
        .build()
        .await
}
