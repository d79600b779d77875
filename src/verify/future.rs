use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::SystemTime,
};

use aws_credential_types::Credentials;
use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    BodyCheck, LookupFuture, ParsedRequest, Rejection, RejectionKind, Verified, body,
    error_response::answer,
    keys::Found,
    layer::Shared,
    parsed_request::DeclaredPayload,
    request_checks,
    verifier::{check_payload, mismatch},
};
use crate::{
    body::{
        AwsChunkedDecoder, Collect, Collected, ReservationFuture, ReservedCollect, ResponseBody,
        VerifiedBody, declared_len,
    },
    error::{BoxError, Error, ErrorKind},
    sigv4::{Payload, PayloadHash, aws_chunk::ExpectedChunks},
};

pin_project! {
    /// Response future of [`Verify`](crate::Verify).
    ///
    /// Dropped at any point it leaves nothing behind.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<VerifiedBody<B>>>,
    {
        #[pin]
        state: State<S, B, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, F> {
        /// The inner service is gone already.
        Refused { answer: Option<Response<Bytes>> },
        LookingUp { pending: Option<(Pending<S>, B)>, lookup: LookupFuture },
        /// The bodies in memory leave no room for this one.
        Waiting {
            pending: Option<(Pending<S>, Awaited, Collect<VerifiedBody<B>>)>,
            room: ReservationFuture,
        },
        Collecting { pending: Option<(Pending<S>, Awaited)>, #[pin] body: Collect<VerifiedBody<B>> },
        Calling { #[pin] response: F },
    }
}

/// The largest chunk that is held while a body streams, in bytes. The SDKs' have 64 KiB, or 1 MiB.
const LARGEST_CHUNK: u64 = 16 * 1024 * 1024;

/// A request on its way, and the service that is ready to take it.
struct Pending<S> {
    inner: S,
    shared: Arc<Shared>,
    head: Parts,
    /// When the request came; it does not age while its key is looked up and its body is read.
    now: SystemTime,
}

/// What is to be done next with a request.
enum Step {
    /// The key has to be waited for.
    LookUp(LookupFuture),
    /// Nothing vouches for the body: the request is anonymous, or its signature does not cover it.
    Pass(Option<Verified>),
    /// The signature is right; the body is checked by whoever reads it.
    Stream(Verified, PayloadHash),
    Collect(u64, Awaited),
    /// The head's signature is right, and there is to be no body.
    NoBody(Verified),
    /// The head's signature is right; the chunks are verified with this, and hold so many bytes.
    Chunks(Verified, ExpectedChunks),
}

/// What the hash of a collected body is awaited for.
enum Awaited {
    /// The signature is right, and this is the hash it covers.
    Comparison(Verified, PayloadHash),
    /// The signature covers the hash, which is not in the head.
    Signature(Credentials),
    /// For nothing: each chunk was right by itself.
    Chunks(Verified),
    /// The end of a body that is to have no bytes.
    End(Verified),
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<VerifiedBody<B>>>,
    B: Body,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(inner: S, shared: Arc<Shared>, request: Request<B>) -> Self {
        let (mut head, body) = request.into_parts();
        request_checks::prepare(&mut head, &shared);
        let pending = Pending {
            now: shared.clock.now(),
            inner,
            shared,
            head,
        };
        let step = pending.start();
        Self {
            state: pending.take(step, body),
        }
    }
}

impl<S> Pending<S> {
    /// Does all that can be done without waiting.
    fn start(&self) -> Result<Step, Rejection> {
        let claim = match self.shared.verifier.claim(&self.head, self.now) {
            Err(rejection)
                if self.shared.anonymous
                    && rejection.kind() == RejectionKind::MissingAuthentication =>
            {
                return Ok(Step::Pass(None));
            }
            claim => claim?,
        };
        match self.shared.keys.lookup(claim.access_key_id()).now() {
            Ok(found) => self.verify(claim, found),
            Err(lookup) => Ok(Step::LookUp(lookup)),
        }
    }

    /// Goes on where the key had to be waited for.
    fn found(&self, found: Found) -> Result<Step, Rejection> {
        self.verify(self.shared.verifier.claim(&self.head, self.now)?, found)
    }

    /// Verifies the head, if its signature needs no body to be verified.
    fn verify(&self, claim: ParsedRequest<'_>, found: Found) -> Result<Step, Rejection> {
        let verifier = &self.shared.verifier;
        let key = found
            .map_err(|source| {
                Rejection::new(
                    RejectionKind::LookupFuture,
                    "the key could not be looked up",
                )
                .with_source(source)
            })?
            .ok_or_else(|| {
                Rejection::new(RejectionKind::UnknownKey, "there is no key with this id")
            })?;
        let check = self.shared.body;
        let payload = match claim.payload {
            DeclaredPayload::Payload(payload) => payload,
            DeclaredPayload::Nothing => {
                claim.check_key(&key)?; // before a body is read for nothing
                let limit = match check {
                    BodyCheck::Collected { limit } => limit,
                    BodyCheck::Streamed => 0, // one that turns out to be empty needs no hash
                };
                return Ok(Step::Collect(limit, Awaited::Signature(key)));
            }
            DeclaredPayload::NoBody => {
                let payload = Payload::Unsigned.as_bytes();
                let verified = verifier.verify_head(claim, &key, payload)?.to_verified();
                return Ok(Step::NoBody(verified));
            }
            DeclaredPayload::Chunks(framing, decoded) => {
                let (accepted, chunks) = verifier.verify_chunked(claim, &key, framing, decoded)?;
                return Ok(Step::Chunks(accepted.to_verified(), chunks));
            }
        };
        let verified = verifier
            .verify_head(claim, &key, payload.as_bytes())?
            .to_verified();
        Ok(match (payload, check) {
            (Payload::Hash(hash), BodyCheck::Collected { limit }) => {
                Step::Collect(limit, Awaited::Comparison(verified, hash))
            }
            (Payload::Hash(hash), BodyCheck::Streamed) => Step::Stream(verified, hash),
            (Payload::Unsigned, _) => Step::Pass(Some(verified)),
        })
    }

    fn take<B>(self, step: Result<Step, Rejection>, body: B) -> State<S, B, S::Future>
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
            Ok(Step::Pass(verified)) => self.call(verified, VerifiedBody::unverified(body)),
            // Who knows that there is nothing to read would not read up to the error.
            Ok(Step::Stream(_, hash))
                if declared_len(&body, &self.head.headers) == Some(0)
                    && !hash.ct_eq(&PayloadHash::EMPTY) =>
            {
                self.refuse(mismatch())
            }
            Ok(Step::Stream(verified, hash)) => {
                self.call(Some(verified), VerifiedBody::checked(body, hash))
            }
            Ok(Step::Collect(limit, awaited)) => {
                let body = VerifiedBody::unverified(body);
                let body = Collect::new(body, &self.head.headers, limit);
                self.collect(awaited, body)
            }
            Ok(Step::NoBody(_)) if body.size_hint().lower() > 0 => {
                self.refuse(body::presigned_upload())
            }
            Ok(Step::NoBody(verified)) => State::Collecting {
                pending: Some((self, Awaited::End(verified))),
                body: Collect::expect_empty(VerifiedBody::unverified(body), body::unannounced),
            },
            Ok(Step::Chunks(verified, chunks)) => self.dechunk(verified, chunks, body),
            Err(rejection) => self.refuse(rejection),
        }
    }

    /// Takes the chunks for what is in them.
    fn dechunk<B>(
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
        request_checks::decode(&mut self.head, chunks.decoded);
        let limit = match (self.shared.body, chunks.decoded) {
            (BodyCheck::Collected { limit }, _) => limit,
            // Chunks without a byte in them would not be read to their end, either.
            (BodyCheck::Streamed, 0) => LARGEST_CHUNK,
            (BodyCheck::Streamed, _) => {
                let body = AwsChunkedDecoder::new(body, chunks, LARGEST_CHUNK);
                return self.call(Some(verified), VerifiedBody::chunked(body));
            }
        };
        let body = VerifiedBody::chunked(AwsChunkedDecoder::new(body, chunks, limit));
        let body = Collect::without_hash(body, &self.head.headers, limit);
        self.collect(Awaited::Chunks(verified), body)
    }

    /// Collects a body when there is room for it.
    fn collect<B>(
        mut self,
        awaited: Awaited,
        body: Result<Collect<VerifiedBody<B>>, Error>,
    ) -> State<S, B, S::Future>
    where
        S: Service<Request<VerifiedBody<B>>>,
        B: Body,
        B::Error: Into<BoxError>,
    {
        let budget = self.shared.budget.as_ref();
        match body.and_then(|body| body.reserve(budget, &mut self.head.extensions)) {
            Ok(ReservedCollect::Ready(body)) => State::Collecting {
                pending: Some((self, awaited)),
                body,
            },
            Ok(ReservedCollect::Waiting(room, body)) => State::Waiting {
                pending: Some((self, awaited, body)),
                room,
            },
            Err(error) => self.refuse_body(error),
        }
    }

    /// Goes on when the whole body is there.
    fn collected<B>(
        mut self,
        awaited: Awaited,
        collected: Result<(Collected, Payload), Error>,
    ) -> State<S, B, S::Future>
    where
        S: Service<Request<VerifiedBody<B>>>,
    {
        let (collected, payload) = match collected {
            Ok(collected) => collected,
            Err(error)
                if matches!(awaited, Awaited::End(_))
                    && error.kind() == ErrorKind::BodyTooLarge =>
            {
                return self.refuse(body::presigned_upload().with_source(error));
            }
            Err(error) => return self.refuse_body(error),
        };
        let verified = match (awaited, payload) {
            (Awaited::Chunks(verified) | Awaited::End(verified), _) => Ok(verified),
            (Awaited::Comparison(verified, signed), Payload::Hash(hash)) => {
                check_payload(&signed, &hash).map(|()| verified)
            }
            (Awaited::Signature(key), Payload::Hash(hash)) => {
                let verifier = &self.shared.verifier;
                let claim = verifier.claim(&self.head, self.now);
                let accepted = claim.and_then(|claim| verifier.verify(claim, &key, &hash));
                accepted.map(|accepted| accepted.to_verified())
            }
            (_, Payload::Unsigned) => Err(mismatch()),
        };
        match verified {
            Ok(verified) => {
                collected.share_reservation(&mut self.head.extensions);
                self.call(Some(verified), VerifiedBody::collected(collected))
            }
            Err(rejection) => self.refuse(rejection),
        }
    }

    fn call<B>(mut self, proof: Option<Verified>, body: VerifiedBody<B>) -> State<S, B, S::Future>
    where
        S: Service<Request<VerifiedBody<B>>>,
    {
        // Another layer's proof is none of ours.
        let extensions = &mut self.head.extensions;
        match proof {
            Some(verified) => drop(extensions.insert(verified)),
            None => drop(extensions.remove::<Verified>()),
        }
        State::Calling {
            response: self.inner.call(Request::from_parts(self.head, body)),
        }
    }

    /// Drops the inner service and answers in its stead.
    fn refuse<B, F>(self, rejection: Rejection) -> State<S, B, F> {
        #[cfg(feature = "tracing")]
        match rejection.kind() {
            RejectionKind::LookupFuture => tracing::warn!(%rejection, "request refused"),
            kind => tracing::debug!(?kind, %rejection, "request refused"),
        }
        let explain = self.shared.verifier.settings().explain;
        State::Refused {
            answer: Some(answer(rejection, self.shared.format, explain)),
        }
    }

    fn refuse_body<B, F>(self, error: Error) -> State<S, B, F> {
        let rejection = body::rejection(error, self.shared.body);
        self.refuse(rejection)
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<VerifiedBody<B>>, Response = Response<R>>,
    B: Body,
    B::Error: Into<BoxError>,
    R: Body,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Refused { answer } => {
                    let answer = answer.take().expect("polled after completion");
                    return Poll::Ready(Ok(answer.map(ResponseBody::full)));
                }
                StateProj::LookingUp { pending, lookup } => {
                    let found = ready!(Pin::new(lookup).poll(cx));
                    let (pending, body) = pending.take().expect("taken once");
                    let step = pending.found(found);
                    pending.take(step, body)
                }
                StateProj::Waiting { pending, room } => {
                    let room = ready!(room.as_mut().poll(cx));
                    let (pending, awaited, body) = pending.take().expect("taken once");
                    match room {
                        Ok(room) => {
                            let body = body.with_reservation(room);
                            State::Collecting {
                                pending: Some((pending, awaited)),
                                body,
                            }
                        }
                        Err(error) => pending.refuse_body(error),
                    }
                }
                StateProj::Collecting { pending, body } => {
                    let collected = ready!(body.poll(cx));
                    let (pending, awaited) = pending.take().expect("taken once");
                    pending.collected(awaited, collected)
                }
                StateProj::Calling { response } => {
                    let response = ready!(response.poll(cx))?;
                    return Poll::Ready(Ok(response.map(ResponseBody::new)));
                }
            };
            state.set(next);
        }
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<VerifiedBody<B>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Refused { .. } => "refused",
            State::LookingUp { .. } => "looking up the key",
            State::Waiting { .. } => "waiting for room",
            State::Collecting { .. } => "collecting the body",
            State::Calling { .. } => "calling the inner service",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish()
    }
}
