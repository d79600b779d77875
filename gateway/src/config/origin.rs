//! The sections `[[origin]]`.

use std::{ops::Range, time::Duration};

use http::{Uri, uri::Scheme};
use schemars::JsonSchema;
use serde::Deserialize;
use tower_sigv4::{doctor::LintRule, origin::ForwardedHeaders};

use super::{
    bodies::{ChecksumName, MirroredPresign, Payload},
    error::ConfigError,
    list::OneOrMany,
    quantity::{Quantity, Size, duration},
    signature::{PathFormName, SignatureForm, TokenHeader, WireFormName},
    value::{Spanned, positive},
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OriginSection {
    pub(crate) name: Spanned<String>,
    #[schemars(extend("format" = "uri"))]
    pub(crate) url: Spanned<String>,
    pub(crate) service: Option<Spanned<String>>,
    /// Services that clients may sign for, with `service = "client"`.
    pub(crate) services: Option<OneOrMany>,
    pub(crate) region: Option<Spanned<String>>,
    /// Regions that clients may sign for, with `region = "client"`.
    pub(crate) regions: Option<OneOrMany>,
    /// Regions that accept a request signed with SigV4a.
    pub(crate) region_set: Option<OneOrMany>,
    pub(crate) signed_host: Option<Spanned<String>>,
    /// Name of an `[[identity]]`.
    pub(crate) identity: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) signing: Signing,
    pub(crate) forwarded: Option<ForwardedSelection>,
    pub(crate) session_token: Option<Spanned<TokenHeader>>,
    pub(crate) signature: Option<Spanned<SignatureForm>>,
    /// Lifetime of a signature in the query.
    expires: Option<Spanned<Quantity>>,
    /// Names, or `"all"`.
    pub(crate) signed_headers: Option<OneOrMany>,
    pub(crate) unsigned_headers: Option<Vec<Spanned<String>>>,
    pub(crate) path_form: Option<Spanned<PathFormName>>,
    pub(crate) wire_form: Option<WireFormName>,
    pub(crate) payload_header: Option<Spanned<bool>>,
    http2: Option<Spanned<bool>>,
    http2_connections: Option<Spanned<u32>>,
    pub(crate) recovery: Option<bool>,
    pub(crate) redirects: Option<bool>,
    pub(crate) payload: Option<Spanned<Payload>>,
    pub(crate) mirrored_presign: Option<MirroredPresign>,
    pub(crate) checksum: Option<Spanned<ChecksumName>>,
    pub(crate) body_limit: Option<Spanned<Size>>,
    pub(crate) spool_limit: Option<Spanned<Size>>,
}

#[derive(Deserialize, JsonSchema, Debug, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Signing {
    #[default]
    Always,
    NoOverride,
    Never,
}

/// Forwarding headers that an origin receives.
#[derive(Deserialize, JsonSchema, Debug, Clone, PartialEq)]
#[serde(
    untagged,
    expecting = "forwarded must be \"all\", \"none\" or a list of \"for\", \"host\" and \"proto\""
)]
pub(crate) enum ForwardedSelection {
    Named(AllOrNone),
    Listed(Vec<ForwardedHeader>),
}

#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AllOrNone {
    All,
    None,
}

#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ForwardedHeader {
    For,
    Host,
    Proto,
}

impl ForwardedSelection {
    pub(crate) fn selection(&self) -> ForwardedHeaders {
        let listed = match self {
            Self::Named(AllOrNone::All) => return ForwardedHeaders::ALL,
            Self::Named(AllOrNone::None) => return ForwardedHeaders::NONE,
            Self::Listed(listed) => listed,
        };
        listed
            .iter()
            .fold(ForwardedHeaders::NONE, |selected, header| match header {
                ForwardedHeader::For => selected.with_for(true),
                ForwardedHeader::Host => selected.with_host(true),
                ForwardedHeader::Proto => selected.with_proto(true),
            })
    }
}

