use std::{fmt, time::SystemTime};

use http::HeaderName;

use super::{
    Cause, Difference, Rejection, SignedRequest,
    canonical_parser::CanonicalParts,
    classify::RejectionClass,
    compare::{compare, quoted, quoted_path},
};
use crate::SigningSettings;

/// Reason for which an origin rejected a request.
///
/// `Display` writes [`summary`](Diagnosis::summary) and [`remedy`](Diagnosis::remedy). Neither contains a secret.
#[derive(Clone, Debug)]
#[must_use]
pub struct Diagnosis {
    cause: Cause,
    summary: String,
    differences: Vec<Difference>,
    clock_offset: Option<i64>,
}

impl Diagnosis {
    fn new(cause: Cause, summary: impl Into<String>) -> Self {
        Self {
            cause,
            summary: summary.into(),
            differences: Vec::new(),
            clock_offset: None,
        }
    }

    /// Returns the cause. If there are several differences, it is that of the first one.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// Returns a clause without a full stop about what happened.
    #[must_use]
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// Returns the remedy: [`Cause::remedy`].
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        self.cause.remedy()
    }

    /// Returns all differences between the canonical requests of signer and origin, the most likely cause first.
    ///
    /// It is empty if one of the canonical requests is unknown.
    #[must_use]
    pub fn differences(&self) -> &[Difference] {
        &self.differences
    }

    /// Returns by how many seconds the origin's clock was ahead of the signing time; negative if it was behind.
    ///
    /// It is `Some` only for [`Cause::ClockSkew`] with a known time.
    #[must_use]
    pub fn clock_offset(&self) -> Option<i64> {
        self.clock_offset
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.summary, self.remedy())
    }
}

/// Finds the cause of a rejection. Returns `None` if it does not concern the signature.
///
/// Without the `request` most causes can be found in the response, except those of a signature that does not match.
/// The [module's documentation](super) has an example.
#[must_use]
pub fn diagnose(rejection: &Rejection, request: Option<&SignedRequest>) -> Option<Diagnosis> {
    let fronts_routes = request.is_none_or(|signed| signed.service == "execute-api");
    let in_query = request.is_none_or(|signed| signed.in_query);
    let has_token = request.is_some_and(|signed| signed.has_token);
    let (cause, summary) = match RejectionClass::classify(rejection, request)? {
        RejectionClass::Mismatch => return Some(mismatch(rejection, request)),
        RejectionClass::Clock
            if request.is_some() && in_query && rejection.message_contains("expired") =>
        {
            return Some(url_expired(rejection, request));
        }
        RejectionClass::Clock => return Some(clock_skew(rejection, request)),
        RejectionClass::PresignedUrl => return Some(url_expired(rejection, request)),
        RejectionClass::Expired if in_query => return Some(url_expired(rejection, request)),
        // EC2 and similar services use one error for the signing time and for credentials.
        RejectionClass::Expired => match times(rejection, request) {
            Some((signed, theirs)) if has_token && signed.abs_diff(theirs) < 300 => {
                (Cause::TokenExpired, "the credentials have expired")
            }
            _ => return Some(clock_skew(rejection, request)),
        },
        RejectionClass::Scope => return Some(scope(rejection, request)),
        RejectionClass::NotSigned if rejection.message_contains("nonymous") => (
            Cause::NotSigned,
            "the origin treats the caller as anonymous: no signature reached it or this route verifies none, \
             and its policy denies anonymous callers",
        ),
        RejectionClass::NotSigned if fronts_routes => (
            if request.is_some() {
                Cause::RouteMissing
            } else {
                Cause::NotSigned
            },
            "no signature reached the origin, or API Gateway has no route for this path and method in this \
             stage: its response is the same",
        ),
        RejectionClass::NotSigned => (
            Cause::NotSigned,
            "the request was signed, but its signature did not reach the origin",
        ),
        RejectionClass::DateMissing => (
            Cause::HeaderDropped,
            "header x-amz-date was signed but did not reach the origin",
        ),
        RejectionClass::UnknownKey
            if request.is_some_and(|signed| {
                signed.access_key_id.starts_with("ASIA") && !signed.has_token
            }) =>
        {
            (
                Cause::TokenMissing,
                "the access key ID belongs to temporary credentials, but no session token was sent",
            )
        }
        RejectionClass::UnknownKey => (
            Cause::UnknownKey,
            "the origin does not know the access key, or not with this session token",
        ),
        RejectionClass::WrongToken => (
            Cause::WrongToken,
            "the session token does not belong to this access key",
        ),
        RejectionClass::TokenExpired => (Cause::TokenExpired, "the credentials have expired"),
        RejectionClass::HeaderNotSigned => return Some(header_not_signed(rejection)),
        RejectionClass::Body => (
            Cause::BodyChanged,
            "the body was changed on the way: its hash is not the signed one",
        ),
        RejectionClass::PayloadKind => (
            Cause::PayloadKind,
            "the origin does not accept this kind of payload in x-amz-content-sha256",
        ),
        RejectionClass::Authorization => (
            Cause::AuthorizationChanged,
            "the signature did not arrive as it was sent, or the request has a second one",
        ),
        RejectionClass::Forbidden if fronts_routes => (
            Cause::StageMissing,
            "API Gateway forbids the request without a reason, as it does if the path does not begin with a \
             stage of the API",
        ),
        RejectionClass::NotAllowed => (
            Cause::NotAllowed,
            "the origin knows the caller by the signature, but a policy does not allow the request",
        ),
        RejectionClass::Forbidden | RejectionClass::Denied => (
            Cause::NotAllowed,
            "the origin does not allow the request, and may not have received a signature",
        ),
    };
    Some(Diagnosis::new(cause, summary))
}

