//! The tables `[[verify.service]]`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    list::OneOrMany,
    quantity::Quantity,
    scope::is_s3_family,
    signature::{PathFormName, TokenHeader},
    value::Spanned,
};

/// A service that callers sign for. What it does not set is that of `[verify]`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyServiceSection {
    pub(super) name: Spanned<String>,
    pub(super) region: Option<OneOrMany>,
    pub(super) unsigned_payload: Option<bool>,
    /// Accepts presigned requests with a body, which their signature does not cover.
    pub(super) presigned_uploads: Option<bool>,
    /// Accepts forms that upload a file with a signed policy.
    pub(super) post_policy: Option<Spanned<bool>>,
    /// Accepts signatures for several regions.
    pub(super) sigv4a: Option<Spanned<bool>>,
    pub(super) body: Option<Spanned<BodyCheckName>>,
    /// Headers that must be signed if present, besides `host` and `x-amz-*`.
    pub(super) required_headers: Option<Vec<Spanned<String>>>,
    /// `x-amz-*` headers that a proxy before the gateway adds.
    pub(super) unsigned_headers: Option<Vec<Spanned<String>>>,
    /// Maximum difference between the signing time and the clock.
    pub(super) clock_window: Option<Spanned<Quantity>>,
    pub(super) path_form: Option<PathFormName>,
    pub(super) session_token: Option<TokenHeader>,
}

impl From<Spanned<String>> for VerifyServiceSection {
    fn from(name: Spanned<String>) -> Self {
        Self {
            name,
            region: None,
            unsigned_payload: None,
            presigned_uploads: None,
            post_policy: None,
            sigv4a: None,
            body: None,
            required_headers: None,
            unsigned_headers: None,
            clock_window: None,
            path_form: None,
            session_token: None,
        }
    }
}

/// Time at which a body is compared with its signed hash.
#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BodyCheckName {
    Collected,
    Streamed,
}

/// Rules for the requests that are signed for one service.
pub(crate) struct VerifyRules<'a> {
    pub(crate) service: &'a Spanned<String>,
    pub(crate) regions: &'a [Spanned<String>],
    /// `None` for the service's default.
    pub(crate) unsigned_payload: Option<bool>,
    pub(crate) presigned_uploads: bool,
    pub(crate) post_policy: Option<&'a Spanned<bool>>,
    pub(crate) sigv4a: Option<&'a Spanned<bool>>,
    /// `None` for the service's default.
    pub(crate) body: Option<&'a Spanned<BodyCheckName>>,
    /// `None` for the service's default.
    pub(crate) required_headers: Option<&'a [Spanned<String>]>,
    pub(crate) unsigned_headers: &'a [Spanned<String>],
    pub(crate) clock_window: Option<Duration>,
    /// `None` for the service's default.
    pub(crate) path_form: Option<PathFormName>,
    /// `None` for the service's default.
    pub(crate) session_token: Option<TokenHeader>,
}

impl VerifyRules<'_> {
    /// Returns `true` if bodies are checked while they are sent.
    pub(crate) fn streams(&self) -> bool {
        match self.body {
            Some(body) => body.get() == BodyCheckName::Streamed,
            None => is_s3_family(self.service.get_ref()),
        }
    }
}
