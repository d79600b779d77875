use std::{collections::VecDeque, iter, mem};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::codec::{Codec, Recode};
use crate::{
    body::frames::Frames,
    error::{Error, ErrorKind},
    sigv4::{
        Checksum, ChecksumHasher, ChunkSize,
        aws_chunk::{ChunkLine, ChunkSigner, Framing, Trailer},
    },
};

/// A body in the frames of `aws-chunked`; it holds one chunk at a time.
///
/// Its own trailers are dropped: a message with a length has none.
pub(in crate::body) type Chunked<B> = Recode<B, Chunks>;

pub(in crate::body) struct Chunks {
    /// Signs the chunks, if they are signed.
    signer: Option<ChunkSigner>,
    framing: Framing,
    sum: Option<ChecksumHasher>,
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
}

impl<B> Chunked<B> {
    /// `decoded` is the length of the body in bytes, which it is held to.
    pub(in crate::body) fn new(
        body: B,
        framing: Framing,
        signer: Option<ChunkSigner>,
        size: ChunkSize,
        decoded: u64,
    ) -> Self {
        let chunks = Chunks {
            signer,
            framing,
            sum: framing.checksum().map(Checksum::start),
            size: size.bytes(),
            frames: Frames::default(),
            hash: Sha256::new(),
            more: Bytes::new(),
            awaited: decoded,
            ready: VecDeque::new(),
            left: framing.encoded_len(decoded, size).unwrap_or(u64::MAX),
            started: false,
        };
        Self::with(body, chunks)
    }
}

impl Chunks {
    /// Takes in bytes up to the end of a chunk, and keeps the rest for the next one.
    fn take(&mut self, mut data: Bytes) {
        self.more = data.split_off(data.len().min(self.size - self.len()));
        if self.signer.is_some() {
            self.hash.update(&data);
        }
        if let Some(sum) = &mut self.sum {
            sum.update(&data);
        }
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
        let signature = self.signer.as_mut().map(|signer| *signer.chunk(&hash));
        let line = ChunkLine {
            len: self.frames.len(),
            signature,
        }
        .write();
        if mem::replace(&mut self.started, true) {
            self.ready.push_back(Bytes::from_static(b"\r\n"));
        }
        self.ready.push_back(line);
        let frames = iter::from_fn(|| self.frames.next()?.into_data().ok());
        self.ready.extend(frames);
    }
}

impl Codec for Chunks {
    fn receive(&mut self, data: Bytes) -> Result<(), Error> {
        self.awaited = self.awaited.checked_sub(data.len() as u64).ok_or_else(|| {
            Error::new(
                ErrorKind::BodyRead,
                "the request's body is longer than was announced",
            )
        })?;
        self.take(data);
        Ok(())
    }

    /// The last chunk is an empty one.
    fn end(&mut self) -> Result<(), Error> {
        if self.awaited > 0 {
            return Err(Error::new(
                ErrorKind::BodyRead,
                format!("the request's body ended {} bytes too early", self.awaited),
            ));
        }
        if self.len() > 0 {
            self.end_chunk();
        }
        self.end_chunk();
        if let (Some(checksum), Some(sum)) = (self.framing.checksum(), self.sum.take()) {
            let value = &sum.finish();
            let signature = self
                .signer
                .as_mut()
                .map(|signer| *signer.trailer(checksum, value));
            self.ready.push_back(
                Trailer {
                    checksum,
                    value,
                    signature,
                }
                .write(),
            );
        }
        self.ready.push_back(Bytes::from_static(b"\r\n"));
        Ok(())
    }

    fn next(&mut self) -> Option<Bytes> {
        // One chunk after the other, so that no more than one is held.
        while self.ready.is_empty() && !self.more.is_empty() {
            let more = mem::take(&mut self.more);
            self.take(more);
        }
        let data = self.ready.pop_front()?;
        self.left -= data.len() as u64;
        Some(data)
    }

    fn left(&self) -> u64 {
        self.left
    }
}
