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
        client_chunks::ClientChecksum,
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
    /// `None` if the framing has no trailer.
    trailer: Option<TrailerSource>,
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

/// Source of the checksum in the trailer.
#[cfg_attr(
    feature = "checksums",
    expect(clippy::large_enum_variant, reason = "part of a codec, which is boxed")
)]
enum TrailerSource {
    Computed(ChecksumHasher),
    /// The client's own, which decoding has compared with the body.
    Client(ClientChecksum),
}

impl<B> AwsChunkedEncoder<B> {
    /// `decoded` is the length of the body in bytes; a body of another length fails.
    pub(in crate::body) fn new(
        body: B,
        framing: Framing,
        signer: Option<ChunkSigner>,
        size: ChunkSize,
        decoded: u64,
        client_checksum: Option<ClientChecksum>,
    ) -> Self {
        let trailer = framing.checksum().map(|checksum| {
            client_checksum
                .filter(|client| client.checksum() == checksum)
                .map_or_else(
                    || TrailerSource::Computed(Checksum::start(checksum)),
                    TrailerSource::Client,
                )
        });
        let codec = ChunkEncoder {
            signer,
            framing,
            trailer,
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

impl TrailerSource {
    fn finish(self) -> Result<String, Error> {
        match self {
            Self::Computed(sum) => Ok(sum.finish()),
            Self::Client(checksum) => checksum.value().map(str::to_owned).ok_or_else(|| {
                Error::new(
                    ErrorKind::PayloadMismatch,
                    "the body ended before the client's checksum was received",
                )
            }),
        }
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
        if let Some(TrailerSource::Computed(sum)) = &mut self.trailer {
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
        if let (Some(checksum), Some(source)) = (self.framing.checksum(), self.trailer.take()) {
            let value = &source.finish()?;
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
