//! Builds what bodies share, and the payload modes of origins.

use http::{Method, request::Parts};
use tower_sigv4::{
    Origin,
    body::BodyBudget,
    origin::{PayloadMode, Spool},
    sigv4::{Checksum, ChunkSize},
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
            budget: BodyBudget::new(section.memory.0.as_u64()),
            spool: spool.transpose()?,
        })
    }

    pub(super) fn configure(&self, built: Origin, settings: &BodySettings<'_>) -> Origin {
        let mut origin = match settings.payload {
            Some(payload) => with_payload(built, payload, settings.checksum),
            None => built,
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

fn with_payload(origin: Origin, payload: Payload, checksum: Checksum) -> Origin {
    let size = ChunkSize::default();
    match payload {
        Payload::Mirror => origin.with_payload(PayloadMode::Mirror),
        Payload::Buffer => origin.with_payload(PayloadMode::Buffer),
        Payload::Unsigned => origin.with_payload(PayloadMode::Unsigned),
        Payload::Trust => origin.with_payload(PayloadMode::Trust),
        Payload::Spool => origin.with_payload(PayloadMode::Spool),
        Payload::Auto => origin.with_payload(PayloadMode::Auto),
        Payload::Chunked => for_uploads(origin, PayloadMode::Chunked(size)),
        Payload::ChunkedTrailer => for_uploads(origin, PayloadMode::ChunkedTrailer(size, checksum)),
        Payload::UnsignedTrailer => for_uploads(origin, PayloadMode::UnsignedTrailer(checksum)),
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
