//! What a refusal says, by its code and its words.

use super::Refusal;

/// What an origin complains of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Said {
    Mismatch,
    Clock,
    Url,
    Scope,
    NotSigned,
    UnknownKey,
    WrongToken,
    TokenExpired,
    HeaderNotSigned,
    Body,
    PayloadKind,
    Authorization,
    /// API Gateway's refusal before any other check.
    Forbidden,
    NotAllowed,
}

/// Codes, and words of messages. Words go first, since one code stands for several complaints; so do the rows
/// further up.
///
/// The AWS IAM User Guide, "Troubleshoot Signature Version 4 requests" and "Common errors"; the Amazon S3 API
/// Reference, "Error responses"; AWS re:Post, "How do I troubleshoot HTTP 403 errors from API Gateway?".
const SAID: [(Said, &[&str], &[&str]); 14] = [
    (
        Said::Body,
        &["XAmzContentSHA256Mismatch", "BadDigest"],
        &["body's hash is not that in", "provided 'x-amz-content-sha256' header does not match"],
    ),
    (
        Said::HeaderNotSigned,
        &[],
        &["must be a 'SignedHeader'", "headers present in the request which were not signed"],
    ),
    (Said::Scope, &[], &["be scoped to", "is wrong; expecting", "Date in Credential scope"]),
    (
        Said::Clock,
        &["RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"],
        &["Signature expired", "Signature not yet current"],
    ),
    (Said::Url, &[], &["Request has expired", "Request is not yet valid"]),
    (
        Said::TokenExpired,
        &["ExpiredToken", "ExpiredTokenException"],
        &["security token included in the request is expired", "provided token has expired"],
    ),
    (Said::WrongToken, &["InvalidToken"], &["The provided token is malformed"]),
    (
        Said::UnknownKey,
        &[
            "UnrecognizedClientException",
            "InvalidClientTokenId",
            "InvalidAccessKeyId",
            "AuthFailure",
        ],
        &["security token included in the request is invalid"],
    ),
    (
        Said::NotSigned,
        &["MissingAuthenticationTokenException", "MissingAuthenticationToken"],
        &["Missing Authentication Token", "Request is missing Authentication Token"],
    ),
    (
        Said::PayloadKind,
        &[],
        &[
            "x-amz-content-sha256",
            "X-Amz-Content-Sha256",
            "UNSIGNED-PAYLOAD",
            "This kind of payload is not accepted",
        ],
    ),
    (
        Said::Authorization,
        &[
            "IncompleteSignature",
            "IncompleteSignatureException",
            "AuthorizationHeaderMalformed",
            "AuthorizationQueryParametersError",
        ],
        &[
            "not a valid key=value pair",
            "Only one auth mechanism allowed",
            "Unsupported Authorization Type",
        ],
    ),
    (
        Said::Mismatch,
        &["SignatureDoesNotMatch", "InvalidSignatureException"],
        &["signature we calculated does not match"],
    ),
    (Said::Forbidden, &["ForbiddenException"], &[]),
    (
        Said::NotAllowed,
        &["AccessDenied", "AccessDeniedException"],
        &["is not authorized to perform: "],
    ),
];

impl Said {
    /// `None` if the refusal does not speak of signatures.
    pub(super) fn read(refusal: &Refusal) -> Option<Self> {
        // Where the texts stand, what they are cannot be mistaken.
        if refusal.canonical_request.is_some() {
            return Some(Self::Mismatch);
        }
        let by_words =
            SAID.iter().find(|(.., words)| words.iter().any(|words| refusal.says(words)));
        let by_code = || SAID.iter().find(|(_, codes, _)| codes.contains(&&*refusal.code));
        by_words.or_else(by_code).map(|(said, ..)| *said)
    }
}
