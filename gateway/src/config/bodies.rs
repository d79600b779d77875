//! How bodies go to their origins: the section `[bodies]`, and `payload` and `checksum` of an origin.

use std::ops::Range;

use bytesize::ByteSize;
use http::{Method, request::Parts};
use schemars::JsonSchema;
use serde::Deserialize;
use tower_sigv4::{
    Origin,
    body::BodyBudget,
    origin::{PayloadMode, Spool},
    sigv4::{Checksum, ChunkSize},
};

use super::{
    ConfigError, Spanned, located, origin::OriginSection, route::RouteSection, schema::Size,
};

/// What all bodies may hold.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BodiesSection {
    #[schemars(with = "Size")]
    memory: ByteSize,
    spool_directory: Option<Spanned<String>>,
}

impl Default for BodiesSection {
    fn default() -> Self {
        Self {
            memory: ByteSize::mib(256),
            spool_directory: None,
        }
    }
}

impl BodiesSection {
    pub(super) fn build(&self, text: &str) -> Result<Bodies, ConfigError> {
        let spool = self.spool_directory.as_ref();
        let spool =
            spool.map(|path| Spool::new(path.get_ref()).map_err(located(text, path.span())));
        let memory = self.memory;
        Ok(Bodies {
            memory,
            budget: BodyBudget::new(memory.as_u64()),
            spool: spool.transpose()?,
        })
    }
}

/// The same, ready for use.
pub(super) struct Bodies {
    pub(super) memory: ByteSize,
    pub(super) budget: BodyBudget,
    pub(super) spool: Option<Spool>,
}

#[derive(Deserialize, JsonSchema, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Payload {
    #[default]
    Buffer,
    Unsigned,
    Trust,
    Chunked,
    ChunkedTrailer,
    UnsignedTrailer,
    Spool,
    Auto,
}

#[derive(Deserialize, JsonSchema, Clone, Copy)]
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

impl OriginSection {
    /// How much of a body is held in memory if nothing else is said, and there is so much.
    const BODY_LIMIT: ByteSize = ByteSize::mib(16);

    /// The largest body that is buffered, in bytes.
    pub(super) fn body_limit(&self, bodies: &Bodies, route: Option<&RouteSection>) -> u64 {
        let default = || Self::BODY_LIMIT.min(bodies.memory);
        self.limit_of(route)
            .map_or_else(default, |limit| *limit.get_ref())
            .as_u64()
    }

    /// A route's own limit, or else the origin's.
    fn limit_of<'a>(&'a self, route: Option<&'a RouteSection>) -> Option<&'a Spanned<ByteSize>> {
        route
            .and_then(|route| route.body_limit.as_ref())
            .or(self.body_limit.as_ref())
    }

    /// The same for the payload.
    fn payload_of<'a>(&'a self, route: Option<&'a RouteSection>) -> Option<&'a Spanned<Payload>> {
        route
            .and_then(|route| route.payload.as_ref())
            .or(self.payload.as_ref())
    }

    /// Gives the origin all that the section says of bodies.
    pub(super) fn set_bodies(
        &self,
        origin: Origin,
        s3_family: bool,
        text: &str,
        bodies: &Bodies,
        route: Option<&RouteSection>,
    ) -> Result<Origin, ConfigError> {
        let payload = self
            .payload_of(route)
            .map(|payload| *payload.get_ref())
            .unwrap_or_default();
        self.check_bodies(payload, s3_family, bodies, route)
            .map_err(|(span, message)| ConfigError::new(text, Some(span), message))?;
        let checksum = self
            .checksum
            .as_ref()
            .map_or(Checksum::Crc32, |sum| (*sum.get_ref()).into());
        let size = ChunkSize::default();
        let mut origin = match payload {
            Payload::Buffer => origin,
            Payload::Unsigned => origin.with_payload(PayloadMode::Unsigned),
            Payload::Trust => origin.with_payload(PayloadMode::Trust),
            Payload::Spool => origin.with_payload(PayloadMode::Spool),
            Payload::Auto => origin.with_payload(PayloadMode::Auto),
            Payload::Chunked => uploads(origin, PayloadMode::Chunked(size)),
            Payload::ChunkedTrailer => uploads(origin, PayloadMode::ChunkedTrailer(size, checksum)),
            Payload::UnsignedTrailer => uploads(origin, PayloadMode::UnsignedTrailer(checksum)),
        };
        if let Some(mut spool) = bodies.spool.clone() {
            if let Some(limit) = &self.spool_limit {
                spool = spool.with_body_limit(limit.get_ref().as_u64());
            }
            origin = origin.with_spool(spool);
        }
        Ok(origin.with_body_limit(self.body_limit(bodies, route)))
    }

    fn check_bodies(
        &self,
        payload: Payload,
        s3_family: bool,
        bodies: &Bodies,
        route: Option<&RouteSection>,
    ) -> Result<(), (Range<usize>, String)> {
        let error = |span, message: &str| Err((span, message.to_owned()));
        if payload.is_in_chunks() && !s3_family {
            let message = "chunks are for service \"s3\" and its family alone";
            let of_route = route
                .and_then(|route| route.payload.as_ref())
                .map(Spanned::span);
            return error(of_route.unwrap_or(self.service_span()), message);
        }
        let own = route.is_none_or(|route| route.payload.is_none());
        if let Some(sum) = self
            .checksum
            .as_ref()
            .filter(|_| own && !payload.has_trailer())
        {
            let message =
                "checksum is for payload \"chunked-trailer\" or \"unsigned-trailer\" alone";
            return error(sum.span(), message);
        }
        if let Some(limit) = self
            .limit_of(route)
            .filter(|&limit| *limit.get_ref() > bodies.memory)
        {
            let message = format!(
                "body_limit is more than all bodies together may hold, {}; raise memory in [bodies]",
                bodies.memory
            );
            return error(limit.span(), &message);
        }
        if bodies.spool.is_none() && payload == Payload::Spool {
            let message = "payload \"spool\" needs a spool_directory in [bodies]";
            let payload = self
                .payload_of(route)
                .map_or(self.name.span(), Spanned::span);
            return error(payload, message);
        }
        if let Some(limit) = self.spool_limit.as_ref().filter(|_| bodies.spool.is_none()) {
            return error(
                limit.span(),
                "spool_limit needs a spool_directory in [bodies]",
            );
        }
        Ok(())
    }
}

impl Payload {
    fn is_in_chunks(self) -> bool {
        self == Self::Chunked || self.has_trailer()
    }

    fn has_trailer(self) -> bool {
        matches!(self, Self::ChunkedTrailer | Self::UnsignedTrailer)
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
