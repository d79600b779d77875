//! `aws-chunked`: a payload in chunks, each signed with the signature of the one before it.
//!
//! The Amazon S3 API Reference, "Signature Calculations for the Authorization Header: Transferring Payload
//! in Multiple Chunks".

use bytes::Bytes;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::{
    encode,
    key::SigningKey,
    payload::EMPTY_HEX,
    scope::Timestamp,
    signature::{MacSink, Signature},
};
use crate::{error::Error, sigv4::canonical::Sink};

/// The value of `x-amz-content-sha256` for a payload in signed chunks.
pub(crate) const PAYLOAD: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";

const ALGORITHM: &str = "AWS4-HMAC-SHA256-PAYLOAD";
const EXTENSION: &str = ";chunk-signature=";

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

/// The length of a payload in chunks: that of its bytes and of the frames around them.
pub(crate) fn encoded_len(decoded: u64, size: ChunkSize) -> Option<u64> {
    let size = size.0 as u64;
    let whole = (decoded / size).checked_mul(line_len(size) + size + 2)?;
    let last = match decoded % size {
        0 => 0,
        rest => line_len(rest) + rest + 2,
    };
    whole.checked_add(last)?.checked_add(line_len(0) + 2)
}

/// `10000;chunk-signature=ad80...\r\n`
fn line_len(len: u64) -> u64 {
    let digits = u64::from(len.checked_ilog2().unwrap_or(0) / 4 + 1);
    digits + EXTENSION.len() as u64 + 64 + 2
}

/// Signs chunk after chunk, beginning with the signature of the request's head.
pub(crate) struct ChunkSigner {
    mac: Hmac<Sha256>,
    /// Algorithm, time and scope, as each string to sign begins.
    prefix: Vec<u8>,
    previous: Signature,
}

impl ChunkSigner {
    pub(crate) fn new(key: &SigningKey, time: &Timestamp, seed: Signature) -> Self {
        let mut prefix = Vec::new();
        for line in [ALGORITHM.as_bytes(), time.as_bytes(), key.scope()] {
            prefix.put(line);
            prefix.put(b"\n");
        }
        Self { mac: key.mac(), prefix, previous: seed }
    }

    /// The signature of the next chunk, from the hash of its bytes.
    fn sign(&mut self, hash: &[u8; 32]) -> &Signature {
        let mut mac = MacSink(self.mac.clone());
        for part in [
            &self.prefix[..],
            &self.previous,
            b"\n",
            EMPTY_HEX.as_bytes(), // of the headers, which a chunk has none of
            b"\n",
            &encode::hex(hash),
        ] {
            mac.put(part);
        }
        self.previous = encode::hex(&mac.0.finalize().into_bytes().into());
        &self.previous
    }

    /// True if `given` is the signature of the next chunk; compared in constant time.
    pub(crate) fn follows(&mut self, hash: &[u8; 32], given: &Signature) -> bool {
        encode::ct_eq(self.sign(hash), given)
    }

    /// What goes before the bytes of the next chunk.
    pub(crate) fn line(&mut self, len: usize, hash: &[u8; 32]) -> Bytes {
        let mut line = format!("{len:x}{EXTENSION}").into_bytes();
        line.put(self.sign(hash));
        line.put(b"\r\n");
        line.into()
    }
}

/// What stands before the bytes of a chunk.
#[derive(Clone, Copy)]
pub(crate) struct ChunkLine {
    /// How many bytes there are.
    pub(crate) len: u64,
    pub(crate) signature: Signature,
}

impl ChunkLine {
    /// Reads a line with its line break, and nothing else.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let line = str::from_utf8(line.strip_suffix(b"\r\n")?).ok()?;
        let (len, signature) = line.split_once(EXTENSION)?;
        if !(1..=8).contains(&len.len()) || !len.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let signature = *encode::read_hex(signature.as_bytes())?;
        Some(Self { len: u64::from_str_radix(len, 16).ok()?, signature })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use aws_credential_types::Credentials;
    use http::Request;
    use sha2::Digest;

