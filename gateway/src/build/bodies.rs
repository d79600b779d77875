//! Builds what bodies share, and the payload modes of origins.

use http::{Method, request::Parts};
use tower_sigv4::{
    Origin,
    body::BodyBudget,
    origin::{PayloadMode, Spool},
    sigv4::ChunkSize,
};

use crate::config::{BodiesSection, BodySettings, ConfigError, Payload, located};

/// Memory budget and spool directory of all bodies.
pub(super) struct BodyServices {
    pub(super) budget: BodyBudget,
    spool: Option<Spool>,
}

impl BodyServices {
    pub(super) fn build(section: &BodiesSection) -> Result<Self, ConfigError> {
        let directory = section.spool_directory.as_ref();
        let spool = directory.map(|path| Spool::new(path.get_ref()).map_err(located(path)));
        Ok(Self {
            budget: BodyBudget::new(section.memory.as_u64()),
            spool: spool.transpose()?,
        })
    }

    pub(super) fn configure(&self, built: Origin, settings: &BodySettings<'_>) -> Origin {
        let (size, checksum) = (ChunkSize::default(), settings.checksum);
        let mut origin = match settings.payload {
            Payload::Buffer => built,
            Payload::Unsigned => built.with_payload(PayloadMode::Unsigned),
            Payload::Trust => built.with_payload(PayloadMode::Trust),
            Payload::Spool => built.with_payload(PayloadMode::Spool),
            Payload::Auto => built.with_payload(PayloadMode::Auto),
            Payload::Chunked => for_uploads(built, PayloadMode::Chunked(size)),
            Payload::ChunkedTrailer => {
                for_uploads(built, PayloadMode::ChunkedTrailer(size, checksum))
            }
            Payload::UnsignedTrailer => for_uploads(built, PayloadMode::UnsignedTrailer(checksum)),
        };
        if let Some(directory) = self.spool.clone() {
            origin = origin.with_spool(match settings.spool_limit {
                Some(limit) => directory.with_body_limit(limit),
                None => directory,
            });
        }
        origin.with_body_limit(settings.limit)
    }
}

/// Sends only objects and their parts in chunks: S3 accepts no others, and other bodies are small.
fn for_uploads(origin: Origin, mode: PayloadMode) -> Origin {
    origin.with_payload(move |head: &Parts| {
        let query = head.uri.query().unwrap_or_default();
        let of_upload = ["partNumber=", "uploadId=", "x-id="];
        let is_object = query.split('&').all(|pair| {
            pair.is_empty()
                || of_upload
                    .iter()
                    .any(|parameter| pair.starts_with(parameter))
        });
        if head.method == Method::PUT && is_object {
            mode
        } else {
            PayloadMode::Buffer
        }
    })
}
