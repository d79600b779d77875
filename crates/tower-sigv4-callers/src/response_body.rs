use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// Body of the responses of this crate's layers: that of the inner service or that of a rejection.
    #[project = ResponseBodyProj]
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<B> {
        Inner { #[pin] body: B },
        Rejection { data: Option<Bytes> },
    }
}

impl<B> ResponseBody<B> {
    pub(crate) fn inner(body: B) -> Self {
        Self {
            kind: Kind::Inner { body },
        }
    }

    pub(crate) fn rejection(data: Bytes) -> Self {
        Self {
            kind: Kind::Rejection {
                data: Some(data).filter(|bytes| !bytes.is_empty()),
            },
        }
    }
}

/// An empty body, which layers such as tower-http's `TimeoutLayer` create for their own responses.
impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::rejection(Bytes::new())
    }
}

impl<B> From<Bytes> for ResponseBody<B> {
    fn from(data: Bytes) -> Self {
        Self::rejection(data)
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProj::Inner { body } => {
                let frame = ready!(body.poll_frame(cx));
                // Copies nothing if the data is a `Bytes`.
                let to_bytes = |mut data: B::Data| data.copy_to_bytes(data.remaining());
                Poll::Ready(frame.map(|result| result.map(|data| data.map_data(to_bytes))))
            }
            KindProj::Rejection { data } => Poll::Ready(data.take().map(Frame::data).map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Rejection { data } => data.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Rejection { data } => {
                SizeHint::with_exact(data.as_ref().map_or(0, Bytes::len) as u64)
            }
        }
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{HeaderMap, HeaderValue};
    use http_body_util::{BodyExt, Full};

    use super::*;

    #[tokio::test]
    async fn data_and_trailers_of_the_inner_body_pass() {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("1"));
        let expected = trailers.clone();
        let full = Full::new(&b"data"[..]);
        let body = ResponseBody::inner(full.with_trailers(async { Some(Ok(trailers)) }));
        let collected = body.collect().await.unwrap();
        assert_eq!(collected.trailers(), Some(&expected));
        assert_eq!(collected.to_bytes(), "data");
    }

    #[tokio::test]
    async fn sizes_are_exact() {
        let inner = ResponseBody::inner(Full::new(Bytes::from("data")));
        assert_eq!(inner.size_hint().exact(), Some(4));
        let rejection = ResponseBody::<Full<Bytes>>::rejection(Bytes::from("no"));
        assert_eq!(rejection.size_hint().exact(), Some(2));
        assert!(!rejection.is_end_stream());
        let collected: Result<_, Infallible> = rejection.collect().await;
        assert_eq!(collected.unwrap().to_bytes(), "no");
        let empty = ResponseBody::<Full<Bytes>>::default();
        assert!(empty.is_end_stream());
        assert_eq!(empty.size_hint().exact(), Some(0));
    }
}
