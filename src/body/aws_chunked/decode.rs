use std::{collections::VecDeque, iter, mem};

use bytes::Bytes;
use memchr::{memchr, memchr_iter};
use sha2::{Digest, Sha256};

use super::codec::{Codec, CodecBody};
use crate::{
    body::frames::Frames,
    error::{Error, ErrorKind},
    sigv4::{
        Checksum, ChecksumHasher,
        aws_chunk::{ChunkLine, ChunkSigner, ExpectedChunks, Framing, LineSignature, Trailer},
        client_chunks::{ClientChecksum, ClientChunks},
        encode,
        signature::Signature,
    },
};

/// The payload of an `aws-chunked` body. Each chunk is verified before it is returned.
///
/// It returns a chunk after the next one is verified, and the last one after the end is. So a reader that stops at the
/// declared length has seen the whole check. Two chunks are buffered, or one frame if signatures are not verified.
pub(crate) type AwsChunkedDecoder<B> = CodecBody<B, ChunkDecoder>;

pub(crate) struct ChunkDecoder {
    framing: Framing,
    signature: LineSignature,
    /// `None` if the chunks are not signed, or their key is unknown.
    signer: Option<ChunkSigner>,
    sum: Option<ChecksumHasher>,
    /// Receives the value of the checksum.
    client_checksum: Option<ClientChecksum>,
    /// Maximum size of a signed chunk, in bytes.
    max_chunk: u64,
    state: ParseState,
    /// The line, or the trailer, that is being received.
    line: Vec<u8>,
    /// The chunk that is being received, and its hash.
    chunk: Frames,
    hash: Sha256,
    /// The verified chunk before it.
    verified: Frames,
    /// Number of payload bytes that are still to be received.
    expected: u64,
}

#[derive(Clone, Copy)]
enum ParseState {
    Line,
    /// The line of the chunk, and the number of its bytes that are still to be received.
    Data(ChunkLine, u64),
    /// The lines after the last chunk.
    Trailer(Checksum),
    /// The line break after a chunk. The last one ends the body.
    Break {
        last: bool,
    },
    End,
}

impl<B> AwsChunkedDecoder<B> {
    /// Rejects signed chunks of more than `max_chunk` bytes, since they are buffered.
    pub(crate) fn new(
        body: B,
        expected: ExpectedChunks,
        checksum: Option<ClientChecksum>,
        max_chunk: u64,
    ) -> Self {
        let signature = LineSignature::of(expected.framing);
        Self::with_signature(body, expected, signature, checksum, max_chunk)
    }

    /// Checks lengths and checksum, and drops the signatures of chunks.
    pub(crate) fn unverified(
        body: B,
        chunks: ClientChunks,
        checksum: Option<ClientChecksum>,
    ) -> Self {
        let expected = ExpectedChunks {
            framing: chunks.framing,
            signer: None,
            decoded: chunks.decoded_len,
        };
        Self::with_signature(body, expected, chunks.signature, checksum, u64::MAX)
    }

    fn with_signature(
        body: B,
        expected: ExpectedChunks,
        signature: LineSignature,
        client_checksum: Option<ClientChecksum>,
        max_chunk: u64,
    ) -> Self {
        let ExpectedChunks {
            framing,
            signer,
            decoded,
        } = expected;
        let codec = ChunkDecoder {
            framing,
            signature,
            signer,
            sum: framing.checksum().map(Checksum::start),
            client_checksum,
            max_chunk,
            state: ParseState::Line,
            line: Vec::new(),
            chunk: Frames::default(),
            hash: Sha256::new(),
            verified: Frames::default(),
            expected: decoded,
        };
        Self::with_codec(body, codec, decoded)
    }
}

fn malformed(message: &'static str) -> Error {
    Error::new(ErrorKind::BodyRead, message)
}

fn mismatch(message: &'static str) -> Error {
    Error::new(ErrorKind::PayloadMismatch, message)
}

impl ChunkDecoder {
    /// Longer than any valid chunk line or trailer.
    const MAX_LINE: usize = 256;

    /// Parses all of the input.
    fn parse(&mut self, input: &mut Bytes, output: &mut VecDeque<Bytes>) -> Result<(), Error> {
        while !input.is_empty() {
            match self.state {
                ParseState::Line => self.parse_line(input, output)?,
                ParseState::Data(line, rest) => {
                    let max = usize::try_from(rest).unwrap_or(usize::MAX);
                    let data = input.split_to(input.len().min(max));
                    let missing = rest - data.len() as u64;
                    self.push_data(data, output);
                    if missing == 0 {
                        self.end_chunk(&line, output)?;
                    } else {
                        self.state = ParseState::Data(line, missing);
                    }
                }
                ParseState::Trailer(checksum) => self.parse_trailer(checksum, input)?,
                ParseState::Break { last } => {
                    self.line.extend_from_slice(&input.split_to(1));
                    match &self.line[..] {
                        b"\r" => {}
                        b"\r\n" => {
                            self.line.clear();
                            self.state = if last {
                                ParseState::End
                            } else {
                                ParseState::Line
                            };
                        }
                        _ => return Err(malformed("a chunk is longer than its line declares")),
                    }
                }
                ParseState::End => return Err(malformed("there are bytes after the last chunk")),
            }
        }
        Ok(())
    }

