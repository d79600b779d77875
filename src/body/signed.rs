use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{
    aws_chunked::AwsChunkedEncoder, budget::Reservation, collect::Collected, failure::BodyFailure,
    frames::Frames, source::SourceBody, spool::SpooledBody,
};
use crate::{
    error::BoxError,
    sigv4::{
        ChunkSize,
        aws_chunk::{ChunkSigner, Framing},
        client_chunks::ClientChecksum,
    },
};

pin_project! {
    /// Body of the requests that [`Signing`](crate::Signing) sends to the inner service.
    ///
    /// It is one of these:
    ///
    /// - the bytes that were hashed, in memory or in a temporary file, with their exact length and
    ///   trailers
    /// - the caller's body as it is, if it is not hashed, or compared with the caller's own hash
    /// - the caller's body in chunks
    pub struct SignedBody<B> {
        #[pin]
        inner: Inner<B>,
        // `None` for a body that does not stream.
        failure: Option<BodyFailure>,
    }
}

pin_project! {
    #[project = InnerProj]
    enum Inner<B> {
        Collected { frames: Frames, reservation: Option<Arc<Reservation>> },
        Spooled { body: SpooledBody },
        Streamed { #[pin] body: SourceBody<B> },
        Chunked { #[pin] body: AwsChunkedEncoder<SourceBody<B>> },
    }
}

impl<B> SignedBody<B> {
    /// Erases the type of the body, so that one client can send signed and unsigned requests.
    ///
    /// [`BoxedBody`] has an example.
    pub fn boxed(self) -> BoxedBody
    where
        B: Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        BoxedBody(Box::pin(self))
    }

    pub(crate) fn collected(collected: Collected) -> Self {
        let Collected {
            mut frames,
            file: spooled,
            reservation,
        } = collected;
        let inner = match spooled {
            None => Inner::Collected {
                frames,
                reservation,
            },
            Some((file, len)) => Inner::Spooled {
                body: SpooledBody::new(file, len, frames.take_trailers(), reservation),
            },
        };
        Self::new(inner)
    }

    fn new(inner: Inner<B>) -> Self {
        Self {
            inner,
            failure: None,
        }
    }

    /// Streams a body as it is.
    pub(crate) fn streamed(body: B) -> Self {
        Self::from_source(SourceBody::plain(body))
    }

    /// Streams a client's body.
    pub(crate) fn from_source(body: SourceBody<B>) -> Self {
        Self::new(Inner::Streamed { body })
    }

    /// Streams a body of `decoded` bytes in chunks.
    pub(crate) fn chunked(
        body: SourceBody<B>,
        framing: Framing,
        signer: Option<ChunkSigner>,
        (size, decoded): (ChunkSize, u64),
        checksum: Option<ClientChecksum>,
    ) -> Self {
        Self::new(Inner::Chunked {
            body: AwsChunkedEncoder::new(body, framing, signer, size, decoded, checksum),
        })
    }

    /// Returns the place for the error of a body that streams and is not empty.
    pub(crate) fn record_failure(&mut self) -> Option<BodyFailure>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let streams = match &self.inner {
            Inner::Collected { .. } | Inner::Spooled { .. } => false,
            Inner::Streamed { body } => !body.is_end_stream(),
            Inner::Chunked { .. } => true,
        };
        if streams {
            self.failure = Some(BodyFailure::default());
        }
        self.failure.clone()
    }

    /// Returns a second copy of the body; `None` for one that streams and is not empty.
    pub(crate) fn try_clone(&mut self) -> Option<Self>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let inner = match &mut self.inner {
            Inner::Collected {
                frames,
                reservation,
            } => Inner::Collected {
                frames: frames.share(),
                reservation: reservation.clone(),
            },
            Inner::Spooled { body } => Inner::Spooled {
                body: body.try_clone()?,
            },
            Inner::Streamed { body } if body.is_end_stream() => Inner::Collected {
                frames: Frames::default(),
                reservation: None,
            },
            Inner::Streamed { .. } | Inner::Chunked { .. } => return None,
        };
        Some(Self::new(inner))
    }
}

impl<B> Body for SignedBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let polled = match this.inner.project() {
            InnerProj::Collected { frames, .. } => {
                return Poll::Ready(frames.next_frame().map(Ok));
            }
            InnerProj::Spooled { body } => return body.poll_frame(cx).map_err(Into::into),
            InnerProj::Streamed { body } => ready!(body.poll_frame(cx)),
            InnerProj::Chunked { body } => ready!(body.poll_frame(cx)),
        };
        let failure = this.failure;
        Poll::Ready(polled.map(|result| {
            result.map_err(|error| match failure {
                Some(place) => place.record(error),
                None => error,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Collected { frames, .. } => frames.is_empty(),
            Inner::Spooled { body } => body.is_end(),
            Inner::Streamed { body } => body.is_end_stream(),
            Inner::Chunked { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Collected { frames, .. } => SizeHint::with_exact(frames.len()),
            Inner::Spooled { body } => SizeHint::with_exact(body.remaining()),
            Inner::Streamed { body } => body.size_hint(),
            Inner::Chunked { body } => body.size_hint(),
        }
    }
}

impl<B> fmt::Debug for SignedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedBody").finish_non_exhaustive()
    }
}

/// A body of any type, for a client that sends signed and unsigned requests over one connection pool.
///
/// It is `Send` and not `Sync`, as axum's body is.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::{BodyExt, Empty, Full};
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_sigv4::{
///     Origin, SigningLayer,
///     body::{BoxedBody, SignedBody},
///     credentials::Credentials,
/// };
///
/// // The client's body type does not depend on the layer.
/// let client = tower::service_fn(async |request: Request<BoxedBody>| {
///     let signed = request.headers().contains_key("authorization");
///     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(signed.to_string())))
/// });
///
/// let origin = Origin::infer("https://abc123.execute-api.us-east-1.amazonaws.com/prod")?;
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
/// let signing = ServiceBuilder::new()
///     .layer(SigningLayer::new(credentials, origin))
///     .map_request(|request: Request<SignedBody<Full<Bytes>>>| request.map(SignedBody::boxed))
///     .service(client);
///
/// let request = Request::post("/orders").body(Full::from("{}"))?;
/// let body = signing.oneshot(request).await?.into_body();
/// assert_eq!(body.collect().await?.to_bytes(), "true");
///
/// let request = Request::get("https://example.com/").body(BoxedBody::new(Empty::<Bytes>::new()))?;
/// let body = client.oneshot(request).await?.into_body();
/// assert_eq!(body.collect().await?.to_bytes(), "false");
/// # Ok::<(), tower_sigv4::BoxError>(())
/// # }).unwrap();
/// ```
pub struct BoxedBody(Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>);

impl BoxedBody {
    /// Erases the type of a body.
    pub fn new<B>(body: B) -> Self
    where
        B: Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        SignedBody::streamed(body).boxed()
    }
}

impl Body for BoxedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.as_mut().poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl fmt::Debug for BoxedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxedBody").finish_non_exhaustive()
    }
}
