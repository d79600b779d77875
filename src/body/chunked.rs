use std::{
    collections::VecDeque,
    iter, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use sha2::{Digest, Sha256};

use super::signed::{Frames, into_bytes};
use crate::{
    error::{BoxError, Error, ErrorKind},
    sigv4::{
        ChunkSize,
        chunk::{ChunkSigner, encoded_len},
    },
};

pin_project! {
    /// A body in the frames of `aws-chunked`, each chunk signed; it holds one chunk at a time.
    ///
    /// Trailers are dropped: a message with a length has none.
    pub(super) struct Chunked<B> {
        #[pin]
        body: B,
        // Apart, so that other bodies are not as large as this one.
        chunks: Box<Chunks>,
    }
}

struct Chunks {
    signer: ChunkSigner,
    size: usize,
    /// The chunk that is being received, and its hash.
    frames: Frames,
    hash: Sha256,
    /// What was received beyond that chunk.
    more: Bytes,
    /// Bytes of the payload that are yet to be received.
    awaited: u64,
    /// Frames to be handed out.
    ready: VecDeque<Bytes>,
    /// Bytes that are yet to be handed out.
    left: u64,
    /// The first chunk has no line break before it.
    started: bool,
    ended: bool,
}

impl<B> Chunked<B> {
    /// `decoded` is the length of the body in bytes, by which it is held to.
    pub(super) fn new(body: B, signer: ChunkSigner, size: ChunkSize, decoded: u64) -> Self {
        let chunks = Chunks {
            signer,
            size: size.bytes(),
            frames: Frames::default(),
            hash: Sha256::new(),
            more: Bytes::new(),
            awaited: decoded,
            ready: VecDeque::new(),
            left: encoded_len(decoded, size).unwrap_or(u64::MAX),
            started: false,
            ended: false,
        };
        Self { body, chunks: Box::new(chunks) }
    }

    pub(super) fn left(&self) -> u64 {
        self.chunks.left
    }
}

impl Chunks {
    /// Takes in bytes up to the end of a chunk, and keeps the rest for the next one.
    fn take(&mut self, mut data: Bytes) {
        self.more = data.split_off(data.len().min(self.size - self.len()));
        self.hash.update(&data);
        self.frames.push(data);
        if self.len() == self.size {
            self.end_chunk();
        }
    }

    /// The bytes received of the chunk.
    fn len(&self) -> usize {
        self.frames.len() as usize // no more than its size
    }

    /// Makes a chunk of what was received.
    fn end_chunk(&mut self) {
        let hash = mem::take(&mut self.hash).finalize().into();
        let line = self.signer.line(self.len(), &hash);
        if mem::replace(&mut self.started, true) {
            self.ready.push_back(Bytes::from_static(b"\r\n"));
        }
        self.ready.push_back(line);
        let frames = iter::from_fn(|| self.frames.next()?.into_data().ok());
        self.ready.extend(frames);
    }

    /// The last chunk is an empty one.
    fn end(&mut self) {
        if self.len() > 0 {
            self.end_chunk();
        }
        self.end_chunk();
        self.ready.push_back(Bytes::from_static(b"\r\n"));
        self.ended = true;
    }

    fn receive(&mut self, data: Bytes) -> Result<(), Error> {
        self.awaited = self.awaited.checked_sub(data.len() as u64).ok_or_else(|| {
            Error::new(ErrorKind::BodyRead, "the request's body is longer than was announced")
        })?;
        self.take(data);
        Ok(())
    }

    fn next(&mut self) -> Option<Frame<Bytes>> {
        let data = self.ready.pop_front()?;
        self.left -= data.len() as u64;
        Some(Frame::data(data))
    }
}

impl<B> Body for Chunked<B>
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
        let mut this = self.project();
        let chunks = this.chunks;
        loop {
            if let Some(frame) = chunks.next() {
                return Poll::Ready(Some(Ok(frame)));
            }
            if chunks.ended {
                return Poll::Ready(None);
            }
            if !chunks.more.is_empty() {
                let more = mem::take(&mut chunks.more);
                chunks.take(more);
                continue;
            }
            let frame = match this.body.is_end_stream() {
                true => None,
                false => ready!(this.body.as_mut().poll_frame(cx)),
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => {
                    let received = chunks.receive(into_bytes(data));
                    received.inspect_err(|_| chunks.ended = true)?;
                }
                Some(Err(error)) => {
                    chunks.ended = true;
                    return Poll::Ready(Some(Err(error.into())));
                }
                None | Some(Ok(Err(_))) if chunks.awaited > 0 => {
                    chunks.ended = true;
                    return Poll::Ready(Some(Err(Error::new(
                        ErrorKind::BodyRead,
                        format!("the request's body ended {} bytes too early", chunks.awaited),
                    )
                    .into())));
                }
                None | Some(Ok(Err(_))) => chunks.end(),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.chunks.ended && self.chunks.ready.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.chunks.left)
    }
}
