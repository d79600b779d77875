//! Builds origins.

use http::header;
use tower_sigv4::{
    Origin, SigningSettings,
    doctor::{Finding, HttpClient, lint},
    origin::{ForwardedHeaders, MirrorPresigned, SigningBehavior},
    sigv4::{AllExcept, AllowList, PresignExpiry, SessionToken},
};

use super::{
    bodies::BodyServices,
    scope::{may_be_s3, signing_settings},
};
use crate::{
    config::{
        BodiesSection, BodySettings, ClientAuthorization, ConfigError, MirroredPresign,
        OriginSection, Payload, RouteSection, Signing, Spanned, header_name, is_s3_family, located,
    },
    error::chain,
    setting_names::setting_name,
};

/// Builds an origin, for the requests of a route if there is one.
pub(super) fn build(
    section: &OriginSection,
    route: Option<&RouteSection>,
    bodies: &BodiesSection,
    services: &BodyServices,
) -> Result<Origin, ConfigError> {
    let settings = configured(section, signing_settings(section)?)?;
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
    if let Some(form) = section.wire_form {
        origin = origin.with_wire_form(form.into());
    }
    if let Some(lifetime) = section.query_signature()? {
        // The request is sent at once, so that its URL may expire early.
        origin = origin
            .with_query_signature(lifetime)
            .map_err(|error| ConfigError::at(section.expires_span(), chain(&error)))?
            .with_presign_expiry(PresignExpiry::Shorten);
    }
    let keeps = match route {
        Some(chosen) => chosen.client_authorization()? == ClientAuthorization::Keep,
        None => false,
    };
    origin = origin.with_client_authorization(keeps);
    if let Some(enabled) = section.recovery {
        origin = origin.with_recovery(enabled);
    }
    if let Some(enabled) = section.redirects {
        origin = origin.with_redirects(enabled);
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

/// Changes the service's settings as the section says.
fn configured(
    section: &OriginSection,
    service: SigningSettings,
) -> Result<SigningSettings, ConfigError> {
    let mut settings = service;
    if let Some(token) = &section.session_token {
        settings = settings.with_session_token(token.get().into());
    } else if settings.service() == "s3express" {
        // The credentials are those of a role or a user, unless the section says that CreateSession made them.
        settings = settings.with_session_token(SessionToken::Signed);
    }
    if let Some(form) = &section.path_form {
        settings = settings.with_path_form(form.get().into());
    }
    if let Some(enabled) = &section.payload_header {
        settings = settings.with_payload_header(enabled.get());
    }
    with_signed_headers(section, settings)
}

fn with_signed_headers(
    section: &OriginSection,
    settings: SigningSettings,
) -> Result<SigningSettings, ConfigError> {
    let signed = section.signed_headers.as_ref();
    let is_all = signed.is_some_and(|list| list.names() == ["all"]);
    if let Some(names) = section.unsigned_headers.as_deref().filter(|_| !is_all) {
        return Err(ConfigError::at(
            names.first().unwrap_or(&section.name).span(),
            "unsigned_headers needs signed_headers = \"all\"; set it, or remove unsigned_headers",
        ));
    }
    if is_all {
        let mut policy = AllExcept::default();
        for name in section.unsigned_headers.iter().flatten() {
            policy = policy.add_header(header_name(name)?);
        }
        return Ok(settings.with_signed_headers(policy));
    }
    let Some(names) = signed else {
        return Ok(settings);
    };
    let mut policy = AllowList::default();
    if is_s3_family(settings.service()) {
        policy = policy.add_header(header::RANGE);
    }
    for name in names.as_slice() {
        policy = policy.add_header(header_name(name)?);
    }
    Ok(settings.with_signed_headers(policy))
}

/// Lists settings that the origin is likely to reject.
pub(super) fn warnings(section: &OriginSection, origin: &Origin) -> Vec<ConfigError> {
    // The defaults describe `upstream::Client`: with HTTP/2, there is one host.
    let client = HttpClient::new();
    let name = section.name.get_ref();
    let warning = |finding: &Finding| {
        let problem = finding.message_with(setting_name);
        let message = format!("origin {name:?}: {problem}");
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
        "origin {name:?}: {host:?} is not a host of AWS, and some other servers, such as radosgw and \
         SeaweedFS, store content-encoding: aws-chunked with each object that arrives in signed chunks; choose \
         payload \"mirror\", \"spool\" or \"unsigned-trailer\""
    )))
}
