use aws_smithy_types::base64;
#[cfg(feature = "checksums")]
use crc_fast::{CrcAlgorithm, Digest as Crc};
#[cfg(feature = "checksums")]
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Checksum of a payload, sent in a trailer.
///
/// The algorithms are those of the Amazon S3 User Guide, "Checking object integrity in Amazon S3". Prefer
/// `Crc64Nvme`: it is the fastest, and S3 stores it with each object. Avoid SHA-1.
///
/// ```
/// use tower_sigv4::sigv4::Checksum;
///
/// assert_eq!(Checksum::Crc32C.header_name(), "x-amz-checksum-crc32c");
/// assert_eq!(Checksum::from_header_name("x-amz-checksum-sha256"), Some(Checksum::Sha256));
/// assert_eq!(Checksum::Crc32.of(b"123456789"), "y/Q5Jg==");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Checksum {
    /// CRC-32 of ISO 3309, as in gzip.
    #[cfg(feature = "checksums")]
    Crc32,
    /// CRC-32C (Castagnoli), as in iSCSI.
    #[cfg(feature = "checksums")]
    Crc32C,
    /// CRC-64/NVME.
    #[cfg(feature = "checksums")]
    Crc64Nvme,
    /// SHA-1.
    #[cfg(feature = "checksums")]
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Checksum {
    /// Each checksum, the name of its header and its length in bytes, in the order of the declaration.
    const TABLE: &[(Self, &str, usize)] = &[
        #[cfg(feature = "checksums")]
        (Self::Crc32, "x-amz-checksum-crc32", 4),
        #[cfg(feature = "checksums")]
        (Self::Crc32C, "x-amz-checksum-crc32c", 4),
        #[cfg(feature = "checksums")]
        (Self::Crc64Nvme, "x-amz-checksum-crc64nvme", 8),
        #[cfg(feature = "checksums")]
        (Self::Sha1, "x-amz-checksum-sha1", 20),
        (Self::Sha256, "x-amz-checksum-sha256", 32),
    ];

    /// Returns the name of its header or trailer.
    #[must_use]
    pub fn header_name(self) -> &'static str {
        Self::TABLE[self as usize].1
    }

    /// Returns the checksum of a header or trailer by its name in lower case.
    #[must_use]
    pub fn from_header_name(name: &str) -> Option<Self> {
        let mut rows = Self::TABLE.iter();
        rows.find(|(_, known, _)| *known == name)
            .map(|(checksum, ..)| *checksum)
    }

    /// Returns `true` if a header of this name, in lower case, contains a checksum that S3 supports, even if this
    /// build does not.
    pub(crate) fn is_header_name(name: &str) -> bool {
        const SUFFIXES: [&str; 5] = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"];
        name.strip_prefix("x-amz-checksum-")
            .is_some_and(|suffix| SUFFIXES.contains(&suffix))
    }

    /// Computes the checksum of a payload in base64, as the header contains it.
    #[must_use]
    pub fn of(self, payload: &[u8]) -> String {
        let mut sum = self.start();
        sum.update(payload);
        sum.finish()
    }

    /// Returns the length in base64.
    pub(crate) fn base64_len(self) -> u64 {
        self.len().div_ceil(3) as u64 * 4
    }

    fn len(self) -> usize {
        Self::TABLE[self as usize].2
    }

    pub(crate) fn start(self) -> ChecksumHasher {
        #[cfg(feature = "checksums")]
        let crc = |algorithm| ChecksumHasher::Crc(Crc::new(algorithm), self.len());
        match self {
            #[cfg(feature = "checksums")]
            Self::Crc32 => crc(CrcAlgorithm::Crc32IsoHdlc),
            #[cfg(feature = "checksums")]
            Self::Crc32C => crc(CrcAlgorithm::Crc32Iscsi),
            #[cfg(feature = "checksums")]
            Self::Crc64Nvme => crc(CrcAlgorithm::Crc64Nvme),
            #[cfg(feature = "checksums")]
            Self::Sha1 => ChecksumHasher::Sha1(Sha1::new()),
            Self::Sha256 => ChecksumHasher::Sha256(Sha256::new()),
        }
    }
}

/// An incremental [`Checksum`].
pub(crate) enum ChecksumHasher {
    /// With the length of the checksum.
    #[cfg(feature = "checksums")]
    Crc(Crc, usize),
    #[cfg(feature = "checksums")]
    Sha1(Sha1),
    Sha256(Sha256),
}

impl ChecksumHasher {
    pub(crate) fn update(&mut self, data: &[u8]) {
        match self {
            #[cfg(feature = "checksums")]
            Self::Crc(crc, _) => crc.update(data),
            #[cfg(feature = "checksums")]
            Self::Sha1(hash) => hash.update(data),
            Self::Sha256(hash) => hash.update(data),
        }
    }

    /// Returns the checksum in base64.
    pub(crate) fn finish(self) -> String {
        match self {
            #[cfg(feature = "checksums")]
            Self::Crc(crc, len) => base64::encode(&crc.finalize().to_be_bytes()[8 - len..]),
            #[cfg(feature = "checksums")]
            Self::Sha1(hash) => base64::encode(hash.finalize()),
            Self::Sha256(hash) => base64::encode(hash.finalize()),
        }
    }
}

#[cfg(all(test, feature = "checksums"))]
mod tests {
    use super::*;

    #[test]
    fn checksums_match_the_check_values_of_their_algorithms() {
        // The check value of each algorithm in the catalogue of CRC algorithms, or its hash of these digits.
        for (checksum, expected) in [
            (Checksum::Crc32, 0xcbf4_3926_u32.to_be_bytes().to_vec()),
            (Checksum::Crc32C, 0xe306_9283_u32.to_be_bytes().to_vec()),
            (
                Checksum::Crc64Nvme,
                0xae8b_1486_0a79_9888_u64.to_be_bytes().to_vec(),
            ),
            (
                Checksum::Sha1,
                base64::decode("98O8HYCOBHMq32eZZczDTKeuNEE=").expect("base64"),
            ),
            (
                Checksum::Sha256,
                base64::decode("FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=").expect("base64"),
            ),
        ] {
            let text = checksum.of(b"123456789");
            assert_eq!(text, base64::encode(expected), "{checksum:?}");
            assert_eq!(text.len() as u64, checksum.base64_len());
            let mut sum = checksum.start();
            for byte in b"123456789" {
                sum.update(&[*byte]);
            }
            assert_eq!(sum.finish(), text);
            assert_eq!(
                Checksum::from_header_name(checksum.header_name()),
                Some(checksum)
            );
            assert!(Checksum::is_header_name(checksum.header_name()));
        }
        for other in [
            "",
            "x-amz-checksum-",
            "x-amz-checksum-md5",
            "X-Amz-Checksum-Crc32",
            "crc32",
        ] {
            assert_eq!(Checksum::from_header_name(other), None, "{other}");
            assert!(!Checksum::is_header_name(other), "{other}");
        }
    }
}
