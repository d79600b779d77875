use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body;
use memchr::memchr;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    BodyCheck, LookupFuture, Rejection, RejectionKind as Kind, Verified, VerifiedForm,
    body_check::{collect_rejection, payload_mismatch, presigned_upload, undeclared_body},
    error_response::{Explain, error_response},
    key_store::{Attachments, LookupResult},
    layer_config::LayerConfig,
    post_policy::{FormUpload, ReadForm, is_signed_form},
    request_checks,
    step::{AfterCollect, Step, found_key, verify},
};
use crate::{
    body::{AwsChunkedDecoder, Collect, Collected, VerifiedBody, declared_len},
    error::{BoxError, Error, ErrorKind},
    error_response::ErrorContext,
    origin::VerifiedService,
    sigv4::{
        Payload, PayloadHash,
        aws_chunk::ExpectedChunks,
        client_chunks::ClientChecksum,
        verified_payload::{DecodedChunks, VerifiedPayload},
    },
};

pin_project! {
    #[project = StateProj]
    /// State of a [`ResponseFuture`](super::ResponseFuture).
    pub(super) enum State<S, F, B> {
        // The inner service is dropped already.
        Rejected { response: Option<Response<Bytes>> },
        LookingUp { pending: Option<(Pending<S>, B)>, lookup: LookupFuture },
        // A form, up to its file.
        ReadingForm { pending: Option<Pending<S>>, form: ReadForm<B> },
        LookingUpForm { pending: Option<(Pending<S>, FormUpload<B>)>, lookup: LookupFuture },
        Collecting {
            pending: Option<(Pending<S>, AfterCollect)>,
            #[pin] body: Collect<VerifiedBody<B>>,
        },
        Calling { #[pin] response: F },
    }
}

/// Maximum size of a chunk in a streamed body, in bytes. The SDKs send chunks of 64 KiB or 1 MiB.
const MAX_CHUNK_SIZE: u64 = 16 * 1024 * 1024;

/// A request in progress and the ready service for it.
pub(super) struct Pending<S> {
    inner: S,
    pub(super) config: Arc<LayerConfig>,
    pub(super) head: Parts,
    /// Those of the key, applied when the whole request is verified.
    pub(super) attachments: Attachments,
    /// Arrival time. The request does not expire during the key lookup or while its body is read.
    pub(super) now: SystemTime,
}

impl<S, B> State<S, S::Future, B>
where
    S: Service<Request<VerifiedBody<B>>>,
    B: Body,
    B::Error: Into<BoxError>,
{
    /// Does everything that needs no waiting.
    pub(super) fn start(inner: S, config: Arc<LayerConfig>, request: Request<B>) -> Self {
        let (mut head, body) = request.into_parts();
        request_checks::restore_signed_form(&mut head);
        if config.rewrites_path || memchr(b'+', head.uri.path().as_bytes()).is_some() {
            let form = config.verifier.services().for_claim(&head).path_form;
            request_checks::rewrite_path(&mut head, form, config.rewrites_path);
        }
        // That of an outer layer may be about another body.
        head.extensions.remove::<VerifiedPayload>();
        head.extensions.remove::<VerifiedForm>();
        let mut pending = Pending {
            now: config.clock.now(),
            inner,
            config,
            head,
            attachments: Attachments::default(),
        };
        let step = pending.first_step();
        Self::advance(pending, step, body)
    }

    pub(super) fn advance(mut pending: Pending<S>, step: Result<Step, Rejection>, body: B) -> Self {
        match step {
            Ok(Step::LookUp(lookup)) => Self::LookingUp {
                pending: Some((pending, body)),
                lookup,
            },
            Ok(Step::ReadForm) => match ReadForm::new(&pending.head.headers, body) {
                Ok(form) => Self::ReadingForm {
                    pending: Some(pending),
                    form,
                },
                Err(rejection) => pending.reject_form(rejection),
            },
            Ok(Step::PassThrough(verified)) => {
                Self::call(pending, verified, VerifiedBody::unverified(body))
            }
            // A service that expects an empty body would not read up to the error.
            Ok(Step::Stream(_, hash))
                if declared_len(&body, &pending.head.headers) == Some(0)
                    && !hash.ct_eq(&PayloadHash::EMPTY) =>
            {
                pending.reject(payload_mismatch())
            }
            Ok(Step::Stream(verified, hash)) => {
                pending.declare(VerifiedPayload::hash(hash));
                Self::call(pending, Some(verified), VerifiedBody::checked(body, hash))
            }
            Ok(Step::Collect(limit, after)) => {
                let unread = VerifiedBody::unverified(body);
                let collect = Collect::new(unread, &pending.head.headers, limit);
                Self::collect(pending, after, collect)
            }
            Ok(Step::ExpectEmpty(_)) if body.size_hint().lower() > 0 => {
                pending.reject(presigned_upload())
            }
            Ok(Step::ExpectEmpty(verified)) => {
                let collect =
                    Collect::with_unknown_len(VerifiedBody::unverified(body), 0, undeclared_body);
                Self::collect(pending, AfterCollect::Empty(verified), Ok(collect))
            }
            Ok(Step::Decode(verified, chunks, check)) => {
                Self::decode(pending, (verified, chunks), check, body)
            }
            Err(rejection) => pending.reject(rejection),
        }
    }

    /// Decodes an `aws-chunked` body.
    fn decode(
        mut pending: Pending<S>,
        (verified, chunks): (Verified, ExpectedChunks),
        check: BodyCheck,
        body: B,
    ) -> Self {
        let framing = chunks.framing;
        let checksum = framing.checksum().map(ClientChecksum::new);
        let sdk_algorithm = request_checks::remove_framing(&mut pending.head, chunks.decoded);
        pending.declare(VerifiedPayload::chunks(DecodedChunks {
            framing,
            checksum: checksum.clone(),
            sdk_algorithm,
        }));
        let limit = match check {
            BodyCheck::Collected { limit } => limit,
            // A service that expects an empty body would not read up to the error.
            BodyCheck::Streamed if chunks.decoded == 0 => MAX_CHUNK_SIZE,
            BodyCheck::Streamed => {
                let decoder = AwsChunkedDecoder::new(body, chunks, checksum, MAX_CHUNK_SIZE);
                return Self::call(pending, Some(verified), VerifiedBody::chunked(decoder));
            }
        };
        let decoded = VerifiedBody::chunked(AwsChunkedDecoder::new(body, chunks, checksum, limit));
        let collect = Collect::new(decoded, &pending.head.headers, limit);
        let after = AfterCollect::Decoded(verified);
        Self::collect(pending, after, collect.map(Collect::without_hash))
    }

    /// Collects a body once its memory is reserved.
    fn collect(
        mut pending: Pending<S>,
        after: AfterCollect,
        planned: Result<Collect<VerifiedBody<B>>, Error>,
    ) -> Self {
        let budget = pending.config.budget.as_ref();
        match planned.and_then(|body| body.reserve(budget, &mut pending.head.extensions)) {
            Ok(body) => Self::Collecting {
                pending: Some((pending, after)),
                body,
            },
            Err(error) => pending.reject_body(error),
        }
    }

    /// Checks a collected body and calls the inner service.
    pub(super) fn finish(
        mut pending: Pending<S>,
        after: AfterCollect,
        result: Result<(Collected, Payload), Error>,
    ) -> Self {
        let (collected, payload) = match result {
            Ok(complete) => complete,
            Err(error)
                if matches!(after, AfterCollect::Empty(_))
                    && error.kind() == ErrorKind::BodyTooLarge =>
            {
                return pending.reject(presigned_upload().with_source(error));
            }
            Err(error) => return pending.reject_body(error),
        };
        let signed_hash = match &after {
            AfterCollect::CompareHash(_, hash) => Some(*hash),
            _ => None,
        };
        match pending.check_collected(after, payload) {
            Ok(verified) => {
                if let Some(hash) = signed_hash {
                    pending.declare(VerifiedPayload::hash(hash));
                }
                collected.share_reservation(&mut pending.head.extensions);
                Self::call(pending, Some(verified), VerifiedBody::collected(collected))
            }
            Err(rejection) => pending.reject(rejection),
        }
    }

    pub(super) fn call(
        mut pending: Pending<S>,
        verified: Option<Verified>,
        body: VerifiedBody<B>,
    ) -> Self {
        // Replaces the proof of an outer layer, whose settings may differ.
        let verified_service = pending.verified_service(verified.as_ref());
        let extensions = &mut pending.head.extensions;
        match verified {
            Some(proof) => {
                // First, so that a key store cannot replace the proof.
                pending.attachments.apply(extensions);
                extensions.insert(proof);
            }
            None => drop(extensions.remove::<Verified>()),
        }
        match verified_service {
            Some(service) => drop(extensions.insert(service)),
            None => drop(extensions.remove::<VerifiedService>()),
        }
        Self::Calling {
            response: pending.inner.call(Request::from_parts(pending.head, body)),
        }
    }
}

impl<S> Pending<S> {
    /// Describes the payload for the layers inside.
    fn declare(&mut self, payload: VerifiedPayload) {
        self.head.extensions.insert(payload);
    }

    /// Verifies the request, unless the key lookup has to wait.
    fn first_step(&mut self) -> Result<Step, Rejection> {
        let request = match self.config.verifier.parse(&self.head, self.now) {
            Err(rejection)
                if rejection.kind() == Kind::MissingAuthentication
                    && is_signed_form(&self.head, self.config.verifier.services()) =>
            {
                return Ok(Step::ReadForm);
            }
            Err(rejection)
                if self.config.allows_anonymous
                    && rejection.kind() == Kind::MissingAuthentication =>
            {
                return Ok(Step::PassThrough(None));
            }
            parsed => parsed?,
        };
        let lookup = self.config.keys.lookup(&request.key_request());
        match lookup.into_ready() {
            Ok(found) => {
                let key = found_key(found)?;
                self.attachments = key.attachments;
                verify(&self.config, request, key.credentials)
            }
            Err(waiting) => Ok(Step::LookUp(waiting)),
        }
    }

    /// Continues after a lookup that had to wait.
    pub(super) fn resume(&mut self, found: LookupResult) -> Result<Step, Rejection> {
        let request = self.config.verifier.parse(&self.head, self.now)?;
        let key = found_key(found)?;
        self.attachments = key.attachments;
        verify(&self.config, request, key.credentials)
    }

    /// Compares a collected body with the signature.
    fn check_collected(
        &self,
        after: AfterCollect,
        payload: Payload,
    ) -> Result<Verified, Rejection> {
        match (after, payload) {
            (AfterCollect::Decoded(verified) | AfterCollect::Empty(verified), _) => Ok(verified),
            (AfterCollect::CompareHash(verified, signed), Payload::Hash(hash))
                if signed.ct_eq(&hash) =>
            {
                Ok(verified)
            }
            (AfterCollect::CompareHash(..), _)
            | (AfterCollect::VerifySignature(_), Payload::Unsigned) => Err(payload_mismatch()),
            (AfterCollect::VerifySignature(key), Payload::Hash(hash)) => {
                let verifier = &self.config.verifier;
                let request = verifier.parse(&self.head, self.now)?;
                Ok(verifier.verify(request, &key, &hash)?.to_verified())
            }
        }
    }

    /// Returns the service whose rules were applied, if there are several.
    fn verified_service(&self, verified: Option<&Verified>) -> Option<VerifiedService> {
        let groups = self.config.service_groups.as_ref()?;
        let service = verified?.service();
        let has_service = |group: &Vec<String>| group.iter().any(|name| name == service);
        Some(VerifiedService {
            groups: groups.clone(),
            verified_by: groups.iter().position(has_service)?,
        })
    }

    /// Drops the inner service and prepares the error response.
    pub(super) fn reject<F, B>(self, rejection: Rejection) -> State<S, F, B> {
        let config = &self.config;
        #[cfg(feature = "tracing")]
        {
            let message = || rejection.message_with(config.rename_settings);
            match rejection.kind() {
                Kind::LookupFailed => tracing::warn!(rejection = %message(), "request rejected"),
                kind => tracing::debug!(?kind, rejection = %message(), "request rejected"),
            }
        }
        let explain = Explain {
            enabled: config.verifier.services().for_claim(&self.head).explain,
            rename: config.rename_settings,
        };
        let mut context = ErrorContext::from_head(&self.head, config.verifier.error_format());
        if let Some(format) = config.error_format {
            context = context.with_format(format);
        }
        State::Rejected {
            response: Some(error_response(rejection, &context, explain)),
        }
    }

    pub(super) fn reject_body<F, B>(self, error: Error) -> State<S, F, B> {
        self.reject(collect_rejection(error))
    }
}
