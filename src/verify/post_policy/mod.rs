//! Forms that upload a file, signed by a policy (Amazon S3 API Reference, "Authenticating Requests: Browser-Based Uploads
//! Using POST").

mod document;
mod multipart;
mod parsed_form;
mod read_form;
#[cfg(test)]
mod tests;
mod verified_form;

use http::{Method, request::Parts};

pub use self::verified_form::VerifiedForm;
pub(super) use self::{
    multipart::Fields,
    parsed_form::ParsedForm,
    read_form::{ReadForm, UnreadFile},
};
use super::VerifyServices;

/// Returns `true` for a request that may be a signed form.
pub(super) fn is_signed_form(head: &Parts, services: &VerifyServices) -> bool {
    head.method == Method::POST
        && services.iter().any(|settings| settings.post_policy)
        && multipart::is_form(&head.headers)
}

/// A form, up to its file.
pub(super) struct FormUpload<B> {
    pub(super) form: ParsedForm,
    pub(super) file: UnreadFile<B>,
}
