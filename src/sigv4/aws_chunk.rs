//! `aws-chunked`: a chunked payload with an optional checksum in a trailer. The signature of each chunk covers that of
//! the previous one.
//!
//! See the Amazon S3 API Reference, "Signature Calculations for the Authorization Header: Transferring Payload
//! in Multiple Chunks" and "Including Trailing Headers".

use bytes::Bytes;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::{
    Checksum, ChunkSize, encode, key::SigningKey, payload::EMPTY_HEX, scope::Timestamp,
    signature::Signature, sink::Sink,
};

const ALGORITHM: &str = "AWS4-HMAC-SHA256-PAYLOAD";
const TRAILER_ALGORITHM: &str = "AWS4-HMAC-SHA256-TRAILER";
const EXTENSION: &str = ";chunk-signature=";
const TRAILER_SIGNATURE: &str = "\r\nx-amz-trailer-signature:";

/// Signed parts of a chunked payload, and its trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Each chunk and the optional checksum are signed.
    Signed(Option<Checksum>),
    /// Only the head is signed.
    Unsigned(Checksum),
}

impl Framing {
    /// Returns the value of `x-amz-content-sha256`.
    pub(crate) fn content_sha256(self) -> &'static str {
        match self {
            Self::Signed(None) => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            Self::Signed(Some(_)) => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            Self::Unsigned(_) => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        }
    }

    /// Parses the values of `x-amz-content-sha256` and `x-amz-trailer`.
    pub(crate) fn parse(content_sha256: &[u8], trailer: Option<&[u8]>) -> Option<Self> {
        let checksum = match trailer {
            Some(name) => Some(Checksum::from_header_name(str::from_utf8(name).ok()?)?),
            None => None,
        };
        [Some(Self::Signed(checksum)), checksum.map(Self::Unsigned)]
            .into_iter()
            .flatten()
            .find(|framing| framing.content_sha256().as_bytes() == content_sha256)
    }

    pub(crate) fn is_signed(self) -> bool {
        matches!(self, Self::Signed(_))
    }

    /// Returns the checksum in the trailer.
    pub(crate) fn checksum(self) -> Option<Checksum> {
        match self {
            Self::Signed(checksum) => checksum,
            Self::Unsigned(checksum) => Some(checksum),
        }
    }

    /// Returns the length of a chunked payload, including its framing and trailer.
    pub(crate) fn encoded_len(self, decoded: u64, size: ChunkSize) -> Option<u64> {
        let chunk_size = size.bytes() as u64;
        let chunk = |len: u64| self.line_len(len) + len + 2;
        let whole = (decoded / chunk_size).checked_mul(chunk(chunk_size))?;
        let last = match decoded % chunk_size {
            0 => 0,
            rest => chunk(rest),
        };
        whole
            .checked_add(last)?
            .checked_add(self.line_len(0) + self.trailer_len() + 2)
    }

    /// Returns the length of a line such as `10000;chunk-signature=ad80...\r\n`.
    fn line_len(self, len: u64) -> u64 {
        let digits = u64::from(len.checked_ilog2().unwrap_or(0) / 4 + 1);
        let signature = EXTENSION.len() as u64 + 64;
        digits + u64::from(self.is_signed()) * signature + 2
    }

    fn trailer_len(self) -> u64 {
        let Some(checksum) = self.checksum() else {
            return 0;
        };
        let signature = TRAILER_SIGNATURE.len() as u64 + 64;
        let len = checksum.header_name().len() as u64 + 1 + checksum.base64_len() + 2;
        len + u64::from(self.is_signed()) * signature
    }
}

/// Signs consecutive chunks, starting with the signature of the request's head.
pub(crate) struct ChunkSigner {
    mac: Hmac<Sha256>,
    /// Time and scope, as lines of each string to sign.
    scope: Vec<u8>,
    previous: Signature,
}

impl ChunkSigner {
    pub(crate) fn new(key: &SigningKey, time: &Timestamp, seed: Signature) -> Self {
        Self {
            mac: key.mac(),
            scope: [time.as_bytes(), key.scope(), b""].join(&b'\n'),
            previous: seed,
        }
    }

    /// Signs hashes and the previous signature.
    fn sign(&mut self, algorithm: &str, hashes: &[&[u8]]) -> &Signature {
        let mut mac = self.mac.clone();
        for part in [algorithm.as_bytes(), b"\n", &self.scope, &self.previous] {
            mac.put(part);
        }
        for hash in hashes {
            mac.put(b"\n");
            mac.put(hash);
        }
        self.previous = encode::hex(&mac.finalize().into_bytes().into());
        &self.previous
    }

