//! Credentials: where they come from, and a cache that keeps them fresh.
//!
//! Anything that implements AWS's [`ProvideCredentials`] will do: [`Credentials`] themselves, which
//! never change; [`EnvironmentCredentials`]; the default chain of the crate `aws-config`; or a
//! provider of your own.
//!
//! A [`SigningLayer`](crate::SigningLayer) puts a [`CredentialsCache`] before it, since asking a
//! provider may mean a request to a metadata service. In the common case a request waits for nothing.

mod cache;
mod entry;
mod environment;
mod flight;

pub use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError},
};

pub use self::{cache::CredentialsCache, environment::EnvironmentCredentials};
pub(crate) use self::{cache::Load, entry::CachedCredentials, flight::LoadFuture};
