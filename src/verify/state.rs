use std::{sync::Arc, time::SystemTime};

use aws_credential_types::Credentials;
use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    BodyCheck, LookupFuture, ParsedRequest, Rejection, RejectionKind, Verified,
    body_check::{payload_mismatch, presigned_upload, undeclared_body},
    error_response::error_response,
    keys::LookupResult,
    layer_config::LayerConfig,
    parsed_request::DeclaredPayload,
    request_checks,
};
use crate::{
    body::{
        AwsChunkedDecoder, Collect, Collected, ReservationFuture, ReservedCollect, VerifiedBody,
        declared_len,
    },
    error::{BoxError, Error, ErrorKind},
    sigv4::{Payload, PayloadHash, aws_chunk::ExpectedChunks},
};

pin_project! {
    #[project = StateProj]
    /// State of a [`ResponseFuture`](super::ResponseFuture).
    pub(super) enum State<S, B, F> {
        // The inner service is dropped already.
        Rejected { response: Option<Response<Bytes>> },
        LookingUp { pending: Option<(Pending<S>, B)>, lookup: LookupFuture },
        // The bodies in memory fill their budget.
        Reserving {
            pending: Option<(Pending<S>, AfterCollect, Collect<VerifiedBody<B>>)>,
            reservation: ReservationFuture,
        },
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
    config: Arc<LayerConfig>,
    head: Parts,
    /// Arrival time. The request does not expire during the key lookup or while its body is read.
    now: SystemTime,
}

/// Next step for a request.
enum Step {
    LookUp(LookupFuture),
    /// No signature covers the body. Without a `Verified` the request is anonymous.
    PassThrough(Option<Verified>),
    /// The signature is verified; the inner service checks the body as it reads it.
    Stream(Verified, PayloadHash),
    /// Collect a body of at most so many bytes.
    Collect(u64, AfterCollect),
    /// The signature is verified; the request must have no body.
    ExpectEmpty(Verified),
    /// The signature of the headers is verified; the chunks follow.
    Decode(Verified, ExpectedChunks),
}

/// Check that follows when the body is collected.
pub(super) enum AfterCollect {
    /// The signature is verified; compare the signed hash.
    CompareHash(Verified, PayloadHash),
    /// The headers have no hash; verify the signature.
    VerifySignature(Credentials),
    /// Each chunk is verified already.
    Decoded(Verified),
    /// The body must be empty.
    Empty(Verified),
}

impl<S> Pending<S> {
    /// Does everything that needs no waiting.
    pub(super) fn start<B>(
        inner: S,
        config: Arc<LayerConfig>,
        request: Request<B>,
    ) -> State<S, B, S::Future>
    where
        S: Service<Request<VerifiedBody<B>>>,
        B: Body,
        B::Error: Into<BoxError>,
    {
        let (mut head, body) = request.into_parts();
        let rewrite_form = config
            .rewrites_path
            .then(|| config.verifier.settings().path_form);
        request_checks::restore_signed_form(&mut head, rewrite_form);
        let pending = Self {
            now: config.clock.now(),
            inner,
            config,
            head,
        };
        let step = pending.first_step();
        pending.advance(step, body)
    }

    /// Verifies the request, unless the key lookup has to wait.
    fn first_step(&self) -> Result<Step, Rejection> {
        let request = match self.config.verifier.parse(&self.head, self.now) {
            Err(rejection)
                if self.config.allows_anonymous
                    && rejection.kind() == RejectionKind::MissingAuthentication =>
            {
                return Ok(Step::PassThrough(None));
            }
            parsed => parsed?,
        };
        match self
            .config
            .keys
            .lookup(request.access_key_id())
            .into_ready()
        {
            Ok(key) => self.verify(request, key),
            Err(lookup) => Ok(Step::LookUp(lookup)),
        }
    }

    /// Continues after a lookup that had to wait.
    pub(super) fn resume<B>(self, key: LookupResult, body: B) -> State<S, B, S::Future>
    where
        S: Service<Request<VerifiedBody<B>>>,
        B: Body,
        B::Error: Into<BoxError>,
    {
        let step = self
            .config
            .verifier
            .parse(&self.head, self.now)
            .and_then(|request| self.verify(request, key));
        self.advance(step, body)
    }

    /// Verifies the signature, unless the body has to be collected first.
    fn verify(&self, request: ParsedRequest<'_>, key: LookupResult) -> Result<Step, Rejection> {
        let verifier = &self.config.verifier;
        let check = self.config.body_check;
        let key = key
            .map_err(|source| {
                Rejection::new(RejectionKind::LookupFailed, "the key lookup failed")
                    .with_source(source)
            })?
            .ok_or_else(|| {
                Rejection::new(RejectionKind::UnknownKey, "there is no key with this id")
            })?;
        match request.payload {
            DeclaredPayload::Payload(payload) => {
                let verified = verifier
                    .verify_head(request, &key, payload.as_bytes())?
                    .to_verified();
                Ok(match (payload, check) {
                    (Payload::Hash(hash), BodyCheck::Collected { limit }) => {
                        Step::Collect(limit, AfterCollect::CompareHash(verified, hash))
                    }
                    (Payload::Hash(hash), BodyCheck::Streamed) => Step::Stream(verified, hash),
                    (Payload::Unsigned, _) => Step::PassThrough(Some(verified)),
                })
            }
            DeclaredPayload::Undeclared => {
                request.check_key(&key)?; // before the body is read
                let limit = match check {
                    BodyCheck::Collected { limit } => limit,
                    BodyCheck::Streamed => 0, // an empty body needs no hash
                };
                Ok(Step::Collect(limit, AfterCollect::VerifySignature(key)))
            }
            DeclaredPayload::NoBody => {
                let verified = verifier.verify_head(request, &key, Payload::Unsigned.as_bytes())?;
                Ok(Step::ExpectEmpty(verified.to_verified()))
            }
            DeclaredPayload::Chunks(framing, decoded_length) => {
                let (verified, chunks) =
                    verifier.verify_chunked(request, &key, framing, decoded_length)?;
                Ok(Step::Decode(verified.to_verified(), chunks))
            }
        }
    }

    fn advance<B>(self, step: Result<Step, Rejection>, body: B) -> State<S, B, S::Future>
    where
        S: Service<Request<VerifiedBody<B>>>,
        B: Body,
        B::Error: Into<BoxError>,
    {
        match step {
            Ok(Step::LookUp(lookup)) => State::LookingUp {
                pending: Some((self, body)),
                lookup,
            },
            Ok(Step::PassThrough(verified)) => self.call(verified, VerifiedBody::unverified(body)),
            // A service that expects an empty body would not read up to the error.
            Ok(Step::Stream(_, hash))
                if declared_len(&body, &self.head.headers) == Some(0)
                    && !hash.ct_eq(&PayloadHash::EMPTY) =>
            {
                self.reject(payload_mismatch())
            }
            Ok(Step::Stream(verified, hash)) => {
                self.call(Some(verified), VerifiedBody::checked(body, hash))
            }
            Ok(Step::Collect(limit, after)) => {
                let collect =
                    Collect::new(VerifiedBody::unverified(body), &self.head.headers, limit);
                self.collect(after, collect)
            }
            Ok(Step::ExpectEmpty(_)) if body.size_hint().lower() > 0 => {
                self.reject(presigned_upload())
            }
            Ok(Step::ExpectEmpty(verified)) => State::Collecting {
                pending: Some((self, AfterCollect::Empty(verified))),
                body: Collect::expect_empty(VerifiedBody::unverified(body), undeclared_body),
            },
            Ok(Step::Decode(verified, chunks)) => self.decode(verified, chunks, body),
            Err(rejection) => self.reject(rejection),
        }
    }

    /// Decodes an `aws-chunked` body.
    fn decode<B>(
        mut self,
        verified: Verified,
        chunks: ExpectedChunks,
        body: B,
    ) -> State<S, B, S::Future>
    where
        S: Service<Request<VerifiedBody<B>>>,
        B: Body,
        B::Error: Into<BoxError>,
    {
        request_checks::remove_framing(&mut self.head, chunks.decoded);
        let limit = match self.config.body_check {
            BodyCheck::Collected { limit } => limit,
            // A service that expects an empty body would not read up to the error.
            BodyCheck::Streamed if chunks.decoded == 0 => MAX_CHUNK_SIZE,
            BodyCheck::Streamed => {
                let decoder = AwsChunkedDecoder::new(body, chunks, MAX_CHUNK_SIZE);
                return self.call(Some(verified), VerifiedBody::chunked(decoder));
            }
        };
        let decoded = VerifiedBody::chunked(AwsChunkedDecoder::new(body, chunks, limit));
        let collect = Collect::without_hash(decoded, &self.head.headers, limit);
        self.collect(AfterCollect::Decoded(verified), collect)
    }

    /// Collects a body once its memory is reserved.
    fn collect<B>(
        mut self,
        after: AfterCollect,
        collect: Result<Collect<VerifiedBody<B>>, Error>,
    ) -> State<S, B, S::Future>
    where
        S: Service<Request<VerifiedBody<B>>>,
        B: Body,
        B::Error: Into<BoxError>,
    {
        let budget = self.config.budget.as_ref();
        match collect.and_then(|collect| collect.reserve(budget, &mut self.head.extensions)) {
            Ok(ReservedCollect::Ready(body)) => State::Collecting {
                pending: Some((self, after)),
                body,
            },
            Ok(ReservedCollect::Waiting(reservation, body)) => State::Reserving {
                pending: Some((self, after, body)),
                reservation,
            },
            Err(error) => self.reject_body(error),
        }
    }

    /// Checks a collected body and calls the inner service.
    pub(super) fn finish<B>(
        mut self,
        after: AfterCollect,
        result: Result<(Collected, Payload), Error>,
    ) -> State<S, B, S::Future>
    where
        S: Service<Request<VerifiedBody<B>>>,
    {
        let (collected, payload) = match result {
            Ok(complete) => complete,
            Err(error)
                if matches!(after, AfterCollect::Empty(_))
                    && error.kind() == ErrorKind::BodyTooLarge =>
            {
                return self.reject(presigned_upload().with_source(error));
            }
            Err(error) => return self.reject_body(error),
        };
        let verified = match (after, payload) {
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
                verifier
                    .parse(&self.head, self.now)
                    .and_then(|request| verifier.verify(request, &key, &hash))
                    .map(|verified| verified.to_verified())
            }
        };
        match verified {
            Ok(verified) => {
                collected.share_reservation(&mut self.head.extensions);
                self.call(Some(verified), VerifiedBody::collected(collected))
            }
            Err(rejection) => self.reject(rejection),
        }
    }

    fn call<B>(
        mut self,
        verified: Option<Verified>,
        body: VerifiedBody<B>,
    ) -> State<S, B, S::Future>
    where
        S: Service<Request<VerifiedBody<B>>>,
    {
        // Replaces the proof of an outer layer, whose settings may differ.
        let extensions = &mut self.head.extensions;
        match verified {
            Some(verified) => drop(extensions.insert(verified)),
            None => drop(extensions.remove::<Verified>()),
        }
        State::Calling {
            response: self.inner.call(Request::from_parts(self.head, body)),
        }
    }

    /// Drops the inner service and prepares the error response.
    fn reject<B, F>(self, rejection: Rejection) -> State<S, B, F> {
        #[cfg(feature = "tracing")]
        match rejection.kind() {
            RejectionKind::LookupFailed => tracing::warn!(%rejection, "request rejected"),
            kind => tracing::debug!(?kind, %rejection, "request rejected"),
        }
        let explain = self.config.verifier.settings().explain;
        State::Rejected {
            response: Some(error_response(rejection, self.config.error_format, explain)),
        }
    }

    pub(super) fn reject_body<B, F>(self, error: Error) -> State<S, B, F> {
        let rejection = self.config.body_check.rejection(error);
        self.reject(rejection)
    }
}
