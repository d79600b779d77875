use std::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body::Body;
use pin_project_lite::pin_project;
use sha2::{Digest, Sha256};

use super::{signed::Frames, signed::into_bytes};
use crate::{
    error::{BoxError, Error, ErrorKind},
    sigv4::PayloadHash,
};

pin_project! {
    /// Collects a body and hashes it as it comes.
    pub(crate) struct Collect<B> {
        #[pin]
        body: B,
        frames: Frames,
        hash: Sha256,
        limit: u64,
        announced: Option<u64>,
        // What a body over the limit is, from its length and the limit.
        over: fn(u64, u64) -> Error,
    }
}

impl<B> Collect<B>
where
    B: Body,
{
    /// Fails at once if the body is known to be larger than `limit` bytes.
    pub(crate) fn new(body: B, limit: u64) -> Result<Self, Error> {
        let size = body.size_hint();
        if size.lower() > limit {
            return Err(too_large(size.lower(), limit));
        }
        Ok(Self {
            announced: size.exact(),
            body,
            frames: Frames::default(),
            hash: Sha256::new(),
            limit,
            over: too_large,
        })
    }

    /// Finds out whether a body of unknown length has any bytes, which is an error then.
    pub(crate) fn none(body: B, error: fn(u64, u64) -> Error) -> Self {
        Self {
            announced: None,
            body,
            frames: Frames::default(),
            hash: Sha256::new(),
            limit: 0,
            over: error,
        }
    }
}

impl<B> Future for Collect<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Output = Result<(Frames, PayloadHash), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        while !this.body.is_end_stream() {
            let Some(frame) = ready!(this.body.as_mut().poll_frame(cx)) else {
                break;
            };
            let frame = frame.map_err(|source| {
                Error::new(ErrorKind::BodyRead, "the request's body ended before it was complete")
                    .with_source(source)
            })?;
            match frame.into_data() {
                Ok(data) => {
                    let data = into_bytes(data);
                    let len = this.frames.len().saturating_add(data.len() as u64);
                    if len > *this.limit {
                        return Poll::Ready(Err((this.over)(len, *this.limit)));
                    }
                    this.hash.update(&data);
                    this.frames.push(data);
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        this.frames.push_trailers(trailers);
                    }
                }
            }
        }
        let len = this.frames.len();
        if let Some(announced) = this.announced.filter(|&announced| announced != len) {
            return Poll::Ready(Err(Error::new(
                ErrorKind::BodyRead,
                format!("the request's body ended after {len} bytes of {announced} announced"),
            )));
        }
        let hash = match len {
            0 => PayloadHash::EMPTY,
            _ => PayloadHash::from_digest(mem::take(this.hash).finalize().into()),
        };
        Poll::Ready(Ok((mem::take(this.frames), hash)))
    }
}

fn too_large(len: u64, limit: u64) -> Error {
    Error::new(
        ErrorKind::BodyTooLarge,
        format!("the request's body has {len} bytes or more, {limit} are allowed"),
    )
}
