//! Where requests go: the sections `[[origin]]`.

use bytesize::ByteSize;
use http::{Method, request::Parts};
use serde::Deserialize;
use toml::Spanned;
use tower_sigv4::{
    Origin, SigningSettings,
    origin::{PayloadMode, SigningBehavior},
    sigv4::{ChunkSize, PathForm},
};

use super::{ConfigError, located};

/// How much of a body is taken if nothing else is said.
const DEFAULT_BODY_LIMIT: ByteSize = ByteSize::mib(16);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OriginSection {
    pub(super) name: Spanned<String>,
    url: Spanned<String>,
    service: Spanned<String>,
    region: Spanned<String>,
    sign_host: Option<Spanned<String>>,
    #[serde(default)]
    signing: Signing,
    #[serde(default)]
    payload: Payload,
    body_limit: Option<ByteSize>,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Signing {
    #[default]
    Always,
    NoOverride,
    Never,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Payload {
    #[default]
    Buffer,
    Unsigned,
    Trust,
    Chunked,
    Auto,
}

impl OriginSection {
    pub(super) fn signs_always(&self) -> bool {
        self.signing == Signing::Always
    }

    /// The largest body that is buffered, in bytes.
    pub(super) fn body_limit(&self) -> u64 {
        self.body_limit.unwrap_or(DEFAULT_BODY_LIMIT).as_u64()
    }

    pub(super) fn build(&self, text: &str) -> Result<Origin, ConfigError> {
        let at = |span: &Spanned<String>| located(text, span.span());
        let (service, region) = (self.service.get_ref(), self.region.get_ref());
        drop(SigningSettings::new(service, "any").map_err(at(&self.service))?);
        let settings = SigningSettings::new(service, region).map_err(at(&self.region))?;
        let s3_family = settings.path_form() == PathForm::Once;
        let mut origin = Origin::new(self.url.get_ref(), settings)
            .map_err(at(&self.url))?
            .with_signing(match self.signing {
                Signing::Always => SigningBehavior::Always,
                Signing::NoOverride => SigningBehavior::NoOverride,
                Signing::Never => SigningBehavior::Never,
            });
        origin = match self.payload {
            Payload::Buffer => origin,
            Payload::Unsigned => origin.with_payload(PayloadMode::Unsigned),
            Payload::Trust => origin.with_payload(PayloadMode::Trust),
            Payload::Auto => origin.with_payload(PayloadMode::Auto),
            Payload::Chunked if !s3_family => {
                let message = "chunked is for service \"s3\" and its family alone".to_owned();
                return Err(ConfigError::new(text, Some(self.service.span()), message));
            }
            Payload::Chunked => origin.with_payload(uploads_in_chunks),
        };
        if let Some(host) = &self.sign_host {
            origin = origin.with_signed_host(host.get_ref()).map_err(at(host))?;
        }
        Ok(origin.with_body_limit(self.body_limit()))
    }
}

/// S3 takes chunks for an object and for a part of one; what else has a body is small.
fn uploads_in_chunks(head: &Parts) -> PayloadMode {
    let query = head.uri.query().unwrap_or_default();
    let uploads = ["partNumber=", "uploadId=", "x-id="];
    let object = query
        .split('&')
        .all(|pair| pair.is_empty() || uploads.iter().any(|upload| pair.starts_with(upload)));
    match head.method == Method::PUT && object {
        true => PayloadMode::Chunked(ChunkSize::default()),
        false => PayloadMode::Buffer,
    }
}
