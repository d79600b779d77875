//! Follows the requests on an HTTP/1 connection, and finds lines that two servers could read differently.
//!
//! hyper accepts a line that ends in a bare LF, and its reader of trailers then takes the next request for a part of
//! this one (RFC 9112, sections 2.2 and 7.1.2).

#[cfg(test)]
mod tests;

use memchr::memchr;

use crate::request_validation::CHUNKED_ONLY;

/// Bytes of a line that are stored: longer ones hold neither a length nor a coding.
const STORED: usize = 64;
const BARE_LF: &str = "a line of the request head ends in LF without CR";

/// State between two reads.
#[derive(Debug)]
pub(super) struct Framing {
    part: Part,
    /// Number of complete heads.
    heads: u64,
    line: Line,
    target: Target,
    /// Reason to reject the current request line.
    invalid_target: Option<&'static str>,
    /// Length of the body, as the head declares it.
    length: Option<u64>,
    chunked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    RequestLine,
    Header,
    Body(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailer,
    /// Nothing is read as HTTP any more.
    Unchecked,
}

/// Place within the request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Method,
    Path,
    Query,
    Version,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Violation {
    /// In the head of this request, counted from 0.
    Head(u64, &'static str),
    /// In a body, after this number of valid bytes.
    Body(usize),
}

impl Framing {
    pub(super) fn new() -> Self {
        Self {
            part: Part::RequestLine,
            heads: 0,
            line: Line::new(),
            target: Target::Method,
            invalid_target: None,
            length: None,
            chunked: false,
        }
    }

    /// Returns `true` if the next byte begins a request.
    pub(super) fn is_between_requests(&self) -> bool {
        self.part == Part::RequestLine && self.line.len == 0
    }

    /// Stops checks, as the connection changes its protocol or closes.
    pub(super) fn stop(&mut self) {
        self.part = Part::Unchecked;
    }

    /// Reads the next bytes. The first violation also stops the checks. Bytes that hyper would reject without a reason
    /// are replaced, because the caller rejects the request with one.
    pub(super) fn read(&mut self, bytes: &mut [u8]) -> Result<(), Violation> {
        let read = self.read_parts(bytes);
        if read.is_err() {
            self.stop();
        }
        read
    }

    fn read_parts(&mut self, bytes: &mut [u8]) -> Result<(), Violation> {
        let mut at = 0;
        while let Some(rest) = bytes.get_mut(at..).filter(|rest| !rest.is_empty()) {
            at += match self.part {
                Part::Unchecked => return Ok(()),
                Part::Body(left) => self.skip(left, rest.len(), Part::Body, Part::RequestLine),
                Part::Chunk(left) => self.skip(left, rest.len(), Part::Chunk, Part::ChunkEnd),
                _ => match memchr(b'\n', rest) {
                    None => {
                        self.add_to_line(rest);
                        rest.len()
                    }
                    Some(len) => {
                        self.add_to_line(&mut rest[..len]);
                        self.end_line(at + len)?;
                        len + 1
                    }
                },
            };
        }
        Ok(())
    }

    /// Returns the number of bytes that belong to the body.
    fn skip(&mut self, left: u64, len: usize, part: fn(u64) -> Part, next: Part) -> usize {
        let skipped = usize::try_from(left).map_or(len, |count| count.min(len));
        self.part = match left - skipped as u64 {
            0 => next,
            rest => part(rest),
        };
        skipped
    }

    fn add_to_line(&mut self, segment: &mut [u8]) {
        if self.part == Part::RequestLine {
            self.replace_in_target(segment);
        }
        self.line.push(segment);
    }

    /// Replaces the bytes of a target that no URI may contain (RFC 3986, section 2), if hyper does not accept them.
    fn replace_in_target(&mut self, segment: &mut [u8]) {
        for byte in segment {
            let reason = match (*byte, self.target) {
                (b' ', Target::Method) => {
                    self.target = Target::Path;
                    continue;
                }
                (b' ', _) => {
                    self.target = Target::Version;
                    continue;
                }
                (b'?', Target::Path) => {
                    self.target = Target::Query;
                    continue;
                }
                (b'<', Target::Path | Target::Query) => {
                    "the request target contains <; encode it as %3C"
                }
                (b'>', Target::Path | Target::Query) => {
                    "the request target contains >; encode it as %3E"
                }
                (b'`', Target::Path) => "the request target contains `; encode it as %60",
                (b'"', Target::Query) => "the request target contains \"; encode it as %22",
                _ => continue,
            };
            *byte = b'_';
            self.invalid_target.get_or_insert(reason);
        }
    }

    /// `at` is the position of the LF.
    fn end_line(&mut self, at: usize) -> Result<(), Violation> {
        let line = self.line;
        self.line.clear();
        let in_head = matches!(self.part, Part::RequestLine | Part::Header);
        let Some(text) = line.without_cr() else {
            return Err(if in_head {
                self.head(BARE_LF)
            } else {
                Violation::Body(at)
            });
        };
        self.part = match self.part {
            // Empty lines before a request are ignored (RFC 9112, section 2.2).
            Part::RequestLine if text.is_empty() => Part::RequestLine,
            Part::RequestLine => match self.invalid_target.take() {
                Some(reason) => return Err(self.head(reason)),
                None => Part::Header,
            },
            Part::Header if text.is_empty() => self.end_head(),
            Part::Header => {
                self.read_header(text, line.is_stored())?;
                Part::Header
            }
            Part::ChunkSize => match chunk_size(text) {
                Some(0) => Part::Trailer,
                Some(size) => Part::Chunk(size),
                None => return Err(Violation::Body(at)),
            },
            Part::ChunkEnd if text.is_empty() => Part::ChunkSize,
            Part::ChunkEnd => return Err(Violation::Body(at)),
            Part::Trailer if text.is_empty() => Part::RequestLine,
            unchanged => unchanged,
        };
        Ok(())
    }

    fn end_head(&mut self) -> Part {
        self.heads += 1;
        self.target = Target::Method;
        // `transfer-encoding` overrides `content-length` (RFC 9112, section 6.3).
        match (std::mem::take(&mut self.chunked), self.length.take()) {
            (true, _) => Part::ChunkSize,
            (false, None | Some(0)) => Part::RequestLine,
            (false, Some(length)) => Part::Body(length),
        }
    }

    fn read_header(&mut self, text: &[u8], is_stored: bool) -> Result<(), Violation> {
        let Some(colon) = memchr(b':', text) else {
            return Ok(()); // hyper rejects it
        };
        let (name, value) = (&text[..colon], text[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = str::from_utf8(value)
                .ok()
                .and_then(|digits| digits.parse().ok());
            if !is_stored || length.is_none() || self.length.is_some() {
                return Err(self.head("content-length must be one number"));
            }
            self.length = length;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if !is_stored || !value.eq_ignore_ascii_case(b"chunked") || self.chunked {
                return Err(self.head(CHUNKED_ONLY));
            }
            self.chunked = true;
        }
        Ok(())
    }

    fn head(&self, reason: &'static str) -> Violation {
        Violation::Head(self.heads, reason)
    }
}

/// The beginning of the current line.
#[derive(Clone, Copy, Debug)]
struct Line {
    stored: [u8; STORED],
    len: usize,
    last: u8,
}

impl Line {
    fn new() -> Self {
        Self {
            stored: [0; STORED],
            len: 0,
            last: 0,
        }
    }

    fn clear(&mut self) {
        (self.len, self.last) = (0, 0);
    }

    fn push(&mut self, segment: &[u8]) {
        let free = self.stored.get_mut(self.len..).unwrap_or_default();
        let stored = free.len().min(segment.len());
        free[..stored].copy_from_slice(&segment[..stored]);
        self.len += segment.len();
        self.last = segment.last().copied().unwrap_or(self.last);
    }

    /// Returns `true` if all of the line is stored.
    fn is_stored(&self) -> bool {
        self.len <= STORED
    }

    /// Returns what is stored of the line, or `None` if it does not end in CR.
    fn without_cr(&self) -> Option<&[u8]> {
        let len = self.len.checked_sub(1).filter(|_| self.last == b'\r')?;
        Some(&self.stored[..len.min(STORED)])
    }
}

/// RFC 9112, section 7.1. hyper allows whitespace, which other servers read as a part of the extension.
fn chunk_size(text: &[u8]) -> Option<u64> {
    let digits = text.split(|byte| *byte == b';').next()?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}
