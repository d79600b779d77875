use std::{collections::VecDeque, iter, mem};

use bytes::Bytes;
use memchr::{memchr, memchr_iter};
use sha2::{Digest, Sha256};

use super::codec::{Codec, Recode};
use crate::{
    body::frames::Frames,
    error::{Error, ErrorKind},
    sigv4::{
        Checksum, ChecksumHasher,
        aws_chunk::{ChunkLine, ChunkSigner, ExpectedChunks, Framing, Trailer},
        encode,
        signature::Signature,
    },
};

/// What is in the frames of `aws-chunked`, each chunk verified before it is handed out.
///
/// It is a chunk behind what was verified: the last one is handed out when the end is known to be right,
/// so that a reader that stops at the announced length has seen it. Two chunks are held. Where chunks are
/// not signed it is a frame behind, and holds that.
pub(crate) type Dechunk<B> = Recode<B, Chunks>;

pub(crate) struct Chunks {
    framing: Framing,
    /// Verifies the chunks, if they are signed.
    signer: Option<ChunkSigner>,
    sum: Option<ChecksumHasher>,
    /// The largest chunk that is held, in bytes.
    most: u64,
    state: State,
    /// The line, or the trailer, that is being received.
    line: Vec<u8>,
    /// The chunk that is being received, and its hash.
    frames: Frames,
    hash: Sha256,
    /// The chunk before it, which is right.
    held: Frames,
    /// What was received and not looked at.
    input: Bytes,
    /// Bytes of the payload that are yet to be received in chunks.
    awaited: u64,
    /// Bytes of the payload that are yet to be handed out.
    left: u64,
    ready: VecDeque<Bytes>,
}

enum State {
    Line,
    /// The line of the chunk, and how many of its bytes are yet to come.
    Data(ChunkLine, u64),
    /// The lines after the last chunk.
    Trailer(Checksum),
    /// The line break after a chunk; after the last one it is the end.
    Break {
        last: bool,
    },
    /// Nothing more may come.
    End,
}

impl<B> Dechunk<B> {
    /// No signed chunk may be larger than `most` bytes, since it is held.
    pub(crate) fn new(body: B, expected: ExpectedChunks, most: u64) -> Self {
        let ExpectedChunks {
            framing,
            signer,
            decoded,
        } = expected;
        let chunks = Chunks {
            framing,
            signer,
            sum: framing.checksum().map(Checksum::start),
            most,
            state: State::Line,
            line: Vec::new(),
            frames: Frames::default(),
            hash: Sha256::new(),
            held: Frames::default(),
            input: Bytes::new(),
            awaited: decoded,
            left: decoded,
            ready: VecDeque::new(),
        };
        Self::with(body, chunks)
    }
}

fn malformed(what: &'static str) -> Error {
    Error::new(ErrorKind::BodyRead, what)
}

fn mismatch(what: &'static str) -> Error {
    Error::new(ErrorKind::PayloadMismatch, what)
}

impl Chunks {
    /// Longer than any line of a chunk can be, and than any trailer.
    const LONGEST_LINE: usize = 256;

    /// Takes in what was received, as far as it goes.
    fn parse(&mut self) -> Result<(), Error> {
        while !self.input.is_empty() {
            match &mut self.state {
                State::Line => self.parse_line()?,
                State::Data(line, rest) => {
                    let len = self
                        .input
                        .len()
                        .min(usize::try_from(*rest).unwrap_or(usize::MAX));
                    let data = self.input.split_to(len);
                    *rest -= len as u64;
                    let (line, ended) = (*line, *rest == 0);
                    self.take(data);
                    if ended {
                        self.end_chunk(&line)?;
                    }
                }
                State::Trailer(checksum) => {
                    let checksum = *checksum;
                    self.parse_trailer(checksum)?;
                }
                State::Break { last } => {
                    let last = *last;
                    self.line.extend_from_slice(&self.input.split_to(1));
                    match &self.line[..] {
                        b"\r" => {}
                        b"\r\n" => {
                            self.line.clear();
                            self.state = if last { State::End } else { State::Line };
                        }
                        _ => return Err(malformed("a chunk is longer than its line says")),
                    }
                }
                State::End => return Err(malformed("there is more after the last chunk")),
            }
        }
        Ok(())
    }

