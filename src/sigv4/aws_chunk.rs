//! `aws-chunked`: a payload in chunks, each signed with the signature of the one before it, and a checksum
//! in a trailer behind them.
//!
//! The Amazon S3 API Reference, "Signature Calculations for the Authorization Header: Transferring Payload
//! in Multiple Chunks" and "Including Trailing Headers".

use bytes::Bytes;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::{
    Checksum, encode,
    key::SigningKey,
    payload::EMPTY_HEX,
    scope::Timestamp,
    signature::Signature,
    sink::{MacSink, Sink},
};
use crate::error::Error;

const ALGORITHM: &str = "AWS4-HMAC-SHA256-PAYLOAD";
const TRAILER_ALGORITHM: &str = "AWS4-HMAC-SHA256-TRAILER";
const EXTENSION: &str = ";chunk-signature=";
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature:";

/// What is signed of a payload in chunks, and what follows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Each chunk, and the checksum if there is one.
    Signed(Option<Checksum>),
    /// Nothing but the head.
    Unsigned(Checksum),
}

impl Framing {
    /// The value of `x-amz-content-sha256`.
    pub(crate) fn content_sha256(self) -> &'static str {
        match self {
            Self::Signed(None) => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            Self::Signed(Some(_)) => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            Self::Unsigned(_) => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        }
    }

    /// Reads that value, and that of `x-amz-trailer`.
    pub(crate) fn parse(payload: &[u8], trailer: Option<&[u8]>) -> Option<Self> {
        let trailer = match trailer {
            Some(name) => Some(Checksum::from_header_name(str::from_utf8(name).ok()?)?),
            None => None,
        };
        let framings = [Some(Self::Signed(trailer)), trailer.map(Self::Unsigned)];
        framings
            .into_iter()
            .flatten()
            .find(|framing| framing.content_sha256().as_bytes() == payload)
    }

    pub(crate) fn is_signed(self) -> bool {
        matches!(self, Self::Signed(_))
    }

    /// What the trailer carries.
    pub(crate) fn checksum(self) -> Option<Checksum> {
        match self {
            Self::Signed(checksum) => checksum,
            Self::Unsigned(checksum) => Some(checksum),
        }
    }

    /// The length of a payload in chunks: that of its bytes, of the frames around them and of the trailer.
    pub(crate) fn encoded_len(self, decoded: u64, size: ChunkSize) -> Option<u64> {
        let size = size.0 as u64;
        let chunk = |len: u64| self.line_len(len) + len + 2;
        let whole = (decoded / size).checked_mul(chunk(size))?;
        let last = match decoded % size {
            0 => 0,
            rest => chunk(rest),
        };
        whole
            .checked_add(last)?
            .checked_add(self.line_len(0) + self.trailer_len() + 2)
    }

    /// `10000;chunk-signature=ad80...\r\n`
    fn line_len(self, len: u64) -> u64 {
        let digits = u64::from(len.checked_ilog2().unwrap_or(0) / 4 + 1);
        let signature = if self.is_signed() {
            EXTENSION.len() as u64 + 64
        } else {
            0
        };
        digits + signature + 2
    }

    fn trailer_len(self) -> u64 {
        let Some(checksum) = self.checksum() else {
            return 0;
        };
        let signature = if self.is_signed() {
            TRAILER_SIGNATURE.len() as u64 + 64 + 2
        } else {
            0
        };
        checksum.header_name().len() as u64 + 1 + checksum.text_len() + 2 + signature
    }
}

/// How many bytes a chunk of `aws-chunked` holds.
///
/// ```
/// use tower_sigv4::sigv4::ChunkSize;
///
/// assert_eq!(ChunkSize::default().bytes(), 64 * 1024);
/// assert!(ChunkSize::new(8 * 1024 - 1).is_err());
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkSize(usize);

impl ChunkSize {
    /// S3's own least.
    const LEAST: usize = 8 * 1024;
    /// What a request holds in memory.
    const MOST: usize = 1024 * 1024 * 1024;

    /// A size in bytes. Each request holds a chunk in memory, and each chunk costs a signature.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) below 8 KiB, which S3 refuses, and above 1 GiB.
    pub fn new(bytes: usize) -> Result<Self, Error> {
        if (Self::LEAST..=Self::MOST).contains(&bytes) {
            return Ok(Self(bytes));
        }
        Err(Error::config(format!(
            "a chunk cannot have {bytes} bytes; give {} to {}",
            Self::LEAST,
            Self::MOST,
        )))
    }

    /// The size in bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.0
    }
}

impl Default for ChunkSize {
    /// 64 KiB.
    fn default() -> Self {
        Self(64 * 1024)
    }
}

/// Signs chunk after chunk, beginning with the signature of the request's head.
pub(crate) struct ChunkSigner {
    mac: Hmac<Sha256>,
    /// Time and scope, as each string to sign has them.
    scope: Vec<u8>,
    previous: Signature,
}

