//! Credentials of each user, by the user's own token.

mod picker;
mod provider;
mod sessions;
mod sign_outs;

pub(crate) use self::{picker::UserPicker, sessions::Users, sign_outs::SignOuts};
