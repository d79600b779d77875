//! The sections `[[identity]]`: credentials for origins and routes.

mod caller_keys;
mod caller_source;
mod chain;
mod role;
mod role_keys;
mod section;
mod settings;
mod source;
mod template;

#[cfg(feature = "aws-config")]
pub(crate) use self::caller_source::IdentityPool;
pub(crate) use self::{
    caller_source::{CallerSource, login_of},
    chain::identities,
    role::Role,
    section::IdentitySection,
    settings::{CredentialPath, IdentitySettings},
    source::Source,
    template::SessionValues,
};
