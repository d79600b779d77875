//! Where requests go: the sections `[[origin]]`.

use bytesize::ByteSize;
use serde::Deserialize;
use toml::Spanned;
use tower_sigv4::{Origin, SigningSettings, origin::SigningBehavior, sigv4::PathForm};

use super::{
    ConfigError, located,
    payload::{Payload, Sum},
};

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
    checksum: Option<Spanned<Sum>>,
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
        let path_form = settings.path_form();
        let mut origin = Origin::new(self.url.get_ref(), settings)
            .map_err(at(&self.url))?
            .with_signing(match self.signing {
                Signing::Always => SigningBehavior::Always,
                Signing::NoOverride => SigningBehavior::NoOverride,
                Signing::Never => SigningBehavior::Never,
            });
        if self.payload.is_for_s3() && path_form != PathForm::Once {
            let message = "chunks are for service \"s3\" and its family alone".to_owned();
            return Err(ConfigError::new(text, Some(self.service.span()), message));
        }
        origin = self.payload.set(origin, self.checksum.as_ref(), text)?;
        if let Some(host) = &self.sign_host {
            origin = origin.with_signed_host(host.get_ref()).map_err(at(host))?;
        }
        Ok(origin.with_body_limit(self.body_limit()))
    }
}
