//! The sections `[[identity]]`: credentials for origins and routes.

mod chain;
mod role;
mod role_keys;
mod section;
mod source;
mod template;

pub(crate) use self::{
    chain::{CredentialPath, IdentitySettings, identities},
    role::Role,
    section::IdentitySection,
    source::Source,
    template::SessionValues,
};
