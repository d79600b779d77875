//! Where requests go: the sections `[[origin]]`.

use std::ops::Range;

use bytesize::ByteSize;
use http::{Uri, uri::Scheme};
use schemars::JsonSchema;
use serde::Deserialize;
use tower_sigv4::{
    Origin, SigningSettings,
    doctor::{Finding, HttpClient, LintRule, lint},
    origin::{self, SigningBehavior},
    sigv4::{PathForm, SessionToken},
};

use super::{
    ConfigError, Spanned,
    bodies::{Bodies, Payload, Sum},
    located,
    route::RouteSection,
    schema::Size,
};
use crate::admin::Named;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OriginSection {
    pub(super) name: Spanned<String>,
    pub(super) url: Spanned<String>,
    service: Option<Spanned<String>>,
    region: Option<Spanned<String>>,
    signed_host: Option<Spanned<String>>,
    #[serde(default)]
    signing: Signing,
    forwarded: Option<ForwardedHeaders>,
    session_token: Option<TokenHeader>,
    http2: Option<Spanned<bool>>,
    recovery: Option<bool>,
    pub(super) payload: Option<Spanned<Payload>>,
    pub(super) checksum: Option<Spanned<Sum>>,
    #[schemars(with = "Option<Size>")]
    pub(super) body_limit: Option<Spanned<ByteSize>>,
    #[schemars(with = "Option<Size>")]
    pub(super) spool_limit: Option<Spanned<ByteSize>>,
}

#[derive(Deserialize, JsonSchema, Debug, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Signing {
    #[default]
    Always,
    NoOverride,
    Never,
}

/// Which forwarding headers an origin receives.
#[derive(Deserialize, JsonSchema, Debug, Clone, PartialEq)]
#[serde(
    untagged,
    expecting = "forwarded has to be \"all\", \"none\" or a list of \"for\", \"host\" and \"proto\""
)]
enum ForwardedHeaders {
    Named(AllOrNone),
    Listed(Vec<ForwardedHeader>),
}

#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum AllOrNone {
    All,
    None,
}

#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum ForwardedHeader {
    For,
    Host,
    Proto,
}

impl ForwardedHeaders {
    fn selection(&self) -> origin::ForwardedHeaders {
        let listed = match self {
            Self::Named(AllOrNone::All) => return origin::ForwardedHeaders::ALL,
            Self::Named(AllOrNone::None) => return origin::ForwardedHeaders::NONE,
            Self::Listed(listed) => listed,
        };
        listed.iter().fold(
            origin::ForwardedHeaders::NONE,
            |selected, header| match header {
                ForwardedHeader::For => selected.with_for(true),
                ForwardedHeader::Host => selected.with_host(true),
                ForwardedHeader::Proto => selected.with_proto(true),
            },
        )
    }
}

/// The header that carries the session token of temporary credentials.
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum TokenHeader {
    XAmzSecurityToken,
    #[serde(rename = "x-amz-s3session-token")]
    XAmzS3SessionToken,
}

impl OriginSection {
    pub(super) fn signs_always(&self) -> bool {
        self.signing == Signing::Always
    }

    pub(super) fn signs(&self) -> bool {
        self.signing != Signing::Never
    }

    /// All that says where its requests go and what they are signed for; with every key named as well.
    pub(super) fn description(&self) -> String {
        let Self {
            url,
            service,
            region,
            signed_host,
            signing,
            forwarded,
            session_token,
            name: _,
            http2: _,
            recovery: _,
            payload: _,
            checksum: _,
            body_limit: _,
            spool_limit: _,
        } = self;
        let [service, region, signed_host] =
            [service, region, signed_host].map(|it| it.as_ref().map(Spanned::get_ref));
        let scope = (service, region, signed_host);
        format!(
            "{:?}",
            (url.get_ref(), scope, signing, forwarded, session_token)
        )
    }

    /// Where its requests are sent.
    pub(super) fn named(&self) -> Option<Named> {
        let url: Uri = self.url.get_ref().parse().ok()?;
        let port = if url.scheme() == Some(&Scheme::HTTPS) {
            443
        } else {
            80
        };
        Some(Named {
            origin: self.name.get_ref().clone(),
            host: url.host()?.trim_matches(['[', ']']).to_owned(),
            port: url.port_u16().unwrap_or(port),
        })
    }