const SIGNED_AGAIN: &str =
    "the origin received another signature than the one sent: another component signs again";

fn mismatch(rejection: &Rejection, request: Option<&SignedRequest>) -> Diagnosis {
    let missing = rejection.quoted_before(" is signed and not present");
    if let Some(name) = missing.and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        && request.is_none_or(|signed| signed.covers(&name))
    {
        let summary = format!("header {name} was signed but did not reach the origin");
        return Diagnosis::new(Cause::HeaderDropped, summary);
    }
    let derived = rejection
        .canonical_request
        .as_deref()
        .and_then(CanonicalParts::parse);
    let Some(request) = request else {
        return Diagnosis::new(Cause::Mismatch, derived_summary(derived.as_ref()));
    };
    if let (Some(received), Some(sent)) = (&rejection.signature_provided, &request.signature)
        && received != sent
    {
        return Diagnosis::new(Cause::AuthorizationChanged, SIGNED_AGAIN);
    }
    if rejection
        .access_key_id
        .as_ref()
        .is_some_and(|id| *id != request.access_key_id)
    {
        return Diagnosis::new(Cause::AuthorizationChanged, SIGNED_AGAIN);
    }
    let ours = request.string_to_sign.as_deref();
    let theirs = rejection.string_to_sign.as_deref();
    let normalized = |text: Option<&str>| text.map(|lines| lines.trim_end().replace('\r', ""));
    if ours.is_some() && normalized(ours) == normalized(theirs) {
        return Diagnosis::new(
            Cause::WrongSecret,
            "the origin derived exactly what was signed, so the secret access key does not belong to the \
             access key ID, unless the signature itself was changed",
        );
    }
    let signed = CanonicalParts::parse(&request.canonical_request);
    let differences = match (&signed, &derived) {
        (Some(own_parts), Some(origin_parts)) => compare(own_parts, origin_parts, &request.service),
        _ => Vec::new(),
    };
    if let Some(first) = differences.first() {
        let diagnosis = Diagnosis::new(first.cause, first.summary.clone());
        return Diagnosis {
            differences,
            ..diagnosis
        };
    }
    let scope = theirs
        .and_then(|text| text.split('\n').nth(2))
        .map(str::trim_end);
    if scope.is_some_and(|derived_scope| derived_scope != request.scope()) {
        return Diagnosis::new(Cause::AuthorizationChanged, SIGNED_AGAIN);
    }
    if derived.is_some() && request.has_token && ours.is_some() && theirs.is_some() {
        // A verifier may redact the token, so that only the hash differs.
        let summary = "the session token was changed on the way";
        return Diagnosis::new(Cause::HeaderChanged, summary);
    }
    if derived.is_some() && ours.is_none() {
        let summary =
            "the origin derived the same head, so the body or the secret access key is wrong";
        return Diagnosis::new(Cause::Mismatch, summary);
    }
    Diagnosis::new(Cause::Mismatch, derived_summary(None))
}

/// Describes the canonical request of the origin.
fn derived_summary(derived: Option<&CanonicalParts<'_>>) -> String {
    match derived {
        Some(parts) => format!(
            "the signature does not match the request that the origin received: {} {} for host {}, signed \
             headers {}, payload {}",
            quoted(parts.method),
            quoted_path(parts.path),
            quoted(parts.header("host").unwrap_or_default()),
            quoted(parts.signed_headers),
            quoted(parts.payload),
        ),
        None => {
            "the signature does not match, and the origin does not show what it derived".to_owned()
        }
    }
}

