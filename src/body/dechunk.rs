use std::{collections::VecDeque, iter, mem};

use bytes::Bytes;
use memchr::memchr;
use sha2::{Digest, Sha256};

use super::{
    recode::{Codec, Recode},
    signed::Frames,
};
use crate::{
    error::{Error, ErrorKind},
    sigv4::chunk::{ChunkLine, ChunkSigner},
};

/// What is in the frames of `aws-chunked`, each chunk verified before it is handed out.
///
/// It is a chunk behind what was verified: the last one is handed out when the end is known to be right,
/// so that a reader that stops at the announced length has seen it. Two chunks are held.
pub(crate) type Dechunk<B> = Recode<B, Chunks>;

pub(crate) struct Chunks {
    signer: ChunkSigner,
    /// The largest chunk that is held, in bytes.
    most: u64,
    state: State,
    /// The line that is being received.
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
    /// The line break after a chunk; after the last one it is the end.
    Break {
        last: bool,
    },
    /// Nothing more may come.
    End,
}

impl<B> Dechunk<B> {
    /// `decoded` is the length of the payload in bytes, which it is held to; no chunk may be larger than
    /// `most`.
    pub(crate) fn new(body: B, signer: ChunkSigner, decoded: u64, most: u64) -> Self {
        let chunks = Chunks {
            signer,
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

impl Chunks {
    /// Longer than any line of a chunk can be.
    const LONGEST_LINE: usize = 128;

    /// Takes in what was received, as far as it goes.
    fn parse(&mut self) -> Result<(), Error> {
        while !self.input.is_empty() {
            match &mut self.state {
                State::Line => self.parse_line()?,
                State::Data(line, rest) => {
                    let len = self.input.len().min(usize::try_from(*rest).unwrap_or(usize::MAX));
                    let data = self.input.split_to(len);
                    *rest -= len as u64;
                    self.hash.update(&data);
                    self.frames.push(data);
                    if *rest == 0 {
                        let line = *line;
                        self.end_chunk(&line)?;
                    }
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

    fn parse_line(&mut self) -> Result<(), Error> {
        let end = memchr(b'\n', &self.input);
        let part = self.input.split_to(end.map_or(self.input.len(), |end| end + 1));
        self.line.extend_from_slice(&part);
        if self.line.len() > Self::LONGEST_LINE {
            return Err(malformed("the line of a chunk is too long"));
        }
        if end.is_none() {
            return Ok(());
        }
        let line = ChunkLine::parse(&mem::take(&mut self.line))
            .ok_or_else(|| malformed("the line of a chunk is malformed"))?;
        if line.len > self.most {
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
            return Err(malformed("the chunks hold less than x-amz-decoded-content-length"));
        }
        self.end_chunk(&line)
    }

    /// Verifies what was received of a chunk.
    fn end_chunk(&mut self, line: &ChunkLine) -> Result<(), Error> {
        let hash = mem::take(&mut self.hash).finalize().into();
        if !self.signer.follows(&hash, &line.signature) {
            return Err(Error::new(
                ErrorKind::PayloadMismatch,
                "the signature of a chunk does not match",
            ));
        }
        self.state = State::Break { last: line.len == 0 };
        if line.len > 0 {
            self.release();
            self.held = mem::take(&mut self.frames);
        }
        Ok(())
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
