//! The states of a form that is signed by a policy.

use http::Request;
use http_body::Body;
use tower_service::Service;

use super::{
    Rejection, RejectionKind as Kind,
    key_store::LookupResult,
    post_policy::{Fields, FormUpload, ParsedForm, UnreadFile},
    state::{Pending, State},
    step::found_key,
};
use crate::{
    body::VerifiedBody,
    error::{BoxError, ErrorKind},
};

impl<S, B> State<S, S::Future, B>
where
    S: Service<Request<VerifiedBody<B>>>,
    B: Body,
    B::Error: Into<BoxError>,
{
    /// Continues after the fields of a form.
    pub(super) fn check_form(
        pending: Pending<S>,
        read: Result<(Fields, UnreadFile<B>), Rejection>,
    ) -> Self {
        let parsed = read.and_then(|(fields, file)| {
            let services = pending.config.verifier.services();
            let form = ParsedForm::parse(fields, &pending.head, services, pending.now)?;
            Ok(FormUpload { form, file })
        });
        match parsed {
            Ok(upload) => {
                let lookup = pending.config.keys.lookup(&upload.form.key_request());
                Self::LookingUpForm {
                    pending: Some((pending, upload)),
                    lookup,
                }
            }
            Err(rejection) => pending.reject_form(rejection),
        }
    }

    /// Verifies a form and calls the inner service.
    pub(super) fn finish_form(
        mut pending: Pending<S>,
        upload: FormUpload<B>,
        found: LookupResult,
    ) -> Self {
        let verified = found_key(found).and_then(|key| {
            pending.attachments = key.attachments;
            pending
                .config
                .verifier
                .verify_form(&upload.form, &key.credentials)
        });
        let (proof, size) = match verified {
            Ok(valid) => valid,
            Err(rejection) => return pending.reject_form(rejection),
        };
        match upload.file.into_body(size) {
            Ok(body) => {
                let form = upload.form.into_verified();
                pending.head.extensions.insert(form);
                Self::call(pending, Some(proof), VerifiedBody::form(body))
            }
            Err(error) => {
                let kind = match error.kind() {
                    ErrorKind::BodyTooLarge => Kind::BodyTooLarge,
                    ErrorKind::BodyTooSmall => Kind::BodyTooSmall,
                    _ => Kind::MalformedForm,
                };
                pending.reject_form(kind.rejection(error.to_string()))
            }
        }
    }
}

impl<S> Pending<S> {
    pub(super) fn reject_form<F, B>(self, rejection: Rejection) -> State<S, F, B> {
        let with_head = rejection.with_head(&self.head);
        self.reject(with_head)
    }
}
