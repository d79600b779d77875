//! Uploads from an HTML form to Amazon S3, limited by a signed policy.

mod condition;
mod form;
mod json;
mod policy;
#[cfg(test)]
pub(crate) mod published;

pub use self::{form::PostForm, policy::PostPolicy};
