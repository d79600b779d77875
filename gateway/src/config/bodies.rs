//! The section `[bodies]`, and the values of `payload` and `checksum`.

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;
use tower_sigv4::sigv4::Checksum;

use super::{quantity::Size, value::Spanned};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BodiesSection {
    /// Memory that all bodies share.
    pub(crate) memory: Size,
    pub(crate) spool_directory: Option<Spanned<String>>,
}

impl Default for BodiesSection {
    fn default() -> Self {
        Self {
            memory: Size(ByteSize::mib(256)),
            spool_directory: None,
        }
    }
}

#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Payload {
    Mirror,
    Buffer,
    Unsigned,
    Trust,
    Chunked,
    ChunkedTrailer,
    UnsignedTrailer,
    Spool,
    Auto,
}

impl Payload {
    pub(super) fn is_chunked(self) -> bool {
        self == Self::Chunked || self.has_trailer()
    }

    /// Returns `true` if the gateway may send signed chunks of its own.
    pub(crate) fn may_chunk(self) -> bool {
        matches!(self, Self::Chunked | Self::ChunkedTrailer | Self::Auto)
    }

    /// Returns `true` if a body may be larger than the memory that it takes.
    pub(crate) fn exceeds_memory(self) -> bool {
        self != Self::Buffer
    }

    pub(super) fn has_trailer(self) -> bool {
        matches!(self, Self::ChunkedTrailer | Self::UnsignedTrailer)
    }
}

/// Form of the signature that replaces a client's presigned URL.
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MirroredPresign {
    Header,
    Query,
}

#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ChecksumName {
    Crc32,
    Crc32c,
    Crc64nvme,
    Sha1,
    Sha256,
}

impl From<ChecksumName> for Checksum {
    fn from(name: ChecksumName) -> Self {
        match name {
            ChecksumName::Crc32 => Self::Crc32,
            ChecksumName::Crc32c => Self::Crc32C,
            ChecksumName::Crc64nvme => Self::Crc64Nvme,
            ChecksumName::Sha1 => Self::Sha1,
            ChecksumName::Sha256 => Self::Sha256,
        }
    }
}
