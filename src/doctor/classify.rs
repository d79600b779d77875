//! Classification of a rejection by its error code and message.

use http::{StatusCode, header::CONTENT_TYPE};

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
    /// The bucket is in another region.
    OtherRegion,
    /// Version 2 of the signature.
    Version2,
    /// An `authorization` of another scheme.
    OtherAuthorization,
    /// RadosGW's rejection without a message.
    EmptyDenial,
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
const MESSAGES: [(&str, RejectionClass); 46] = [
    ("Please use AWS4-HMAC-SHA256", RejectionClass::Version2),
    ("requires 'Credential' parameter", RejectionClass::OtherAuthorization),
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
        // The message quotes the header, or its hash.
        if rejection.message.contains("missing equal-sign")
            && !rejection.message.contains("AWS4-HMAC-SHA256")
        {
            return Some(Self::OtherAuthorization);
        }
        if rejection.is_of_other_region(request) {
            return Some(Self::OtherRegion);
        }
        if rejection.code == "AccessDenied"
            && rejection.message.is_empty()
            && request.is_some_and(|signed| {
                let mut unsigned = signed.unsigned_headers.iter();
                unsigned.any(|name| *name == CONTENT_TYPE.as_str())
            })
        {
            return Some(Self::EmptyDenial);
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

impl Rejection {
    /// Returns `true` if S3 names another region than the signed one: 301, or 400 in response to HEAD.
    ///
    /// The Amazon S3 User Guide, "Making requests using the REST API", "Redirects".
    fn is_of_other_region(&self, request: Option<&SignedRequest>) -> bool {
        let is_signed = |region: &String| request.is_some_and(|signed| signed.region == *region);
        let has_redirect_code = ["PermanentRedirect", "TemporaryRedirect"].contains(&&*self.code);
        let is_redirect = has_redirect_code
            || [
                StatusCode::MOVED_PERMANENTLY,
                StatusCode::TEMPORARY_REDIRECT,
            ]
            .contains(&self.status);
        let names_other = self
            .region
            .as_ref()
            .is_some_and(|region| !is_signed(region));
        // The endpoint in the body may have no known region.
        has_redirect_code && self.region.is_none()
            || names_other
                && (is_redirect || self.status == StatusCode::BAD_REQUEST && self.code.is_empty())
    }
}