    /// Adds data to the chunk, or returns it a frame later if chunks are not signed.
    fn push_data(&mut self, data: Bytes, output: &mut VecDeque<Bytes>) {
        if let Some(sum) = &mut self.sum {
            sum.update(&data);
        }
        if self.signer.is_some() {
            self.hash.update(&data);
            self.chunk.push(data);
        } else {
            self.release(output);
            self.verified.push(data);
        }
    }

    /// Moves input to the line up to its end. Returns `true` when the line is complete.
    fn read_line(&mut self, input: &mut Bytes) -> Result<bool, Error> {
        let end = memchr(b'\n', input);
        let len = end.map_or(input.len(), |index| index + 1);
        self.line.extend_from_slice(&input.split_to(len));
        if self.line.len() > Self::MAX_LINE {
            return Err(malformed("a line between the chunks is too long"));
        }
        Ok(end.is_some())
    }

    fn parse_line(&mut self, input: &mut Bytes, output: &mut VecDeque<Bytes>) -> Result<(), Error> {
        if !self.read_line(input)? {
            return Ok(());
        }
        let line = ChunkLine::parse(&mem::take(&mut self.line), self.signature)
            .ok_or_else(|| malformed("the line of a chunk is malformed"))?;
        if line.len > self.max_chunk && self.signer.is_some() {
            return Err(Error::new(
                ErrorKind::BodyTooLarge,
                format!(
                    "a chunk has {} bytes, more than the limit of {}; send smaller chunks",
                    line.len, self.max_chunk
                ),
            ));
        }
        self.expected = self.expected.checked_sub(line.len).ok_or_else(|| {
            malformed("the chunks have more bytes than x-amz-decoded-content-length")
        })?;
        if line.len > 0 {
            self.state = ParseState::Data(line, line.len);
            return Ok(());
        }
        if self.expected > 0 {
            return Err(malformed(
                "the chunks have fewer bytes than x-amz-decoded-content-length",
            ));
        }
        self.end_chunk(&line, output)
    }

    /// Verifies the chunk that was received.
    fn end_chunk(&mut self, line: &ChunkLine, output: &mut VecDeque<Bytes>) -> Result<(), Error> {
        if let Some(signer) = &mut self.signer {
            let hash = mem::take(&mut self.hash).finalize().into();
            if !matches(signer.chunk(&hash), line.signature.as_ref()) {
                return Err(mismatch("the signature of a chunk does not match"));
            }
        }
        self.state = match (line.len, self.framing.checksum()) {
            (0, Some(checksum)) => ParseState::Trailer(checksum),
            (len, _) => ParseState::Break { last: len == 0 },
        };
        if !self.chunk.is_empty() {
            self.release(output);
            self.verified = mem::take(&mut self.chunk);
        }
        Ok(())
    }

    /// Verifies the trailer once it is complete.
    fn parse_trailer(&mut self, checksum: Checksum, input: &mut Bytes) -> Result<(), Error> {
        let line_count = if self.signature.is_present() { 2 } else { 1 };
        if !self.read_line(input)? || memchr_iter(b'\n', &self.line).count() < line_count {
            return Ok(());
        }
        let lines = mem::take(&mut self.line);
        let trailer = Trailer::parse(&lines, checksum, self.signature)
            .ok_or_else(|| malformed("the trailer is not the one that x-amz-trailer names"))?;
        if let Some(signer) = &mut self.signer
            && !matches(
                signer.trailer(checksum, trailer.value),
                trailer.signature.as_ref(),
            )
        {
            return Err(mismatch("the signature of the trailer does not match"));
        }
        let sum = self
            .sum
            .take()
            .map(ChecksumHasher::finish)
            .unwrap_or_default();
        if !encode::ct_eq(sum.as_bytes(), trailer.value.as_bytes()) {
            return Err(mismatch(
                "the checksum in the trailer does not match the body",
            ));
        }
        if let Some(client_checksum) = &self.client_checksum {
            client_checksum.set(trailer.value);
        }
        self.state = ParseState::Break { last: true };
        Ok(())
    }

    /// Outputs the chunk before the current one.
    fn release(&mut self, output: &mut VecDeque<Bytes>) {
        output.extend(iter::from_fn(|| self.verified.next_data()));
    }
}

impl Codec for ChunkDecoder {
    fn push(&mut self, mut input: Bytes, output: &mut VecDeque<Bytes>) -> Result<Bytes, Error> {
        self.parse(&mut input, output)?;
        Ok(input)
    }

    fn finish(&mut self, output: &mut VecDeque<Bytes>) -> Result<(), Error> {
        if !matches!(self.state, ParseState::End) {
            return Err(malformed("the body ended before its last chunk"));
        }
        self.release(output);
        Ok(())
    }
}

/// Compares in constant time. A missing signature never matches.
fn matches(expected: &Signature, received: Option<&Signature>) -> bool {
    received.is_some_and(|signature| encode::ct_eq(expected, signature))
}
