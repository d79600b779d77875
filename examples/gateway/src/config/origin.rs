//! Where requests go: the sections `[[origin]]`.

use bytesize::ByteSize;
use serde::Deserialize;
use toml::Spanned;
use tower_sigv4::{Origin, SigningSettings, origin::SigningBehavior, sigv4::PathForm};

use super::{
    ConfigError,
    bodies::{Bodies, Payload, Sum},
    located,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OriginSection {
    pub(super) name: Spanned<String>,
    url: Spanned<String>,
    pub(super) service: Spanned<String>,
    region: Spanned<String>,
    sign_host: Option<Spanned<String>>,
    #[serde(default)]
    signing: Signing,
    pub(super) payload: Option<Spanned<Payload>>,
    pub(super) checksum: Option<Spanned<Sum>>,
    pub(super) body_limit: Option<Spanned<ByteSize>>,
    pub(super) spool_limit: Option<Spanned<ByteSize>>,
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

    pub(super) fn build(&self, text: &str, bodies: &Bodies) -> Result<Origin, ConfigError> {
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
        if let Some(host) = &self.sign_host {
            origin = origin.with_signed_host(host.get_ref()).map_err(at(host))?;
        }
        self.set_bodies(origin, s3_family, text, bodies)
    }
}
