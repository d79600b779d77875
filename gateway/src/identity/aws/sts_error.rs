//! Causes and remedies of failed calls of STS.

use std::{error::Error, io};

use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};

use crate::{
    error::{causes, chain},
    identity::error::{FailureKind, IdentityError, SourceError},
};

pub(super) const REMEDY: &str = "check that STS can be reached from here";

pub(super) fn base_error(error: &tower_sigv4::Error) -> SourceError {
    match IdentityError::find(error) {
        Some(known) => SourceError::from(known),
        None => SourceError::new("the identity before it in the chain has none", REMEDY)
            .with_detail(chain(error)),
    }
}

/// Returns `true` if the keys that the role is assumed with have expired.
pub(super) fn is_expired<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    let rejection = error.as_service_error();
    let code = rejection.and_then(ProvideErrorMetadata::code);
    matches!(code, Some("ExpiredToken" | "ExpiredTokenException"))
}

/// Returns `true` if STS rejects the token, or its user.
pub(super) fn rejects_token<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    let rejection = error.as_service_error();
    let code = rejection.and_then(ProvideErrorMetadata::code);
    matches!(
        code,
        Some(
            "AccessDenied"
                | "AccessDeniedException"
                | "ExpiredToken"
                | "ExpiredTokenException"
                | "IDPRejectedClaim"
                | "InvalidIdentityToken"
        )
    )
}

pub(super) fn sts_error<E>(error: &SdkError<E>, action: &str) -> SourceError
where
    E: Error + ProvideErrorMetadata + 'static,
    SdkError<E>: Error,
{
    if let Some(rejection) = error.as_service_error() {
        let code = rejection.code().unwrap_or("no code");
        let kind = match code {
            "Throttling" | "ThrottlingException" => FailureKind::Throttling,
            _ => FailureKind::Source,
        };
        return SourceError::new(format!("STS rejected {action} ({code})"), remedy(code))
            .with_detail(rejection.message().unwrap_or_default())
            .with_kind(kind);
    }
    let is_timeout = matches!(error, SdkError::TimeoutError(_))
        || causes(error)
            .filter_map(|it| it.downcast_ref::<io::Error>())
            .any(|it| it.kind() == io::ErrorKind::TimedOut);
    let cause = if is_timeout {
        "STS timed out"
    } else {
        "STS cannot be reached"
    };
    SourceError::new(cause, REMEDY).with_detail(chain(error))
}

/// Returns the remedy for an error code (AWS STS API Reference, `AssumeRole`, "Errors", and "Common Error Types").
fn remedy(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "AccessDeniedException" => {
            "allow sts:AssumeRole in the policy of the identity before it and in the role's trust policy, \
             sts:TagSession too for tags; compare external_id"
        }
        "ExpiredToken" | "ExpiredTokenException" => {
            "renew the credentials or the token that the role is assumed with"
        }
        "InvalidClientTokenId" | "UnrecognizedClientException" | "SignatureDoesNotMatch" => {
            "check the keys that the role is assumed with"
        }
        "InvalidIdentityToken" | "IDPRejectedClaim" | "IDPCommunicationError" => {
            "compare the token's issuer and audience with the role's trust policy"
        }
        "MalformedPolicyDocument" | "PackedPolicyTooLarge" => {
            "check policy, policy_arns and tags of the identity"
        }
        "RegionDisabledException" => {
            "activate STS in the region for this account, or set another region"
        }
        "ValidationError" => {
            "check the keys of the identity; duration is at most the role's maximum"
        }
        "Throttling" | "ThrottlingException" => "assume fewer sessions, with a longer duration",
        _ => "see the error codes of AssumeRole in the AWS STS API Reference",
    }
}
