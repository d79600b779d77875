//! Credential providers, and a cache that refreshes their credentials.
//!
//! A provider implements [`ProvideCredentials`] of the AWS SDK: static [`Credentials`], [`EnvironmentCredentials`], the
//! default chain of the crate `aws-config`, or your own type.
//!
//! A [`SigningLayer`](crate::SigningLayer) wraps its provider in a [`CredentialsCache`], since a provider may send
//! requests to a metadata service. Usually no request waits for credentials.
//!
//! # Several identities
//!
//! One layer signs with any number of identities. Its own credentials are the default:
//!
//! | credentials of | set by |
//! |---|---|
//! | all requests | [`SigningLayer::new`](crate::SigningLayer::new) |
//! | an origin or a route | [`Origin::with_credentials`](crate::Origin::with_credentials) |
//! | a request | [`Origin::with_identity`](crate::Origin::with_identity), with a [`PickIdentity`] and often [`Identities`] |
//!
//! All that is derived from credentials belongs to their identity: signing keys, marks of expired credentials, reports
//! and diagnoses. Credentials that an origin rejects as expired have no effect on other identities.

#[cfg(feature = "sign")]
mod cache;
#[cfg(feature = "sign")]
mod cached_credentials;
mod environment;
#[cfg(feature = "sign")]
mod identities;
#[cfg(feature = "sign")]
mod load;
#[cfg(feature = "sign")]
mod observer;
#[cfg(feature = "sign")]
mod pending_load;
#[cfg(feature = "sign")]
mod pick_identity;
#[cfg(feature = "sign")]
mod recent_success;

pub use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError},
};

pub use self::environment::EnvironmentCredentials;
#[cfg(feature = "sign")]
#[cfg_attr(docsrs, doc(cfg(feature = "sign")))]
pub use self::{
    cache::CredentialsCache,
    identities::Identities,
    observer::{DropReason, Observer},
    pick_identity::PickIdentity,
};
#[cfg(feature = "sign")]
pub(crate) use self::{
    cached_credentials::CachedCredentials,
    pending_load::{Load, LoadFuture},
};
