//! How bodies go to an origin: its `payload` and `checksum`.

use http::{Method, request::Parts};
use serde::Deserialize;
use toml::Spanned;
use tower_sigv4::{
    Origin,
    origin::PayloadMode,
    sigv4::{Checksum, ChunkSize},
};

use super::ConfigError;

#[derive(Deserialize, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Payload {
    #[default]
    Buffer,
    Unsigned,
    Trust,
    Chunked,
    ChunkedTrailer,
    UnsignedTrailer,
    Auto,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sum {
    Crc32,
    Crc32c,
    Crc64nvme,
    Sha1,
    Sha256,
}

impl From<Sum> for Checksum {
    fn from(sum: Sum) -> Self {
        match sum {
            Sum::Crc32 => Self::Crc32,
            Sum::Crc32c => Self::Crc32C,
            Sum::Crc64nvme => Self::Crc64Nvme,
            Sum::Sha1 => Self::Sha1,
            Sum::Sha256 => Self::Sha256,
        }
    }
}

impl Payload {
    /// True if the origin has to be of the S3 family.
    pub(super) fn is_for_s3(self) -> bool {
        matches!(self, Self::Chunked | Self::ChunkedTrailer | Self::UnsignedTrailer)
    }

    /// Gives an origin this mode; a `sum` is for one with a trailer alone.
    pub(super) fn set(
        self,
        origin: Origin,
        sum: Option<&Spanned<Sum>>,
        text: &str,
    ) -> Result<Origin, ConfigError> {
        if let Some(sum) = sum
            && !matches!(self, Self::ChunkedTrailer | Self::UnsignedTrailer)
        {
            let message =
                "checksum is for payload \"chunked-trailer\" or \"unsigned-trailer\" alone";
            return Err(ConfigError::new(text, Some(sum.span()), message.to_owned()));
        }
        let checksum = sum.map_or(Checksum::Crc32, |sum| (*sum.get_ref()).into());
        Ok(match self {
            Self::Buffer => origin,
            Self::Unsigned => origin.with_payload(PayloadMode::Unsigned),
            Self::Trust => origin.with_payload(PayloadMode::Trust),
            Self::Auto => origin.with_payload(PayloadMode::Auto),
            Self::Chunked => uploads(origin, PayloadMode::Chunked(ChunkSize::default())),
            Self::ChunkedTrailer => {
                uploads(origin, PayloadMode::ChunkedTrailer(ChunkSize::default(), checksum))
            }
            Self::UnsignedTrailer => uploads(origin, PayloadMode::UnsignedTrailer(checksum)),
        })
    }
}

/// S3 takes chunks for an object and for a part of one; what else has a body is small.
fn uploads(origin: Origin, mode: PayloadMode) -> Origin {
    origin.with_payload(move |head: &Parts| {
        let query = head.uri.query().unwrap_or_default();
        let uploads = ["partNumber=", "uploadId=", "x-id="];
        let object = query
            .split('&')
            .all(|pair| pair.is_empty() || uploads.iter().any(|upload| pair.starts_with(upload)));
        match head.method == Method::PUT && object {
            true => mode,
            false => PayloadMode::Buffer,
        }
    })
}