    /// Signs the next chunk by its hash.
    pub(crate) fn chunk(&mut self, hash: &[u8; 32]) -> &Signature {
        // The first hash is that of the chunk's headers, which do not exist.
        self.sign(ALGORITHM, &[EMPTY_HEX.as_bytes(), &encode::hex(hash)])
    }

    /// Signs the trailer, which follows the last chunk.
    pub(crate) fn trailer(&mut self, checksum: Checksum, value: &str) -> &Signature {
        let mut hash = Sha256::new();
        for part in [checksum.header_name(), ":", value, "\n"] {
            hash.update(part);
        }
        self.sign(TRAILER_ALGORITHM, &[&encode::hex(&hash.finalize().into())])
    }
}

/// Expected form of a chunked payload, against which it is verified.
pub(crate) struct ExpectedChunks {
    pub(crate) framing: Framing,
    /// Signs the chunks again to verify them; `None` if they are not signed.
    pub(crate) signer: Option<ChunkSigner>,
    /// Number of bytes in all chunks.
    pub(crate) decoded: u64,
}

/// Algorithm of the signatures between chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineSignature {
    None,
    Hmac,
    /// SigV4a.
    Ecdsa,
}

impl LineSignature {
    pub(crate) fn of(framing: Framing) -> Self {
        if framing.is_signed() {
            Self::Hmac
        } else {
            Self::None
        }
    }

    pub(crate) fn is_present(self) -> bool {
        self != Self::None
    }
}

/// The line before the bytes of a chunk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ChunkLine {
    /// Number of bytes.
    pub(crate) len: u64,
    pub(crate) signature: Option<Signature>,
}

impl ChunkLine {
    pub(crate) fn write(&self) -> Bytes {
        with_signature(
            format!("{:x}", self.len),
            EXTENSION,
            self.signature.as_ref(),
        )
    }

    /// Parses a line with its line break.
    pub(crate) fn parse(bytes: &[u8], kind: LineSignature) -> Option<Self> {
        let (len, signature) = split_signature(bytes, EXTENSION, kind)?;
        let max_digits = if kind.is_present() { 8 } else { 16 };
        if !(1..=max_digits).contains(&len.len())
            || !len.bytes().all(|digit| digit.is_ascii_hexdigit())
        {
            return None;
        }
        Some(Self {
            len: u64::from_str_radix(len, 16).ok()?,
            signature,
        })
    }
}

/// Appends a signature, if there is one, and a line break.
fn with_signature(text: String, separator: &str, signature: Option<&Signature>) -> Bytes {
    let mut line = text.into_bytes();
    if let Some(hex) = signature {
        line.put(separator.as_bytes());
        line.put(hex);
    }
    line.put(b"\r\n");
    line.into()
}

/// Splits off the line break and, from a signed text, the signature. One of SigV4a is dropped.
fn split_signature<'a>(
    bytes: &'a [u8],
    separator: &str,
    kind: LineSignature,
) -> Option<(&'a str, Option<Signature>)> {
    let text = str::from_utf8(bytes.strip_suffix(b"\r\n")?).ok()?;
    if !kind.is_present() {
        return Some((text, None));
    }
    let (unsigned, hex) = text.split_once(separator)?;
    if kind == LineSignature::Ecdsa {
        return is_padded_ecdsa(hex).then_some((unsigned, None));
    }
    Some((unsigned, Some(*encode::parse_sha256_hex(hex.as_bytes())?)))
}

/// Returns `true` for a signature in DER and hex, which clients pad with `*` to 144 bytes so that the length of the
/// body is known (aws-c-auth, `AWS_SIGV4A_SIGNATURE_PADDING_BYTE`).
fn is_padded_ecdsa(text: &str) -> bool {
    const MAX_DIGITS: usize = 144;
    let digits = text.trim_end_matches('*');
    !digits.is_empty()
        && text.len() <= MAX_DIGITS
        && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// The trailer after the last chunk, without the final line break.
pub(crate) struct Trailer<'a> {
    pub(crate) checksum: Checksum,
    /// In base64.
    pub(crate) value: &'a str,
    pub(crate) signature: Option<Signature>,
}

impl<'a> Trailer<'a> {
    pub(crate) fn write(&self) -> Bytes {
        let text = [self.checksum.header_name(), ":", self.value].concat();
        with_signature(text, TRAILER_SIGNATURE, self.signature.as_ref())
    }

    /// Parses the trailer of a checksum with its line breaks.
    pub(crate) fn parse(bytes: &'a [u8], checksum: Checksum, kind: LineSignature) -> Option<Self> {
        let (line, signature) = split_signature(bytes, TRAILER_SIGNATURE, kind)?;
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