    /// What the section says of it, or else the host.
    fn settings(&self, text: &str) -> Result<SigningSettings, ConfigError> {
        let at = |span: &Spanned<String>| located(text, span.span());
        match (&self.service, &self.region) {
            (Some(service), Some(region)) => {
                drop(SigningSettings::new(service.get_ref(), "any").map_err(at(service))?);
                SigningSettings::new(service.get_ref(), region.get_ref()).map_err(at(region))
            }
            (None, None) => {
                drop(Origin::infer(self.url.get_ref()).map_err(at(&self.url))?);
                let uri = self.url.get_ref().parse::<Uri>().ok();
                let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
                SigningSettings::infer(host).map_err(at(&self.url))
            }
            (Some(alone), None) | (None, Some(alone)) => {
                let message =
                    "service and region go together; give both, or neither where the host tells";
                Err(ConfigError::new(
                    text,
                    Some(alone.span()),
                    message.to_owned(),
                ))
            }
        }
    }

    /// The credentials of a gateway are those of a role or a user, unless the section says that they come from
    /// `CreateSession`.
    fn with_token_header(&self, settings: SigningSettings) -> SigningSettings {
        match self.session_token {
            Some(TokenHeader::XAmzS3SessionToken) => {
                settings.with_session_token(SessionToken::S3Session)
            }
            Some(TokenHeader::XAmzSecurityToken) => {
                settings.with_session_token(SessionToken::Signed)
            }
            None if settings.service() == "s3express" => {
                settings.with_session_token(SessionToken::Signed)
            }
            None => settings,
        }
    }

    /// Whether it may be spoken to with HTTP/2.
    pub(super) fn http2(&self, text: &str) -> Result<bool, ConfigError> {
        let Some(http2) = self.http2.as_ref().filter(|http2| *http2.get_ref()) else {
            return Ok(false);
        };
        let uri = self.url.get_ref().parse::<Uri>().ok();
        if self.signed_host.is_none() && uri.is_some_and(|uri| uri.scheme() == Some(&Scheme::HTTPS))
        {
            return Ok(true);
        }
        let message = "http2 needs an https:// url and no signed_host: it is agreed on in TLS, and has one name \
                       for the host connected to and the host signed for; leave it out";
        Err(ConfigError::new(
            text,
            Some(http2.span()),
            message.to_owned(),
        ))
    }

    /// Where it is told what to sign for.
    pub(super) fn service_span(&self) -> Range<usize> {
        self.service.as_ref().unwrap_or(&self.url).span()
    }

    /// The origin, for requests of a route if one is given.
    pub(super) fn build(
        &self,
        text: &str,
        bodies: &Bodies,
        route: Option<&RouteSection>,
    ) -> Result<Origin, ConfigError> {
        let at = |span: &Spanned<String>| located(text, span.span());
        let settings = self.with_token_header(self.settings(text)?);
        let s3_family = settings.path_form() == PathForm::Once;
        let mut origin = Origin::new(self.url.get_ref(), settings)
            .map_err(at(&self.url))?
            .with_signing(match self.signing {
                Signing::Always => SigningBehavior::Always,
                Signing::NoOverride => SigningBehavior::NoOverride,
                Signing::Never => SigningBehavior::Never,
            });
        if let Some(enabled) = self.recovery {
            origin = origin.with_recovery(enabled);
        }
        if let Some(forwarded) = &self.forwarded {
            origin = origin.with_forwarded(forwarded.selection());
        }
        if let Some(host) = &self.signed_host {
            origin = origin.with_signed_host(host.get_ref()).map_err(at(host))?;
        }
        self.set_bodies(origin, s3_family, text, bodies, route)
    }

    /// What the origin, as it was built, is likely to refuse.
    pub(super) fn warnings(&self, text: &str, origin: &Origin) -> Vec<ConfigError> {
        // As `origins::Client` is: where it may speak HTTP/2, there is one host.
        let client = HttpClient::new();
        let warning = |finding: &Finding| {
            let message = format!("warning: origin {:?}: {finding}", self.name.get_ref());
            ConfigError::new(text, Some(self.span(finding.rule())), message)
        };
        lint(origin, &client).iter().map(warning).collect()
    }

    /// Where that stands which a rule is about.
    fn span(&self, rule: LintRule) -> Range<usize> {
        match rule {
            LintRule::Scope => self.service_span(),
            LintRule::DefaultPort => self.signed_host.as_ref().unwrap_or(&self.url).span(),
            LintRule::UnsignedPayload | LintRule::HashedPayload => self
                .payload
                .as_ref()
                .map_or_else(|| self.service_span(), Spanned::span),
            _ => self.url.span(),
        }
    }
}
