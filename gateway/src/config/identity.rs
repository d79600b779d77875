//! The sections `[[identity]]`: credentials for origins and routes.

mod chain;
mod role;
mod role_keys;
mod section;
mod settings;
mod source;
mod template;

pub(crate) use self::{
    chain::identities,
    role::Role,
    section::IdentitySection,
    settings::{CredentialPath, IdentitySettings},
    source::Source,
    template::SessionValues,
};
