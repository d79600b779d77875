//! Helpers shared by tests.
#![allow(dead_code, unreachable_pub)] // each test uses some of them

pub mod directory;
pub mod origins;
pub mod random;

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_smithy_runtime_api::client::identity::Identity as SmithyIdentity;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri, request::Parts};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    BoxError, Clock, Error, Origin, SigningLayer, SigningSettings, VerifyLayer,
    body::{ResponseBody, SignedBody, VerifiedBody},
    credentials::Credentials,
    origin::ResolveOrigin,
    sigv4::{Explanation, Identity, PayloadHash, Signer, SigningParams},
    verify::{RejectionKind, Verified},
};

pub const HOST: &str = "abc123.execute-api.us-east-1.amazonaws.com";

pub fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_440_938_160)
}

pub fn credentials() -> Credentials {
    Credentials::new(
        "AKIDEXAMPLE",
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        None,
        None,
        "test",
    )
}

/// As [`credentials`], with a session token.
pub fn credentials_with_token(token: Option<String>) -> Credentials {
    let long_lived = credentials();
    Credentials::new(
        long_lived.access_key_id(),
        long_lived.secret_access_key(),
        token,
        None,
        "test",
    )
}

/// Parameters for AWS's signer.
pub fn aws_params<'a>(
    identity: &'a SmithyIdentity,
    service: &'a str,
    time: SystemTime,
    settings: aws_sigv4::http_request::SigningSettings,
) -> aws_sigv4::http_request::SigningParams<'a> {
    aws_sigv4::sign::v4::SigningParams::builder()
        .identity(identity)
        .region("us-east-1")
        .name(service)
        .time(time)
        .settings(settings)
        .build()
        .expect("complete")
        .into()
}

pub fn settings(service: &str) -> SigningSettings {
    SigningSettings::new(service, "us-east-1").expect("a scope")
}

pub fn api(url: &str) -> Origin {
    Origin::new(url, settings("execute-api")).expect("an origin")
}

pub fn layer(target: impl ResolveOrigin + 'static) -> SigningLayer {
    SigningLayer::new(credentials(), target).with_clock(Clock::manual(now()))
}

pub type SentRequest = Request<SignedBody<Full<Bytes>>>;

/// Sends a request through `layer`, and returns the request that the inner service receives.
pub async fn send(
    layer: &SigningLayer,
    request: Request<Full<Bytes>>,
) -> Result<SentRequest, Error> {
    send_any(layer, request).await
}

/// As [`send`], with any body.
pub async fn send_any<B>(
    layer: &SigningLayer,
    request: Request<B>,
) -> Result<Request<SignedBody<B>>, Error>
where
    B: Body<Error: Into<BoxError>>,
{
    layer
        .layer(service_fn(echo))
        .oneshot(request)
        .await
        .map(echoed_request)
        .map_err(downcast_error)
}

/// Responds with the request it receives.
pub async fn echo<T>(request: T) -> Result<Response<EchoBody<T>>, Infallible> {
    Ok(Response::new(EchoBody(request)))
}

pub fn echoed_request<T>(response: Response<ResponseBody<EchoBody<T>>>) -> T {
    response
        .into_body()
        .into_inner()
        .expect("nothing was read")
        .0
}

/// An empty body that carries a value.
#[derive(Debug)]
pub struct EchoBody<T>(pub T);

impl<T> Body for EchoBody<T> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }
}

pub fn downcast_error(error: BoxError) -> Error {
    *error.downcast().expect("an error of this crate")
}

pub fn get(uri: &str) -> Request<Full<Bytes>> {
    let uri = Uri::try_from(uri).unwrap_or_else(|error| panic!("{uri}: {error}"));
    Request::get(uri).body(Full::default()).expect("a request")
}

/// Explains the signature of a sent request.
pub fn explain(sent: &Parts, settings: &SigningSettings, body: &[u8]) -> Explanation {
    let identity = Identity::new(credentials()).expect("valid");
    let params = SigningParams::new(settings, &identity, PayloadHash::of(body), now());
    let explanation = Signer::new().explain(sent, &params).expect("explained");
    let expected = format!("Signature={}", explanation.signature);
    let authorization = header(&sent.headers, "authorization");
    assert!(
        authorization.ends_with(&expected),
        "{authorization} does not end with {expected}"
    );
    explanation
}

pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers
        .get(name)
        .unwrap_or_else(|| panic!("no header {name}"));
    value.to_str().expect("ASCII")
}

pub async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = std::future::ready(()) => None,
    }
}

/// Signs a request with `credentials` at `now` for `execute-api`, with this body.
pub fn signed(mut head: Parts, body: &[u8]) -> Parts {
    let identity = Identity::new(credentials()).expect("valid");
    let settings = settings("execute-api");
    let params = SigningParams::new(&settings, &identity, PayloadHash::of(body), now());
    Signer::new().sign(&mut head, &params).expect("signed");
    head
}

/// Sends a request through the layer, and returns its rejection.
pub async fn verify_request<B>(
    layer: &VerifyLayer,
    request: Request<B>,
) -> Result<(), RejectionKind>
where
    B: Body<Error: Into<BoxError>>,
{
    let inner = service_fn(async |request: Request<VerifiedBody<B>>| {
        assert!(request.extensions().get::<Verified>().is_some());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    response.extensions().get().copied().map_or(Ok(()), Err)
}

/// Returns `true` if every `%` is followed by two hex digits.
pub fn has_valid_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        rest.get(..2)
            .is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
    })
}

/// A body that follows a list of steps.
#[derive(Debug)]
pub struct ScriptedBody {
    steps: VecDeque<Step>,
    size: SizeHint,
    pub polls: Arc<AtomicUsize>,
}

#[derive(Debug)]
pub enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    /// Returns `Pending` once and wakes immediately.
    Yield,
    Fail,
    /// Returns `Pending` forever.
    Hang,
}

impl ScriptedBody {
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            size: SizeHint::default(),
            polls: Arc::default(),
        }
    }

    pub fn with_size(mut self, size: SizeHint) -> Self {
        self.size = size;
        self
    }
}

impl Body for ScriptedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.polls.fetch_add(1, Ordering::SeqCst);
        match self.steps.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(Step::Trailers(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Some(Step::Fail) => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
            Some(Step::Yield) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Step::Hang) => {
                self.steps.push_front(Step::Hang);
                Poll::Pending
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.size
    }
}
