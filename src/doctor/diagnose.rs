use std::{fmt, time::SystemTime};

use http::HeaderName;

use super::{
    Cause, Difference, Rejection, SignedRequest,
    canonical_parser::CanonicalParts,
    classify::RejectionClass as Class,
    compare::{compare, quoted, quoted_path},
};
use crate::SigningSettings;

/// The cause of a rejected request, with a summary and a remedy.
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

    /// Returns the problem as a clause, without a full stop.
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

    /// Returns the seconds by which the origin's clock was ahead of the signing time; negative if it was behind.
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
    let is_temporary = request.is_some_and(|signed| signed.access_key_id.starts_with("ASIA"));
    let (cause, summary) = match Class::classify(rejection, request)? {
        Class::Mismatch => return Some(mismatch(rejection, request)),
        Class::Clock if request.is_some() && in_query && rejection.message.contains("expired") => {
            return Some(url_expired(rejection, request));
        }
        Class::Clock => return Some(clock_skew(rejection, request)),
        Class::PresignedUrl => return Some(url_expired(rejection, request)),
        Class::Expired if in_query => return Some(url_expired(rejection, request)),
        // EC2 and similar services use one error for the signing time and for credentials.
        Class::Expired => match age(rejection, request) {
            Some(age) if has_token && age.unsigned_abs() < 300 => {
                (Cause::TokenExpired, "the credentials have expired")
            }
            _ => return Some(clock_skew(rejection, request)),
        },
        Class::Scope => return Some(scope(rejection, request)),
        Class::ClientScope => (
            Cause::ScopeNotAllowed,
            "the gateway does not sign for the service or region that its client signed for",
        ),
        Class::BucketHost => (
            Cause::BucketHost,
            "the gateway cannot read the bucket of S3 from the host or the path of the request",
        ),
        Class::NotSigned if rejection.message.contains("nonymous") => (
            Cause::NotSigned,
            "the origin treats the caller as anonymous: no signature reached it or this route verifies none, \
             and its policy denies anonymous callers",
        ),
        Class::NotSigned if fronts_routes => (
            request.map_or(Cause::NotSigned, |_| Cause::RouteMissing),
            "no signature reached the origin, or API Gateway has no route for this path and method in this \
             stage: its response is the same",
        ),
        Class::NotSigned => (
            Cause::NotSigned,
            "the request was signed, but its signature did not reach the origin",
        ),
        Class::DateMissing => (
            Cause::HeaderDropped,
            "header x-amz-date was signed but did not reach the origin",
        ),
        Class::UnknownKey if is_temporary && !has_token => (
            Cause::TokenMissing,
            "the access key ID belongs to temporary credentials, but no session token was sent",
        ),
        Class::UnknownKey => (
            Cause::UnknownKey,
            "the origin does not know the access key, or not with this session token",
        ),
        Class::WrongToken => (
            Cause::WrongToken,
            "the session token does not belong to this access key",
        ),
        Class::TokenExpired => (Cause::TokenExpired, "the credentials have expired"),
        Class::HeaderNotSigned => return Some(header_not_signed(rejection)),
        Class::Body => (
            Cause::BodyChanged,
            "the body was changed on the way: its hash is not the signed one",
        ),
        Class::PayloadKind => (
            Cause::PayloadKind,
            "the origin does not accept this kind of payload in x-amz-content-sha256",
        ),
        Class::Authorization => (
            Cause::AuthorizationChanged,
            "the signature did not arrive as it was sent, or the request has a second one",
        ),
        Class::Forbidden if fronts_routes => (
            Cause::StageMissing,
            "API Gateway forbids the request without a reason, as it does if the path does not begin with a \
             stage of the API",
        ),
        Class::NotAllowed => (
            Cause::NotAllowed,
            "the origin knows the caller by the signature, but a policy does not allow the request",
        ),
        Class::Forbidden | Class::Denied => (
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
    let Some(own) = request else {
        return Diagnosis::new(Cause::Mismatch, derived_summary(derived.as_ref()));
    };
    let differs = |received: &Option<String>, sent: Option<&String>| {
        let both = received.as_ref().zip(sent);
        both.is_some_and(|(received_text, sent_text)| received_text != sent_text)
    };
    if differs(&rejection.access_key_id, Some(&own.access_key_id))
        || differs(&rejection.signature_provided, own.signature.as_ref())
    {
        return Diagnosis::new(Cause::AuthorizationChanged, SIGNED_AGAIN);
    }
    let ours = own.string_to_sign.as_deref();
    let theirs = rejection.string_to_sign.as_deref();
    let normalized = |text: Option<&str>| text.map(|lines| lines.trim_end().replace('\r', ""));
    if ours.is_some() && normalized(ours) == normalized(theirs) {
        return Diagnosis::new(
            Cause::WrongSecret,
            "the origin derived exactly what was signed, so the secret access key does not belong to the \
             access key ID, unless the signature itself was changed",
        );
    }
    let signed = CanonicalParts::parse(&own.canonical_request);
    let differences = signed
        .zip(derived.as_ref())
        .map_or_else(Vec::new, |(own_parts, origin_parts)| {
            compare(&own_parts, origin_parts, &own.service)
        });
    if let Some(first) = differences.first() {
        let mut diagnosis = Diagnosis::new(first.cause, first.summary.clone());
        diagnosis.differences = differences;
        return diagnosis;
    }
    let scope = theirs
        .and_then(|text| text.split('\n').nth(2))
        .map(str::trim_end);
    if scope.is_some_and(|derived_scope| derived_scope != own.scope()) {
        return Diagnosis::new(Cause::AuthorizationChanged, SIGNED_AGAIN);
    }
    if derived.is_some() && own.has_token && ours.is_some() && theirs.is_some() {
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

/// Returns the seconds from the signing time to the origin's time.
fn age(rejection: &Rejection, request: Option<&SignedRequest>) -> Option<i64> {
    let seconds = |time: SystemTime| {
        let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        i64::try_from(since_epoch.as_secs()).ok()
    };
    let signed = request
        .map(|signed| signed.time)
        .or_else(|| rejection.time_after(": "))?;
    Some(seconds(rejection.origin_time()?)? - seconds(signed)?)
}

fn clock_skew(rejection: &Rejection, request: Option<&SignedRequest>) -> Diagnosis {
    let clock_offset = age(rejection, request);
    let summary = match clock_offset {
        Some(offset) => {
            let side = if offset < 0 { "behind" } else { "ahead of" };
            let seconds = offset.unsigned_abs();
            format!("the origin's clock was {seconds} s {side} the signing time")
        }
        None => "the origin's clock is too far from the signing time".to_owned(),
    };
    Diagnosis {
        clock_offset,
        ..Diagnosis::new(Cause::ClockSkew, summary)
    }
}

fn url_expired(rejection: &Rejection, request: Option<&SignedRequest>) -> Diagnosis {
    let summary = match age(rejection, request) {
        Some(seconds @ 0..) => format!("the presigned URL was {seconds} s old and has expired"),
        Some(_) => "the presigned URL is not yet valid".to_owned(),
        None => "the presigned URL has expired or is not yet valid".to_owned(),
    };
    Diagnosis::new(Cause::UrlExpired, summary)
}

fn scope(rejection: &Rejection, request: Option<&SignedRequest>) -> Diagnosis {
    let contains = |parts: &[&str]| parts.iter().any(|part| rejection.message.contains(part));
    if contains(&["Date in Credential scope", "not scoped to the day"]) {
        let summary = "the day in the credential scope is not that of x-amz-date";
        return Diagnosis::new(Cause::WrongRegion, summary);
    }
    let host =
        request.and_then(|signed| CanonicalParts::parse(&signed.canonical_request)?.header("host"));
    let inferred = host.and_then(|name| SigningSettings::infer(name.split(':').next()?).ok());
    let names_service = contains(&["to correct service", "to service", "incorrect service"]);
    let names_region = contains(&["valid region", "valid Region", "to region", "expecting '"])
        || rejection.region.is_some();
    // If the response names neither, the host may show which one is wrong.
    let is_service = names_service
        || !names_region
            && request
                .zip(inferred.as_ref())
                .is_some_and(|(signed, settings)| settings.service() != signed.service);
    let (cause, kind, named) = if is_service {
        let named = rejection.quoted_after("correct service: ");
        (Cause::WrongService, "service", named)
    } else {
        let quoted_region = || rejection.quoted_after("expecting ");
        let named = rejection.region.as_deref().or_else(quoted_region);
        (Cause::WrongRegion, "region", named)
    };
    let choose = |service, region| if is_service { service } else { region };
    let signed = request.map_or("", |signed| choose(&*signed.service, &*signed.region));
    let from_host = inferred
        .as_ref()
        .map(|settings| choose(settings.service(), settings.region()));
    let expected = named.or(from_host);
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