impl ChunkSigner {
    pub(crate) fn new(key: &SigningKey, time: &Timestamp, seed: Signature) -> Self {
        let mut scope = Vec::new();
        for line in [time.as_bytes(), key.scope()] {
            scope.put(line);
            scope.put(b"\n");
        }
        Self {
            mac: key.mac(),
            scope,
            previous: seed,
        }
    }

    /// Signs what these hashes are of, and goes on from there.
    fn sign(&mut self, algorithm: &str, hashes: &[&[u8]]) -> &Signature {
        let mut mac = MacSink(self.mac.clone());
        for part in [algorithm.as_bytes(), b"\n", &self.scope, &self.previous] {
            mac.put(part);
        }
        for hash in hashes {
            mac.put(b"\n");
            mac.put(hash);
        }
        self.previous = encode::hex(&mac.0.finalize().into_bytes().into());
        &self.previous
    }

    /// The signature of the next chunk, from the hash of its bytes.
    pub(crate) fn chunk(&mut self, hash: &[u8; 32]) -> &Signature {
        // The first hash is that of the chunk's headers, of which there are none.
        self.sign(ALGORITHM, &[EMPTY_HEX.as_bytes(), &encode::hex(hash)])
    }

    /// The signature of the trailer, which follows the last chunk.
    pub(crate) fn trailer(&mut self, checksum: Checksum, value: &str) -> &Signature {
        let mut hash = Sha256::new();
        for part in [checksum.header_name(), ":", value, "\n"] {
            hash.update(part);
        }
        self.sign(TRAILER_ALGORITHM, &[&encode::hex(&hash.finalize().into())])
    }
}

/// What a payload in chunks is verified with.
pub(crate) struct ExpectedChunks {
    pub(crate) framing: Framing,
    /// Verifies the chunks, if they are signed.
    pub(crate) signer: Option<ChunkSigner>,
    /// How many bytes are in them.
    pub(crate) decoded: u64,
}

/// What stands before the bytes of a chunk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ChunkLine {
    /// How many bytes there are.
    pub(crate) len: u64,
    pub(crate) signature: Option<Signature>,
}

impl ChunkLine {
    pub(crate) fn write(&self) -> Bytes {
        let mut line = format!("{:x}", self.len).into_bytes();
        if let Some(signature) = &self.signature {
            line.put(EXTENSION.as_bytes());
            line.put(signature);
        }
        line.put(b"\r\n");
        line.into()
    }

    /// Reads a line with its line break, and nothing else.
    pub(crate) fn parse(line: &[u8], signed: bool) -> Option<Self> {
        let line = str::from_utf8(line.strip_suffix(b"\r\n")?).ok()?;
        let (len, signature) = match signed {
            true => {
                let (len, signature) = line.split_once(EXTENSION)?;
                (len, Some(*encode::parse_sha256_hex(signature.as_bytes())?))
            }
            false => (line, None),
        };
        let digits = if signed { 8 } else { 16 };
        if !(1..=digits).contains(&len.len()) || !len.bytes().all(|digit| digit.is_ascii_hexdigit())
        {
            return None;
        }
        Some(Self {
            len: u64::from_str_radix(len, 16).ok()?,
            signature,
        })
    }
}

/// What follows the last chunk, but for the line break at the end.
pub(crate) struct Trailer<'a> {
    pub(crate) checksum: Checksum,
    /// In base64.
    pub(crate) value: &'a str,
    pub(crate) signature: Option<Signature>,
}

impl<'a> Trailer<'a> {
    pub(crate) fn write(&self) -> Bytes {
        let mut text = [self.checksum.header_name(), ":", self.value, "\r\n"]
            .concat()
            .into_bytes();
        if let Some(signature) = &self.signature {
            text.put(TRAILER_SIGNATURE.as_bytes());
            text.put(signature);
            text.put(b"\r\n");
        }
        text.into()
    }

    /// Reads the trailer of a checksum, its lines with their line breaks, and nothing else.
    pub(crate) fn parse(text: &'a [u8], checksum: Checksum, signed: bool) -> Option<Self> {
        let text = str::from_utf8(text.strip_suffix(b"\r\n")?).ok()?;
        let (line, signature) = match signed {
            true => {
                let (line, signature) = text.split_once("\r\n")?;
                let signature = signature.strip_prefix(TRAILER_SIGNATURE)?;
                (line, Some(*encode::parse_sha256_hex(signature.as_bytes())?))
            }
            false => (text, None),
        };
        let value = line
            .strip_prefix(checksum.header_name())?
            .strip_prefix(':')?;
        Some(Self {
            checksum,
            value,
            signature,
        })
    }
}

#[cfg(test)]
mod tests;