    use super::*;
    use crate::{
        SigningSettings,
        sigv4::{AllExcept, Identity, PayloadHash, Signer, SigningParams},
    };

    /// The example of the page named above.
    #[test]
    fn the_example_of_the_reference_is_signed_alike() {
        let credentials = Credentials::new(
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            None,
            None,
            "example",
        );
        let identity = Identity::new(credentials).expect("valid");
        let settings = SigningSettings::new("s3", "us-east-1")
            .expect("a scope")
            .with_signed_headers(AllExcept::default());
        let (mut head, ()) = Request::put("https://s3.amazonaws.com/examplebucket/chunkObject.txt")
            .header("x-amz-storage-class", "REDUCED_REDUNDANCY")
            .header("content-encoding", "aws-chunked")
            .header("x-amz-decoded-content-length", "66560")
            .header("content-length", "66824")
            .body(())
            .expect("a request")
            .into_parts();
        let time = UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, time);
        let mut signer = Signer::new().sign_chunked(&mut head, &params).expect("signed");
        let authorization = head.headers["authorization"].to_str().expect("ASCII");
        let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
        assert!(authorization.ends_with(seed), "{authorization}");
        assert_eq!(head.headers["x-amz-content-sha256"], PAYLOAD);

        for (len, line) in [
            (
                65536,
                "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n",
            ),
            (
                1024,
                "400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n",
            ),
            (
                0,
                "0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n",
            ),
        ] {
            let hash = Sha256::digest(vec![b'a'; len]).into();
            assert_eq!(signer.line(len, &hash), line);
        }
        assert_eq!(encoded_len(66_560, ChunkSize::default()), Some(66_824));
    }

    #[test]
    fn lines_are_read_strictly() {
        let signature = "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648";
        let line = |len: &str| format!("{len};chunk-signature={signature}\r\n");
        for (len, bytes) in [("0", 0), ("10000", 65536), ("4aF", 0x4af), ("ffffffff", 0xffff_ffff)]
        {
            let line = ChunkLine::parse(line(len).as_bytes()).expect("valid");
            assert_eq!((line.len, &line.signature[..]), (bytes, signature.as_bytes()));
        }
        for bad in [
            line(""),
            line("-1"),
            line("+1"),
            line(" 1"),
            line("0x1"),
            line("g"),
            line("100000000"),
            line("1").replace("\r\n", "\n"),
            line("1").replace("\r\n", ""),
            line("1").replace(";chunk", ",chunk"),
            line("1").replace("chunk-", "Chunk-"),
            line("1").replace("ad80", "AD80"),
            line("1").replace("ad80", "ad8"),
            line("1").replace("ad80", "ad800"),
            line("1").replace("\r\n", ";a=b\r\n"),
            "1\r\n".to_owned(),
            "\r\n".to_owned(),
        ] {
            assert!(ChunkLine::parse(bad.as_bytes()).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn the_length_is_that_of_all_lines_and_bytes() {
        let size = ChunkSize::new(8192).expect("allowed");
        let line =
            |len: u64| format!("{len:x};chunk-signature={}\r\n", "0".repeat(64)).len() as u64;
        for (decoded, expected) in [
            (0, line(0) + 2),
            (1, line(1) + 1 + 2 + line(0) + 2),
            (15, line(15) + 15 + 2 + line(0) + 2),
            (16, line(16) + 16 + 2 + line(0) + 2),
            (8191, line(8191) + 8191 + 2 + line(0) + 2),
            (8192, line(8192) + 8192 + 2 + line(0) + 2),
            (16385, 2 * (line(8192) + 8192 + 2) + line(1) + 1 + 2 + line(0) + 2),
        ] {
            assert_eq!(encoded_len(decoded, size), Some(expected), "{decoded}");
        }
        assert_eq!(encoded_len(u64::MAX, size), None);
    }
}
