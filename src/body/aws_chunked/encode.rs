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
    /// Number of payload bytes that are still to be received.
    expected: u64,
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
            expected: decoded,
            started: false,
        };
        let len = framing.encoded_len(decoded, size).unwrap_or(u64::MAX);
        Self::with_codec(body, codec, len)
    }
}

impl ChunkEncoder {
    fn chunk_len(&self) -> usize {
        self.chunk.len() as usize // at most the size of a chunk
    }

    /// Outputs the chunk that was received.
    fn end_chunk(&mut self, output: &mut VecDeque<Bytes>) {
        let hash = mem::take(&mut self.hash).finalize().into();
        let line = ChunkLine {
            len: self.chunk.len(),
            signature: self.signer.as_mut().map(|signer| *signer.chunk(&hash)),
        };
        if mem::replace(&mut self.started, true) {
            output.push_back(Bytes::from_static(b"\r\n"));
        }
        output.push_back(line.write());
        output.extend(iter::from_fn(|| self.chunk.next_data()));
    }
}

impl Codec for ChunkEncoder {
    /// Adds data up to the end of the chunk. The rest waits until the chunk is sent, so that only one is buffered.
    fn push(&mut self, mut data: Bytes, output: &mut VecDeque<Bytes>) -> Result<Bytes, Error> {
        if data.len() as u64 > self.expected {
            return Err(Error::new(
                ErrorKind::BodyRead,
                "the request's body is longer than its declared length",
            ));
        }
        let rest = data.split_off(data.len().min(self.size - self.chunk_len()));
        self.expected -= data.len() as u64;
        if self.signer.is_some() {
            self.hash.update(&data);
        }
        if let Some(sum) = &mut self.sum {
            sum.update(&data);
        }
        self.chunk.push(data);
        if self.chunk_len() == self.size {
            self.end_chunk(output);
        }
        Ok(rest)
    }

    /// Ends with an empty chunk.
    fn finish(&mut self, output: &mut VecDeque<Bytes>) -> Result<(), Error> {
        if self.expected > 0 {
            return Err(Error::new(
                ErrorKind::BodyRead,
                format!("the request's body ended {} bytes too early", self.expected),
            ));
        }
        if self.chunk_len() > 0 {
            self.end_chunk(output);
        }
        self.end_chunk(output);
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
            output.push_back(trailer.write());
        }
        output.push_back(Bytes::from_static(b"\r\n"));
        Ok(())
    }
}
