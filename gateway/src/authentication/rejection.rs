//! Rejections of callers, except those of signatures, which `tower_sigv4::verify` describes.

use axum::response::Response;
use http::{HeaderName, StatusCode, header};
use tower_sigv4_callers::jwt::{self, RejectionKind};

use crate::{
    error::chain,
    response::{self, LoggedError},
};

/// Extension of a response: the reason for which the caller was rejected.
#[derive(Clone)]
pub(crate) struct CallerRejection {
    /// Name of the mechanism in metrics and logs: `jwt`, or `several`.
    pub(crate) mechanism: &'static str,
    pub(crate) kind: String,
    pub(crate) message: String,
    /// Advice for the caller or for the operator of the gateway.
    pub(crate) remedy: &'static str,
    status: StatusCode,
    /// Error that the client does not see.
    logged: Option<String>,
}

impl CallerRejection {
    /// Rejects a request from which it is not clear who calls.
    pub(super) fn several() -> Self {
        Self {
            mechanism: "several",
            kind: "several-credentials".to_owned(),
            message: "the request has several tokens, or a token and a signature; send one of them"
                .to_owned(),
            remedy: "send one token, or sign the request; a header that is added on the way counts, too",
            status: StatusCode::BAD_REQUEST,
            logged: None,
        }
    }

    /// Rejects a bearer token in `authorization` where tokens are in other headers, or not accepted.
    pub(super) fn unexpected_token(token_headers: &[HeaderName]) -> Self {
        let message = match token_headers.first() {
            Some(name) => format!("bearer tokens are not accepted here; send the token in {name}"),
            None => "bearer tokens are not accepted; sign the request with AWS Signature Version 4"
                .to_owned(),
        };
        Self {
            mechanism: "jwt",
            kind: "unexpected-token".to_owned(),
            message,
            remedy: "send the credential that the gateway accepts, or add a [[verify.jwt]] with header = \
                     \"authorization\"",
            status: StatusCode::UNAUTHORIZED,
            logged: None,
        }
    }

    pub(super) fn from_token(rejection: &jwt::Rejection) -> Self {
        let kind = rejection.kind();
        Self {
            mechanism: "jwt",
            kind: kind.as_str().replace('_', "-"),
            message: rejection.message().to_owned(),
            remedy: remedy(kind),
            status: kind.status(),
            logged: kind.status().is_server_error().then(|| chain(rejection)),
        }
    }

    pub(super) fn into_response(self) -> Response {
        let mut rejected = response::message(self.status, &self.message);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let headers = rejected.headers_mut();
            headers.insert(header::RETRY_AFTER, 1.into());
        }
        let extensions = rejected.extensions_mut();
        if let Some(error) = &self.logged {
            extensions.insert(LoggedError(error.clone()));
        }
        extensions.insert(self);
        rejected
    }
}

fn remedy(kind: RejectionKind) -> &'static str {
    use RejectionKind as Kind;

    match kind {
        Kind::MissingToken => "send authorization: Bearer <token>, or the header of [[verify.jwt]]",
        Kind::TooLarge => "ask the issuer for a token with fewer claims",
        Kind::Malformed => "send a signed JWT in compact form, without quotes and padding",
        Kind::UnsupportedAlgorithm => {
            "let the issuer sign with an accepted algorithm, or add it to algorithms in [[verify.jwt]]"
        }
        Kind::UnexpectedType => {
            "send an access token or an ID token, or add its typ to token_types in [[verify.jwt]]"
        }
        Kind::UnknownIssuer => {
            "compare the claim iss with issuer in [[verify.jwt]]; they must be equal to the last slash"
        }
        Kind::WrongAudience => {
            "compare the claim aud with audience in [[verify.jwt]], or client_id with client_id"
        }
        Kind::Expired => "get a new token; if it is new, compare the clocks of gateway and issuer",
        Kind::NotYetValid => "compare the clocks of gateway and issuer",
        Kind::ClaimMismatch => {
            "compare the claims of the token with required_claims in [[verify.jwt]]"
        }
        Kind::UnknownKey => {
            "check that jwks_url or discovery of [[verify.jwt]] is that of the issuer"
        }
        Kind::InvalidSignature => "send the token as the issuer has signed it",
        Kind::KeysUnavailable => {
            "check that the gateway reaches the keys of the issuer; the log has the error"
        }
        _ => "see the gateway's log",
    }
}
