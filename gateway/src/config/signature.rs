//! Values of an `[[origin]]` that choose the form of its signatures.

use schemars::JsonSchema;
use serde::Deserialize;
use tower_sigv4::{
    origin::WireForm,
    sigv4::{PathForm, SessionToken},
};

/// Place of the signature.
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SignatureForm {
    Header,
    Query,
}

/// The header that carries the session token of temporary credentials.
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TokenHeader {
    XAmzSecurityToken,
    #[serde(rename = "x-amz-s3session-token")]
    XAmzS3SessionToken,
    /// `x-amz-security-token`, added after signing.
    Unsigned,
}

impl From<TokenHeader> for SessionToken {
    fn from(name: TokenHeader) -> Self {
        match name {
            TokenHeader::XAmzSecurityToken => Self::Signed,
            TokenHeader::XAmzS3SessionToken => Self::S3Session,
            TokenHeader::Unsigned => Self::Unsigned,
        }
    }
}

#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PathFormName {
    Once,
    OnceFolded,
    Twice,
    TwiceFolded,
}

impl From<PathFormName> for PathForm {
    fn from(name: PathFormName) -> Self {
        match name {
            PathFormName::Once => Self::Once,
            PathFormName::OnceFolded => Self::OnceFolded,
            PathFormName::Twice => Self::Twice,
            PathFormName::TwiceFolded => Self::TwiceFolded,
        }
    }
}

#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WireFormName {
    Preserve,
    Canonical,
}

impl From<WireFormName> for WireForm {
    fn from(name: WireFormName) -> Self {
        match name {
            WireFormName::Preserve => Self::Preserve,
            WireFormName::Canonical => Self::Canonical,
        }
    }
}
