//! Credential providers, and a cache that refreshes their credentials.
//!
//! A provider implements [`ProvideCredentials`] of the AWS SDK: static [`Credentials`], [`EnvironmentCredentials`], the
//! default chain of the crate `aws-config`, or your own type.
//!
//! A [`SigningLayer`](crate::SigningLayer) wraps its provider in a [`CredentialsCache`], since a provider may send
//! requests to a metadata service. Usually no request waits for credentials.

#[cfg(feature = "sign")]
mod cache;
#[cfg(feature = "sign")]
mod cached_credentials;
mod environment;
#[cfg(feature = "sign")]
mod pending_load;

pub use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError},
};

#[cfg(feature = "sign")]
#[cfg_attr(docsrs, doc(cfg(feature = "sign")))]
pub use self::cache::CredentialsCache;
pub use self::environment::EnvironmentCredentials;
#[cfg(feature = "sign")]
pub(crate) use self::{
    cached_credentials::CachedCredentials,
    pending_load::{Load, LoadFuture},
};
