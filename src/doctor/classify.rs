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
    /// A gateway rejects the scope of its client.
    ClientScope,
    BucketHost,
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

/// Parts of messages. They are compared before the codes, since one code stands for several classes. The first part that
/// a message contains counts.
///
/// The AWS IAM User Guide, "Troubleshoot Signature Version 4 requests" and "Common errors"; the Amazon S3 API
/// Reference, "Error responses"; AWS re:Post, "How do I troubleshoot HTTP 403 errors from API Gateway?".
#[rustfmt::skip] // a row for each message
const MESSAGES: [(&str, RejectionClass); 44] = [
    ("the chunks are signed with the client's key", RejectionClass::PayloadKind),
    ("the client signed for ", RejectionClass::ClientScope),
    ("the request was signed for service ", RejectionClass::ClientScope),
    ("the presigned URL expired ", RejectionClass::PresignedUrl),
    (" has the bucket ", RejectionClass::BucketHost),
    (" in the host is not a name of a bucket", RejectionClass::BucketHost),
    (" has a dot, and the origin has buckets in its host", RejectionClass::BucketHost),
    (" leaves the bucket by its dot segments", RejectionClass::BucketHost),
    ("the request's body is not the one that was signed", RejectionClass::Body),
    ("the checksum in the trailer does not match the body", RejectionClass::Body),
    ("the signature of a chunk does not match", RejectionClass::Body),
    ("the signature of the trailer does not match", RejectionClass::Body),
    ("the body's hash is not that in x-amz-content-sha256", RejectionClass::Body),
    ("The provided 'x-amz-content-sha256' header does not match", RejectionClass::Body),
    ("must be a 'SignedHeader'", RejectionClass::HeaderNotSigned),
    ("headers present in the request which were not signed", RejectionClass::HeaderNotSigned),
    ("Authorization requires a valid 'X-Amz-Date'", RejectionClass::DateMissing),
    ("requires existence of either a 'X-Amz-Date' or a 'Date' header", RejectionClass::DateMissing),
    ("AWS authentication requires a valid Date or x-amz-date header", RejectionClass::DateMissing),
    ("Credential should be scoped to", RejectionClass::Scope),
    ("credential must be scoped to a valid", RejectionClass::Scope),
    ("credential is scoped to", RejectionClass::Scope),
    ("credential is not scoped to", RejectionClass::Scope),
    ("is wrong; expecting '", RejectionClass::Scope),
    ("incorrect service", RejectionClass::Scope),
    ("Date in Credential scope", RejectionClass::Scope),
    ("Signature expired: ", RejectionClass::Clock),
    ("Signature not yet current: ", RejectionClass::Clock),
    ("The security token included in the request is expired", RejectionClass::TokenExpired),
    ("The security token included in the request is invalid", RejectionClass::UnknownKey),
    ("not able to validate the provided access credentials", RejectionClass::UnknownKey),
    ("Missing Authentication Token", RejectionClass::NotSigned),
    ("Request is missing Authentication Token", RejectionClass::NotSigned),
    ("User: anonymous is not authorized to perform: ", RejectionClass::NotSigned),
    ("Anonymous users cannot invoke this API", RejectionClass::NotSigned),
    ("x-amz-content-sha256", RejectionClass::PayloadKind),
    ("X-Amz-Content-Sha256", RejectionClass::PayloadKind),
    ("UNSIGNED-PAYLOAD", RejectionClass::PayloadKind),
    ("This kind of payload is not accepted here", RejectionClass::PayloadKind),
    ("not a valid key=value pair (missing equal-sign)", RejectionClass::Authorization),
    ("Only one auth mechanism allowed", RejectionClass::Authorization),
    ("Unsupported Authorization Type", RejectionClass::Authorization),
    ("The request signature we calculated does not match the signature you provided", RejectionClass::Mismatch),
    ("User: arn:", RejectionClass::NotAllowed),
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
        let by_message = MESSAGES
            .iter()
            .find(|(part, _)| rejection.message.contains(part))
            .map(|(_, class)| *class);
        let has_aws_code = rejection.has_aws_code
            || request.is_some_and(|signed| !fronts_applications(&signed.service));
        by_message.or_else(|| Self::from_code(&rejection.code).filter(|_| has_aws_code))
    }

    /// Returns the class of an error code, from the same sources as the messages.
    fn from_code(code: &str) -> Option<Self> {
        Some(match code {
            "XAmzContentSHA256Mismatch" | "BadDigest" => Self::Body,
            "RequestTimeTooSkewed" | "RequestInTheFuture" => Self::Clock,
            "ExpiredToken" | "ExpiredTokenException" => Self::TokenExpired,
            "InvalidToken" => Self::WrongToken,
            "UnrecognizedClientException" | "InvalidClientTokenId" | "InvalidAccessKeyId" => {
                Self::UnknownKey
            }
            "MissingAuthenticationTokenException" | "MissingAuthenticationToken" => Self::NotSigned,
            "IncompleteSignature"
            | "IncompleteSignatureException"
            | "AuthorizationHeaderMalformed"
            | "AuthorizationQueryParametersError" => Self::Authorization,
            "SignatureDoesNotMatch" | "InvalidSignatureException" => Self::Mismatch,
            "ForbiddenException" => Self::Forbidden,
            "RequestExpired" => Self::Expired,
            "AccessDenied" | "AccessDeniedException" => Self::Denied,
            _ => return None,
        })
    }
}