    /// Takes in bytes of a chunk.
    fn take(&mut self, data: Bytes) {
        if let Some(sum) = &mut self.sum {
            sum.update(&data);
        }
        if self.signer.is_some() {
            self.hash.update(&data);
            self.frames.push(data);
        } else {
            self.hold(data);
        }
    }

    /// True when a whole line has been received behind what there is of one.
    fn has_line(&mut self) -> Result<bool, Error> {
        let end = memchr(b'\n', &self.input);
        let part = self
            .input
            .split_to(end.map_or(self.input.len(), |end| end + 1));
        self.line.extend_from_slice(&part);
        match self.line.len() > Self::LONGEST_LINE {
            true => Err(malformed("a line of the chunks is too long")),
            false => Ok(end.is_some()),
        }
    }

    fn parse_line(&mut self) -> Result<(), Error> {
        if !self.has_line()? {
            return Ok(());
        }
        let line = ChunkLine::parse(&mem::take(&mut self.line), self.framing.is_signed())
            .ok_or_else(|| malformed("the line of a chunk is malformed"))?;
        if line.len > self.most && self.framing.is_signed() {
            return Err(Error::new(
                ErrorKind::BodyTooLarge,
                format!("a chunk has {} bytes, {} are allowed", line.len, self.most),
            ));
        }
        self.awaited = self
            .awaited
            .checked_sub(line.len)
            .ok_or_else(|| malformed("the chunks hold more than x-amz-decoded-content-length"))?;
        if line.len > 0 {
            self.state = State::Data(line, line.len);
            return Ok(());
        }
        if self.awaited > 0 {
            return Err(malformed(
                "the chunks hold less than x-amz-decoded-content-length",
            ));
        }
        self.end_chunk(&line)
    }

    /// Verifies what was received of a chunk.
    fn end_chunk(&mut self, line: &ChunkLine) -> Result<(), Error> {
        if let Some(signer) = &mut self.signer {
            let hash = mem::take(&mut self.hash).finalize().into();
            if !matches(signer.chunk(&hash), line.signature.as_ref()) {
                return Err(mismatch("the signature of a chunk does not match"));
            }
        }
        self.state = match (line.len, self.framing.checksum()) {
            (0, Some(checksum)) => State::Trailer(checksum),
            (len, _) => State::Break { last: len == 0 },
        };
        if !self.frames.is_empty() {
            self.release();
            self.held = mem::take(&mut self.frames);
        }
        Ok(())
    }

    /// Verifies what follows the last chunk, when all of it is there.
    fn parse_trailer(&mut self, checksum: Checksum) -> Result<(), Error> {
        let lines = if self.framing.is_signed() { 2 } else { 1 };
        if !self.has_line()? || memchr_iter(b'\n', &self.line).count() < lines {
            return Ok(());
        }
        let text = mem::take(&mut self.line);
        let trailer = Trailer::parse(&text, checksum, self.framing.is_signed())
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
                "the checksum in the trailer is not that of the body",
            ));
        }
        self.state = State::Break { last: true };
        Ok(())
    }

    /// Keeps bytes back until more have come, or the end.
    fn hold(&mut self, data: Bytes) {
        self.release();
        self.held.push(data);
    }

    /// Lets go of the chunk that is held.
    fn release(&mut self) {
        let held = iter::from_fn(|| self.held.next()?.into_data().ok());
        self.ready.extend(held);
    }
}

impl Codec for Chunks {
    fn receive(&mut self, data: Bytes) -> Result<(), Error> {
        self.input = data;
        self.parse()
    }

    fn end(&mut self) -> Result<(), Error> {
        if !matches!(self.state, State::End) {
            return Err(malformed("the body ended before its last chunk"));
        }
        self.release();
        Ok(())
    }

    fn next(&mut self) -> Option<Bytes> {
        let data = self.ready.pop_front()?;
        self.left -= data.len() as u64;
        Some(data)
    }

    fn left(&self) -> u64 {
        self.left
    }
}

/// Compares in constant time; what has no signature has none that matches.
fn matches(own: &Signature, given: Option<&Signature>) -> bool {
    given.is_some_and(|given| encode::ct_eq(own, given))
}
