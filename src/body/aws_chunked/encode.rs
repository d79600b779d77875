use std::{collections::VecDeque, iter, mem};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::codec::{Codec, CodecBody};
use crate::{
    body::frames::Frames,
    error::{Error, ErrorKind},
    sigv4::{
        Checksum, ChecksumHasher, ChunkSize,
        aws_chunk::{ChunkLine, ChunkSigner, Framing, Trailer},
    },
};

/// A body in the frames of `aws-chunked`, which buffers one chunk at a time.
///
/// Its own trailers are dropped: a message with a length has none.
pub(in crate::body) type AwsChunkedEncoder<B> = CodecBody<B, ChunkEncoder>;

pub(in crate::body) struct ChunkEncoder {
    /// `None` if the chunks are not signed.
    signer: Option<ChunkSigner>,
    framing: Framing,
    sum: Option<ChecksumHasher>,
    /// Size of a chunk.
    size: usize,
    /// The chunk that is being received, and its hash.
    chunk: Frames,
    hash: Sha256,
    /// Input beyond that chunk.
    input: Bytes,
    /// Number of payload bytes that are still to be received.
    expected: u64,
    /// Output.
    ready: VecDeque<Bytes>,
    /// Number of bytes that are still to be returned.
    remaining: u64,
    /// The first chunk has no line break before it.
    started: bool,
}

impl<B> AwsChunkedEncoder<B> {
    /// `decoded` is the length of the body in bytes; a body of another length fails.
    pub(in crate::body) fn new(
        body: B,
        framing: Framing,
        signer: Option<ChunkSigner>,
        size: ChunkSize,
        decoded: u64,
    ) -> Self {
        let codec = ChunkEncoder {
            signer,
            framing,
            sum: framing.checksum().map(Checksum::start),
            size: size.bytes(),
            chunk: Frames::default(),
            hash: Sha256::new(),
            input: Bytes::new(),
            expected: decoded,
            ready: VecDeque::new(),
            remaining: framing.encoded_len(decoded, size).unwrap_or(u64::MAX),
            started: false,
        };
        Self::with_codec(body, codec)
    }
}

impl ChunkEncoder {
    /// Adds data up to the end of the chunk and stores the rest for the next one.
    fn fill_chunk(&mut self, mut data: Bytes) {
        self.input = data.split_off(data.len().min(self.size - self.chunk_len()));
        if self.signer.is_some() {
            self.hash.update(&data);
        }
        if let Some(sum) = &mut self.sum {
            sum.update(&data);
        }
        self.chunk.push(data);
        if self.chunk_len() == self.size {
            self.end_chunk();
        }
    }

    fn chunk_len(&self) -> usize {
        self.chunk.len() as usize // at most the size of a chunk
    }

    /// Outputs the chunk that was received.
    fn end_chunk(&mut self) {
        let hash = mem::take(&mut self.hash).finalize().into();
        let line = ChunkLine {
            len: self.chunk.len(),
            signature: self.signer.as_mut().map(|signer| *signer.chunk(&hash)),
        };
        if mem::replace(&mut self.started, true) {
            self.ready.push_back(Bytes::from_static(b"\r\n"));
        }
        self.ready.push_back(line.write());
        self.ready.extend(iter::from_fn(|| self.chunk.next_data()));
    }
}

impl Codec for ChunkEncoder {
    fn push(&mut self, data: Bytes) -> Result<(), Error> {
        self.expected = self
            .expected
            .checked_sub(data.len() as u64)
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::BodyRead,
                    "the request's body is longer than its declared length",
                )
            })?;
        self.fill_chunk(data);
        Ok(())
    }

    /// Ends with an empty chunk.
    fn finish(&mut self) -> Result<(), Error> {
        if self.expected > 0 {
            return Err(Error::new(
                ErrorKind::BodyRead,
                format!("the request's body ended {} bytes too early", self.expected),
            ));
        }
        if self.chunk_len() > 0 {
            self.end_chunk();
        }
        self.end_chunk();
        if let (Some(checksum), Some(sum)) = (self.framing.checksum(), self.sum.take()) {
            let value = &sum.finish();
            let signature = self
                .signer
                .as_mut()
                .map(|signer| *signer.trailer(checksum, value));
            let trailer = Trailer {
                checksum,
                value,
                signature,
            };
            self.ready.push_back(trailer.write());
        }
        self.ready.push_back(Bytes::from_static(b"\r\n"));
        Ok(())
    }

    fn next(&mut self) -> Option<Bytes> {
        // The next chunk starts after the last one is sent, so that only one is buffered.
        while self.ready.is_empty() && !self.input.is_empty() {
            let input = mem::take(&mut self.input);
            self.fill_chunk(input);
        }
        let data = self.ready.pop_front()?;
        self.remaining -= data.len() as u64;
        Some(data)
    }

    fn remaining(&self) -> u64 {
        self.remaining
    }
}
