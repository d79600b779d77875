//! The origin that an event names.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{EdgeHeaders, header_rules::changes_later};
use crate::{
    Origin, SigningSettings,
    error::Error,
    origin::{ForwardedHeaders, is_client_signing_header},
    sigv4::signed_headers::is_host,
};

/// The origin of an event: custom or S3, not both.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct EdgeOrigin {
    /// A custom origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomOrigin>,
    /// A bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Origin>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// A custom origin. Fields that this type does not know are kept.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CustomOrigin {
    /// Host without a port.
    pub domain_name: String,
    /// Path before that of each request: empty, or with a leading slash and no trailing one.
    #[serde(default)]
    pub path: String,
    /// Port: 80, 443, or 1024 to 65535.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// `http` or `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Headers that CloudFront adds to each request, in place of the viewer's.
    #[serde(default)]
    pub custom_headers: EdgeHeaders,
    /// Timeout for a response, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_timeout: Option<u32>,
    /// Time for which an idle connection stays open, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive_timeout: Option<u32>,
    /// Versions of TLS, such as `TLSv1.2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl_protocols: Option<Vec<String>>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// A bucket as an origin. Fields that this type does not know are kept.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct S3Origin {
    /// Host of the bucket, such as `bucket.s3.eu-west-1.amazonaws.com`.
    pub domain_name: String,
    /// Path before that of each request: empty, or with a leading slash and no trailing one.
    #[serde(default)]
    pub path: String,
    /// `origin-access-identity` if CloudFront authenticates, or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_method: Option<String>,
    /// Region of the bucket; may be empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Headers that CloudFront adds to each request, in place of the viewer's.
    #[serde(default)]
    pub custom_headers: EdgeHeaders,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl EdgeOrigin {
    pub(super) fn custom_headers(&self) -> Option<&EdgeHeaders> {
        let custom = self.custom.as_ref().map(|origin| &origin.custom_headers);
        custom.or(self.s3.as_ref().map(|origin| &origin.custom_headers))
    }

    /// Sets the path to the form that is signed, without a trailing slash.
    pub(super) fn set_path(&mut self, path: &str) {
        let custom = self.custom.as_mut().map(|origin| &mut origin.path);
        if let Some(own) = custom.or(self.s3.as_mut().map(|origin| &mut origin.path)) {
            path.clone_into(own);
        }
    }

    /// Returns the origin to sign for, with its settings or those that its host implies.
    pub(super) fn resolve(&self, settings: Option<&SigningSettings>) -> Result<Origin, Error> {
        self.check_custom_headers()?;
        let origin = match (&self.custom, &self.s3) {
            (Some(custom), None) => custom.resolve(settings),
            (None, Some(bucket)) => bucket.resolve(settings),
            (Some(_), Some(_)) => Err(Error::config(
                "the event has a custom origin and an S3 origin; keep one of them",
            )),
            (None, None) => Err(Error::config(
                "the event has neither a custom origin nor an S3 origin",
            )),
        }?;
        // CloudFront decides which of them the origin receives.
        let forwarded = origin.with_forwarded(ForwardedHeaders::ALL);
        Ok(forwarded.map_settings(|own| own.without_signed(changes_later)))
    }

    /// Rejects custom headers with which CloudFront would overwrite the signature.
    fn check_custom_headers(&self) -> Result<(), Error> {
        let mut names = self
            .custom_headers()
            .into_iter()
            .flat_map(EdgeHeaders::names);
        let conflict = names.find(|name| {
            *name == "host"
                || http::HeaderName::from_bytes(name.as_bytes())
                    .is_ok_and(|parsed| is_client_signing_header(&parsed))
        });
        match conflict {
            Some(name) => Err(Error::config(format!(
                "the origin's custom header {name:?} would replace that of the signature; remove it from the origin"
            ))),
            None => Ok(()),
        }
    }
}

impl CustomOrigin {
    fn resolve(&self, settings: Option<&SigningSettings>) -> Result<Origin, Error> {
        let protocol = self.protocol.as_deref().unwrap_or("https");
        if !matches!(protocol, "http" | "https") {
            return Err(Error::config(format!(
                "the origin's protocol {protocol:?} is neither \"http\" nor \"https\""
            )));
        }
        let port = self.port.map_or(String::new(), |port| format!(":{port}"));
        let signing = match settings {
            Some(own) => own.clone(),
            None => infer(&self.domain_name)?,
        };
        origin(protocol, &self.domain_name, &port, &self.path, signing)
    }
}

impl S3Origin {
    fn resolve(&self, settings: Option<&SigningSettings>) -> Result<Origin, Error> {
        if self.auth_method.as_deref() == Some("origin-access-identity") {
            return Err(Error::config(
                "the S3 origin has an origin access identity, with which CloudFront replaces the signature; remove \
                 it from the origin",
            ));
        }
        let named = self.region.as_deref().filter(|region| !region.is_empty());
        let signing = match (settings, named, infer(&self.domain_name)) {
            (Some(own), ..) => own.clone(),
            (None, None, inferred) => inferred?,
            (None, Some(region), Ok(inferred)) if inferred.region() == region => inferred,
            // A host without a region, such as `bucket.s3.amazonaws.com`.
            (None, Some(region), _) => SigningSettings::new("s3", region)?,
        };
        origin("https", &self.domain_name, "", &self.path, signing)
    }
}

fn infer(host: &str) -> Result<SigningSettings, Error> {
    SigningSettings::infer_with(
        host,
        "set service and region by `EdgeSettings::with_signing_settings`",
        Error::config,
    )
}

fn origin(
    protocol: &str,
    host: &str,
    port: &str,
    path: &str,
    settings: SigningSettings,
) -> Result<Origin, Error> {
    if !is_host(host) || host.starts_with('[') {
        return Err(Error::config(format!(
            "the origin's domain name {host:?} is not a host without a port"
        )));
    }
    if !path.is_empty() && !path.starts_with('/') {
        return Err(Error::config(format!(
            "the origin's path {path:?} does not begin with a slash"
        )));
    }
    // CloudFront sets `host` to "the domain name of the origin", whatever its port (Amazon CloudFront Developer Guide,
    // "Request and response behavior for custom origins").
    Origin::new(&format!("{protocol}://{host}{port}{path}"), settings)?.with_signed_host(host)
}

impl fmt::Debug for CustomOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomOrigin")
            .field("domain_name", &self.domain_name)
            .field("path", &self.path)
            .field("port", &self.port)
            .field("protocol", &self.protocol)
            .field("custom_headers", &self.custom_headers)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for S3Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Origin")
            .field("domain_name", &self.domain_name)
            .field("path", &self.path)
            .field("auth_method", &self.auth_method)
            .field("region", &self.region)
            .field("custom_headers", &self.custom_headers)
            .finish_non_exhaustive()
    }
}
