//! Sources of the SDK: profiles, metadata services, and the default chain.

use std::sync::Arc;

use aws_config::{
    default_provider::credentials::DefaultCredentialsChain, ecs::EcsCredentialsProvider,
    imds::credentials::ImdsCredentialsProvider, profile::ProfileFileCredentialsProvider,
    provider_config::ProviderConfig,
};
use aws_credential_types::provider::{self, ProvideCredentials, future};
use aws_sdk_sts::config::SharedHttpClient;

use super::{
    http::{self, HttpClients},
    token_exchange::TokenExchange,
};
use crate::config::Source;

/// Creates the SDK's provider for each call, so that it reads changed files again.
#[derive(Debug)]
pub(super) struct SdkSource {
    kind: Kind,
    clients: HttpClients,
}

#[derive(Debug)]
enum Kind {
    Profile(Option<String>),
    WebIdentity {
        token_file: Option<String>,
        exchange: Box<TokenExchange>,
    },
    Container,
    Instance,
    Chain,
}

impl SdkSource {
    pub(super) fn new(source: Source, clients: HttpClients) -> Self {
        let kind = match source {
            Source::Profile(profile) => Kind::Profile(profile),
            Source::WebIdentity { token_file, role } => {
                let exchange = Box::new(TokenExchange::new(*role, clients.clone()));
                Kind::WebIdentity {
                    token_file,
                    exchange,
                }
            }
            Source::Container => Kind::Container,
            Source::Instance => Kind::Instance,
            // The caller creates the other sources itself.
            _ => Kind::Chain,
        };
        Self { kind, clients }
    }

    async fn credentials(&self) -> provider::Result {
        let provider: Arc<dyn ProvideCredentials> = match &self.kind {
            Kind::WebIdentity {
                token_file,
                exchange,
            } => return exchange.credentials_of_file(token_file).await,
            Kind::Profile(name) => {
                let mut builder = ProfileFileCredentialsProvider::builder()
                    .configure(&config(self.clients.proxied()).await);
                if let Some(profile) = name {
                    builder = builder.profile_name(profile);
                }
                Arc::new(builder.build())
            }
            Kind::Container => {
                let config = ProviderConfig::default().with_http_client(self.clients.direct());
                Arc::new(EcsCredentialsProvider::builder().configure(&config).build())
            }
            Kind::Instance => {
                let config = ProviderConfig::default().with_http_client(self.clients.direct());
                Arc::new(
                    ImdsCredentialsProvider::builder()
                        .configure(&config)
                        .build(),
                )
            }
            Kind::Chain => {
                let config = config(self.clients.proxied()).await;
                Arc::new(
                    DefaultCredentialsChain::builder()
                        .configure(config)
                        .build()
                        .await,
                )
            }
        };
        provider.provide_credentials().await
    }
}

async fn config(http: SharedHttpClient) -> ProviderConfig {
    ProviderConfig::default()
        .with_http_client(http)
        .with_region(http::region().await)
}

impl ProvideCredentials for SdkSource {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}
