//! Picks the credentials of a route's requests.

use http::request::Parts;
use tower_sigv4::{
    Error,
    credentials::{CredentialsCache, PickIdentity},
};

use super::{
    picker::{IdentityPicker, Sessions},
    users::{UserPicker, Users},
};

/// Picker of an identity whose credentials differ by request.
#[derive(Clone)]
pub(crate) enum RoutePicker {
    Session(IdentityPicker),
    User(UserPicker),
}

impl RoutePicker {
    pub(super) fn for_sessions(sessions: &Sessions, route: &str) -> Self {
        Self::Session(IdentityPicker::new(sessions, route))
    }

    pub(super) fn for_users(users: &Users) -> Self {
        Self::User(UserPicker::new(users))
    }

    /// Returns bytes that separate the cached responses of a request from those with other credentials, or `None` if
    /// the request gets no credentials.
    pub(crate) fn cache_part(&self, head: &Parts) -> Option<Vec<u8>> {
        match self {
            Self::Session(picker) => Some(picker.session(head)?.to_bytes()),
            Self::User(picker) => picker.cache_part(head),
        }
    }
}

impl PickIdentity for RoutePicker {
    fn pick(&self, head: &Parts) -> Result<CredentialsCache, Error> {
        match self {
            Self::Session(picker) => picker.pick(head),
            Self::User(picker) => picker.pick(head),
        }
    }
}
