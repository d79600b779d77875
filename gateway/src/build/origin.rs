//! Builds origins.

use tower_sigv4::{
    Origin, SigningSettings,
    doctor::{Finding, HttpClient, lint},
    origin::{ForwardedHeaders, MirrorPresigned, SigningBehavior},
    sigv4::SessionToken,
};

use super::{
    bodies::BodyServices,
    scope::{may_be_s3, signing_settings},
};
use crate::config::{
    BodiesSection, BodySettings, ConfigError, MirroredPresign, OriginSection, Payload,
    RouteSection, Signing, Spanned, TokenHeader, is_s3_family, located,
};

/// Builds an origin, for the requests of a route if there is one.
pub(super) fn build(
    section: &OriginSection,
    route: Option<&RouteSection>,
    bodies: &BodiesSection,
    services: &BodyServices,
) -> Result<Origin, ConfigError> {
    let settings = with_token_header(section, signing_settings(section)?);
    let s3_family = is_s3_family(settings.service());
    let mut origin = Origin::new(section.url.get_ref(), settings)
        .map_err(located(&section.url))?
        .with_signing(match section.signing {
            Signing::Always => SigningBehavior::Always,
            Signing::NoOverride => SigningBehavior::NoOverride,
            Signing::Never => SigningBehavior::Never,
        });
    if let Some(form) = section.mirrored_presign {
        origin = origin.with_mirrored_presign(match form {
            MirroredPresign::Header => MirrorPresigned::Header,
            MirroredPresign::Query => MirrorPresigned::Query,
        });
    }
    if let Some(enabled) = section.recovery {
        origin = origin.with_recovery(enabled);
    }
    origin = origin.with_forwarded(forwarded(section)?);
    if let Some(host) = &section.signed_host {
        origin = origin
            .with_signed_host(host.get_ref())
            .map_err(located(host))?;
    }
    let body_settings = BodySettings::new(bodies, section, route);
    body_settings.check(bodies, s3_family)?;
    Ok(services.configure(origin, &body_settings))
}

/// Returns the forwarding headers that the origin receives.
pub(super) fn forwarded(section: &OriginSection) -> Result<ForwardedHeaders, ConfigError> {
    match &section.forwarded {
        Some(selected) => Ok(selected.selection()),
        // The library's default, for the services of all clients.
        None => Ok((!may_be_s3(section)?).into()),
    }
}

/// Signs with the credentials of a role or a user, unless the section says that they come from `CreateSession`.
fn with_token_header(section: &OriginSection, settings: SigningSettings) -> SigningSettings {
    let is_s3_express = settings.service() == "s3express";
    match section.session_token {
        Some(TokenHeader::XAmzS3SessionToken) => {
            settings.with_session_token(SessionToken::S3Session)
        }
        Some(TokenHeader::XAmzSecurityToken) => settings.with_session_token(SessionToken::Signed),
        None if is_s3_express => settings.with_session_token(SessionToken::Signed),
        None => settings,
    }
}

/// Lists settings that the origin is likely to reject.
pub(super) fn warnings(section: &OriginSection, origin: &Origin) -> Vec<ConfigError> {
    // The defaults describe `upstream::Client`: with HTTP/2, there is one host.
    let client = HttpClient::new();
    let name = section.name.get_ref();
    let warning = |finding: &Finding| {
        let message = format!("warning: origin {name:?}: {finding}");
        ConfigError::at(section.rule_span(finding.rule()), message)
    };
    lint(origin, &client).iter().map(warning).collect()
}

/// Warns of chunks to a server that stores their framing in the object's metadata.
pub(super) fn chunk_warning(
    section: &OriginSection,
    payload: Option<&Spanned<Payload>>,
) -> Option<ConfigError> {
    let chosen = payload.filter(|mode| mode.get().may_chunk() && section.signs())?;
    let service = signing_settings(section).ok()?;
    let uri = section.uri()?;
    let host = uri.host()?;
    if !is_s3_family(service.service()) || SigningSettings::infer(host).is_ok() {
        return None;
    }
    let name = section.name.get_ref();
    Some(chosen.error(format!(
        "warning: origin {name:?}: {host:?} is not a host of AWS, and some other servers, such as radosgw and \
         SeaweedFS, store content-encoding: aws-chunked with each object that arrives in signed chunks; choose \
         payload \"mirror\", \"spool\" or \"unsigned-trailer\""
    )))
}
