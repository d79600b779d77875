//! Picks the user of each request.

use http::request::Parts;
use tower_sigv4::{
    Error,
    credentials::{CredentialsCache, PickIdentity},
};

use super::sessions::Users;
use crate::identity::user_token::UserToken;

/// Picks the credentials of the caller.
#[derive(Clone)]
pub(crate) struct UserPicker {
    users: Users,
}

impl UserPicker {
    pub(crate) fn new(users: &Users) -> Self {
        Self {
            users: users.clone(),
        }
    }

    /// Returns bytes that differ for each user, or `None` if the request gets no credentials.
    pub(crate) fn cache_part(&self, head: &Parts) -> Option<Vec<u8>> {
        let token = UserToken::find(&head.extensions);
        let user = self.users.check(token.as_ref()).ok()?.user();
        Some(user.to_bytes())
    }
}

impl PickIdentity for UserPicker {
    fn pick(&self, head: &Parts) -> Result<CredentialsCache, Error> {
        let token = UserToken::find(&head.extensions);
        Ok(match self.users.check(token.as_ref()) {
            Ok(valid) => self.users.credentials(valid),
            Err(rejected) => rejected.clone(),
        })
    }
}
