//! What a refusal says, by its code and its words.

use super::{Rejection, SignedRequest};
use crate::sigv4::service_rules::fronts_applications;

/// What an origin complains of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Said {
    Mismatch,
    Clock,
    /// A presigned URL's time.
    Url,
    /// The time of signing, the URL or the credentials: whichever can expire.
    Expired,
    Scope,
    NotSigned,
    NotDated,
    UnknownKey,
    WrongToken,
    TokenExpired,
    HeaderNotSigned,
    Body,
    PayloadKind,
    Authorization,
    /// API Gateway's refusal without a reason.
    Forbidden,
    /// A policy's, to a caller that is known.
    NotAllowed,
    /// The same, to whomever.
    Denied,
}

/// Codes, and words of messages. Words go first, since one code stands for several complaints; so do the rows
/// further up.
///
/// The AWS IAM User Guide, "Troubleshoot Signature Version 4 requests" and "Common errors"; the Amazon S3 API
/// Reference, "Error responses"; AWS re:Post, "How do I troubleshoot HTTP 403 errors from API Gateway?".
const SAID: [(Said, &[&str], &[&str]); 16] = [
    (
        Said::Body,
        &["XAmzContentSHA256Mismatch", "BadDigest"],
        &[
            "the body's hash is not that in x-amz-content-sha256",
            "The provided 'x-amz-content-sha256' header does not match",
        ],
    ),
    (
        Said::HeaderNotSigned,
        &[],
        &[
            "must be a 'SignedHeader'",
            "headers present in the request which were not signed",
        ],
    ),
    (
        Said::NotDated,
        &[],
        &[
            "Authorization requires a valid 'X-Amz-Date'",
            "requires existence of either a 'X-Amz-Date' or a 'Date' header",
            "AWS authentication requires a valid Date or x-amz-date header",
        ],
    ),
    (
        Said::Scope,
        &[],
        &[
            "Credential should be scoped to",
            "credential must be scoped to a valid",
            "credential is scoped to",
            "credential is not scoped to",
            "is wrong; expecting '",
            "incorrect service",
            "Date in Credential scope",
        ],
    ),
    (
        Said::Clock,
        &["RequestTimeTooSkewed", "RequestInTheFuture"],
        &["Signature expired: ", "Signature not yet current: "],
    ),
    (
        Said::TokenExpired,
        &["ExpiredToken", "ExpiredTokenException"],
        &["The security token included in the request is expired"],
    ),
    (Said::WrongToken, &["InvalidToken"], &[]),
    (
        Said::UnknownKey,
        &[
            "UnrecognizedClientException",
            "InvalidClientTokenId",
            "InvalidAccessKeyId",
        ],
        &[
            "The security token included in the request is invalid",
            "not able to validate the provided access credentials",
        ],
    ),
    (
        Said::NotSigned,
        &[
            "MissingAuthenticationTokenException",
            "MissingAuthenticationToken",
        ],
        &[
            "Missing Authentication Token",
            "Request is missing Authentication Token",
            "User: anonymous is not authorized to perform: ",
            "Anonymous users cannot invoke this API",
        ],
    ),
    (
        Said::PayloadKind,
        &[],
        &[
            "x-amz-content-sha256",
            "X-Amz-Content-Sha256",
            "UNSIGNED-PAYLOAD",
            "This kind of payload is not accepted here",
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
            "not a valid key=value pair (missing equal-sign)",
            "Only one auth mechanism allowed",
            "Unsupported Authorization Type",
        ],
    ),
    (
        Said::Mismatch,
        &["SignatureDoesNotMatch", "InvalidSignatureException"],
        &["The request signature we calculated does not match the signature you provided"],
    ),
    (Said::NotAllowed, &[], &["User: arn:"]),
    (Said::Forbidden, &["ForbiddenException"], &[]),
    (Said::Expired, &["RequestExpired"], &[]),
    (
        Said::Denied,
        &["AccessDenied", "AccessDeniedException"],
        &[],
    ),
];

impl Said {
    /// `None` if the refusal does not speak of signatures.
    pub(super) fn read(refusal: &Rejection, sent: Option<&SignedRequest>) -> Option<Self> {
        // Where the texts stand, what they are cannot be mistaken.
        if refusal.canonical_request.is_some() {
            return Some(Self::Mismatch);
        }
        if refusal.code == "AccessDenied"
            && ["Request has expired", "Request is not yet valid"].contains(&&*refusal.message)
        {
            return Some(Self::Url);
        }
        let by_words = SAID
            .iter()
            .find(|(.., words)| words.iter().any(|words| refusal.says(words)));
        let is_awss =
            refusal.is_awss || sent.is_some_and(|sent| !fronts_applications(&sent.service));
        let by_code = || {
            SAID.iter()
                .find(|(_, codes, _)| is_awss && codes.contains(&&*refusal.code))
        };
        by_words.or_else(by_code).map(|(said, ..)| *said)
    }
}
