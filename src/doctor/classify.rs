//! Classification of a rejection by its error code and message.

use super::{Rejection, SignedRequest};
use crate::sigv4::service_rules::fronts_applications;

/// Reason that a rejection states.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum RejectionClass {
    Mismatch,
    Clock,
    /// The time of a presigned URL.
    PresignedUrl,
    /// The signing time, the URL or the credentials.
    Expired,
    Scope,
    NotSigned,
    DateMissing,
    UnknownKey,
    WrongToken,
    TokenExpired,
    HeaderNotSigned,
    Body,
    PayloadKind,
    Authorization,
    /// API Gateway's rejection without a reason.
    Forbidden,
    /// A policy rejects a known caller.
    NotAllowed,
    /// A policy rejects a known or unknown caller.
    Denied,
}

/// Classes with their error codes and parts of their messages. Messages are compared first, since one code stands for
/// several classes. The first matching row counts.
///
/// The AWS IAM User Guide, "Troubleshoot Signature Version 4 requests" and "Common errors"; the Amazon S3 API
/// Reference, "Error responses"; AWS re:Post, "How do I troubleshoot HTTP 403 errors from API Gateway?".
const RULES: [(RejectionClass, &[&str], &[&str]); 16] = [
    (
        RejectionClass::Body,
        &["XAmzContentSHA256Mismatch", "BadDigest"],
        &[
            "the body's hash is not that in x-amz-content-sha256",
            "The provided 'x-amz-content-sha256' header does not match",
        ],
    ),
    (
        RejectionClass::HeaderNotSigned,
        &[],
        &[
            "must be a 'SignedHeader'",
            "headers present in the request which were not signed",
        ],
    ),
    (
        RejectionClass::DateMissing,
        &[],
        &[
            "Authorization requires a valid 'X-Amz-Date'",
            "requires existence of either a 'X-Amz-Date' or a 'Date' header",
            "AWS authentication requires a valid Date or x-amz-date header",
        ],
    ),
    (
        RejectionClass::Scope,
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
        RejectionClass::Clock,
        &["RequestTimeTooSkewed", "RequestInTheFuture"],
        &["Signature expired: ", "Signature not yet current: "],
    ),
    (
        RejectionClass::TokenExpired,
        &["ExpiredToken", "ExpiredTokenException"],
        &["The security token included in the request is expired"],
    ),
    (RejectionClass::WrongToken, &["InvalidToken"], &[]),
    (
        RejectionClass::UnknownKey,
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
        RejectionClass::NotSigned,
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
        RejectionClass::PayloadKind,
        &[],
        &[
            "x-amz-content-sha256",
            "X-Amz-Content-Sha256",
            "UNSIGNED-PAYLOAD",
            "This kind of payload is not accepted here",
        ],
    ),
    (
        RejectionClass::Authorization,
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
        RejectionClass::Mismatch,
        &["SignatureDoesNotMatch", "InvalidSignatureException"],
        &["The request signature we calculated does not match the signature you provided"],
    ),
    (RejectionClass::NotAllowed, &[], &["User: arn:"]),
    (RejectionClass::Forbidden, &["ForbiddenException"], &[]),
    (RejectionClass::Expired, &["RequestExpired"], &[]),
    (
        RejectionClass::Denied,
        &["AccessDenied", "AccessDeniedException"],
        &[],
    ),
];

impl RejectionClass {
    /// Returns `None` if the rejection does not concern the signature.
    pub(super) fn classify(rejection: &Rejection, request: Option<&SignedRequest>) -> Option<Self> {
        // A canonical request makes a mismatch certain.
        if rejection.canonical_request.is_some() {
            return Some(Self::Mismatch);
        }
        if rejection.code == "AccessDenied"
            && ["Request has expired", "Request is not yet valid"].contains(&&*rejection.message)
        {
            return Some(Self::PresignedUrl);
        }
        let by_message = RULES
            .iter()
            .find(|(.., messages)| messages.iter().any(|part| rejection.message_contains(part)));
        let has_aws_code = rejection.has_aws_code
            || request.is_some_and(|signed| !fronts_applications(&signed.service));
        let by_code = || {
            RULES
                .iter()
                .find(|(_, codes, _)| has_aws_code && codes.contains(&&*rejection.code))
        };
        by_message.or_else(by_code).map(|(class, ..)| *class)
    }
}