/// Host and port that an origin's requests are sent to.
#[derive(Clone)]
pub(crate) struct OriginHost {
    /// The name of the origin.
    pub(crate) origin: String,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl OriginSection {
    /// With the 128 streams of nginx and of load balancers, as many as 2,048 requests in flight.
    const HTTP2_CONNECTIONS: u32 = 16;

    /// The smallest clock window of a service, so that a signature in the query is valid as long as one in a header.
    const QUERY_LIFETIME: Duration = Duration::from_secs(5 * 60);

    pub(crate) fn signs_always(&self) -> bool {
        self.signing == Signing::Always
    }

    pub(crate) fn signs(&self) -> bool {
        self.signing != Signing::Never
    }

    /// Describes where requests are sent and what they are signed for. Every key is named, so that none is forgotten.
    pub(super) fn description(&self) -> String {
        let Self {
            url,
            service,
            services,
            region,
            regions,
            region_set,
            signed_host,
            signing,
            forwarded,
            session_token,
            signature,
            signed_headers: _,
            unsigned_headers: _,
            path_form,
            wire_form,
            payload_header: _,
            expires: _,
            name: _,
            // Described with its role by `RouteCache`.
            identity: _,
            http2: _,
            http2_connections: _,
            recovery: _,
            redirects: _,
            payload: _,
            mirrored_presign: _,
            checksum: _,
            body_limit: _,
            spool_limit: _,
        } = self;
        let values = [service, region, signed_host].map(|it| it.as_ref().map(Spanned::get_ref));
        let lists = [services, regions, region_set].map(|it| it.as_ref().map(OneOrMany::names));
        format!(
            "{:?}",
            (
                url.get_ref(),
                values,
                lists,
                signing,
                forwarded,
                session_token.as_ref().map(Spanned::get),
                (
                    signature.as_ref().map(Spanned::get),
                    path_form.as_ref().map(Spanned::get),
                    wire_form,
                ),
            )
        )
    }

    pub(crate) fn uri(&self) -> Option<Uri> {
        self.url.get_ref().parse().ok()
    }

    pub(crate) fn host(&self) -> Option<OriginHost> {
        let uri = self.uri()?;
        let is_https = uri.scheme() == Some(&Scheme::HTTPS);
        Some(OriginHost {
            origin: self.name.get_ref().clone(),
            host: uri.host()?.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(if is_https { 443 } else { 80 }),
        })
    }

    /// Returns the lifetime of a signature in the query, if the signature is there.
    pub(crate) fn query_signature(&self) -> Result<Option<Duration>, ConfigError> {
        let is_in_query = self
            .signature
            .as_ref()
            .is_some_and(|form| form.get() == SignatureForm::Query);
        match &self.expires {
            Some(alone) if !is_in_query => {
                Err(alone.error("expires needs signature = \"query\"; set it, or remove expires"))
            }
            Some(lifetime) => duration(lifetime).map(Some),
            None => Ok(is_in_query.then_some(Self::QUERY_LIFETIME)),
        }
    }

    /// Position of the lifetime of a signature in the query.
    pub(crate) fn expires_span(&self) -> Range<usize> {
        self.expires
            .as_ref()
            .map_or_else(|| self.name.span(), Spanned::span)
    }

    /// Returns the maximum number of HTTP/2 connections, if connections may use HTTP/2.
    pub(crate) fn http2_connections(&self) -> Result<Option<usize>, ConfigError> {
        let max = positive("http2_connections", &self.http2_connections)?;
        let Some(http2) = self.http2.as_ref().filter(|http2| *http2.get_ref()) else {
            return match &self.http2_connections {
                None => Ok(None),
                Some(alone) => Err(alone.error(
                    "http2_connections needs http2 = true; add it, or remove http2_connections",
                )),
            };
        };
        let is_https = self
            .uri()
            .is_some_and(|uri| uri.scheme() == Some(&Scheme::HTTPS));
        if is_https && self.signed_host.is_none() {
            return Ok(Some(max.unwrap_or(Self::HTTP2_CONNECTIONS) as usize));
        }
        Err(http2.error(
            "http2 needs an https:// url, since TLS negotiates it, and no signed_host, since HTTP/2 has one name \
             for the host connected to and the host signed for; remove http2",
        ))
    }

    /// Position of the setting that names the service.
    pub(crate) fn service_span(&self) -> Range<usize> {
        self.service.as_ref().unwrap_or(&self.url).span()
    }

    /// Position of the setting that a lint rule is about.
    pub(crate) fn rule_span(&self, rule: LintRule) -> Range<usize> {
        fn span<T>(setting: &Option<Spanned<T>>) -> Option<Range<usize>> {
            setting.as_ref().map(Spanned::span)
        }
        let key = match rule {
            LintRule::Scope => Some(self.service_span()),
            LintRule::DefaultPort | LintRule::UnsignedHost => span(&self.signed_host),
            LintRule::SessionToken => span(&self.session_token),
            LintRule::PayloadHeader => span(&self.payload_header),
            LintRule::PathForm => span(&self.path_form),
            LintRule::SignedHeaders => self.signed_headers.as_ref().map(OneOrMany::span),
            LintRule::UnsignedPayload | LintRule::HashedPayload | LintRule::PayloadMode => {
                Some(span(&self.payload).unwrap_or_else(|| self.service_span()))
            }
            _ => None,
        };
        key.unwrap_or_else(|| self.url.span())
    }
}