/// Returns the signing time and the origin's time, in seconds.
fn times(rejection: &Rejection, request: Option<&SignedRequest>) -> Option<(i64, i64)> {
    let seconds = |time: SystemTime| {
        let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        i64::try_from(since_epoch.as_secs()).ok()
    };
    let signed = request
        .map(|signed| signed.time)
        .or_else(|| rejection.time_after(": "))?;
    Some((seconds(signed)?, seconds(rejection.origin_time()?)?))
}

fn clock_skew(rejection: &Rejection, request: Option<&SignedRequest>) -> Diagnosis {
    let offset = times(rejection, request).map(|(signed, theirs)| theirs - signed);
    let summary = match offset {
        Some(ahead @ 0..) => {
            format!("the origin's clock was {ahead} s ahead of the signing time")
        }
        Some(behind) => {
            let seconds = behind.unsigned_abs();
            format!("the origin's clock was {seconds} s behind the signing time")
        }
        None => "the origin's clock is too far from the signing time".to_owned(),
    };
    Diagnosis {
        clock_offset: offset,
        ..Diagnosis::new(Cause::ClockSkew, summary)
    }
}

fn url_expired(rejection: &Rejection, request: Option<&SignedRequest>) -> Diagnosis {
    let age = times(rejection, request).map(|(signed, theirs)| theirs - signed);
    let summary = match age {
        Some(seconds @ 0..) => format!("the presigned URL was {seconds} s old and has expired"),
        Some(_) => "the presigned URL is not yet valid".to_owned(),
        None => "the presigned URL has expired or is not yet valid".to_owned(),
    };
    Diagnosis::new(Cause::UrlExpired, summary)
}

fn scope(rejection: &Rejection, request: Option<&SignedRequest>) -> Diagnosis {
    let contains = |parts: &[&str]| parts.iter().any(|part| rejection.message_contains(part));
    if contains(&["Date in Credential scope", "not scoped to the day"]) {
        let summary = "the day in the credential scope is not that of x-amz-date";
        return Diagnosis::new(Cause::WrongRegion, summary);
    }
    let host =
        request.and_then(|signed| CanonicalParts::parse(&signed.canonical_request)?.header("host"));
    let inferred = host.and_then(|name| SigningSettings::infer(name.split(':').next()?).ok());
    let (signed_service, signed_region) =
        request.map_or(("", ""), |signed| (&*signed.service, &*signed.region));
    let names_service = contains(&["to correct service", "to service", "incorrect service"]);
    let names_region = contains(&["valid region", "valid Region", "to region", "expecting '"])
        || rejection.region.is_some();
    // If the response names neither, the host may show which one is wrong.
    let is_service = names_service
        || !names_region
            && request
                .zip(inferred.as_ref())
                .is_some_and(|(signed, settings)| settings.service() != signed.service);
    let (cause, kind, signed, expected) = if is_service {
        (
            Cause::WrongService,
            "service",
            signed_service,
            rejection
                .quoted_after("correct service: ")
                .or(inferred.as_ref().map(SigningSettings::service)),
        )
    } else {
        (
            Cause::WrongRegion,
            "region",
            signed_region,
            rejection
                .region
                .as_deref()
                .or(rejection.quoted_after("expecting "))
                .or(inferred.as_ref().map(SigningSettings::region)),
        )
    };
    // If the host suggests the signed name, the expected one is unknown.
    let summary = match (signed, expected.filter(|name| *name != signed)) {
        (_, None) if !names_service && !names_region => {
            let part = if signed.is_empty() {
                "scope"
            } else {
                "service, region or day"
            };
            format!("the request was signed for another {part} than the origin's")
        }
        ("", None) => format!("the request was signed for another {kind} than the origin's"),
        ("", Some(right)) => {
            format!("the request was not signed for {kind} {}", quoted(right))
        }
        (_, None) => format!(
            "the request was signed for {kind} {}, not for the origin's",
            quoted(signed)
        ),
        (_, Some(right)) => format!(
            "the request was signed for {kind} {}, but the origin expects {}",
            quoted(signed),
            quoted(right)
        ),
    };
    Diagnosis::new(cause, summary)
}

fn header_not_signed(rejection: &Rejection) -> Diagnosis {
    let summary = match &rejection.headers_not_signed {
        Some(names) => format!(
            "the signature does not cover these headers: {}",
            quoted(names)
        ),
        None => "the signature does not cover a header that has to be signed".to_owned(),
    };
    Diagnosis::new(Cause::HeaderNotSigned, summary)
}
