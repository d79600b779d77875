use std::time::SystemTime;

use super::{
    Cause, Diagnosis, Rejection, SignedRequest, canonical_parser::CanonicalParts,
    classify::RejectionClass as Class, compare::quoted, mismatch::mismatch,
};
use crate::SigningSettings;

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
        Class::Mismatch if is_signed_by_cloudfront(rejection, request) => (
            Cause::BodyHashMissing,
            "the response came through CloudFront: if its origin access control signed the request for a Lambda function \
             URL, a body needs its hash from the client, which did not send it",
        ),
        Class::Mismatch => return Some(mismatch(rejection, request)),
        Class::OtherRegion => return Some(other_region(rejection, request)),
        Class::Version2 => (
            Cause::SignatureVersion,
            "the request is signed with version 2 or another old scheme, and the origin accepts only version 4",
        ),
        Class::OtherAuthorization => {
            return Some(other_authorization(rejection, fronts_routes));
        }
        Class::EmptyDenial => (
            Cause::HeaderNotSigned,
            "the signature does not cover content-type, and servers such as Ceph RadosGW reject that without a message",
        ),
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
        Class::HeaderNotSigned => return Some(header_not_signed(rejection, request)),
        Class::Body => (
            Cause::BodyChanged,
            "the body was changed on the way: its hash is not the signed one",
        ),
        Class::PayloadKind if lacks_content_sha256(rejection, request) => {
            return Some(content_sha256_missing());
        }
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

/// Returns `true` if CloudFront's origin access control may have signed a request for a function URL, which shows
/// nothing else. It replaces the client's signature unless that takes precedence.
///
/// The Amazon CloudFront Developer Guide, "Restrict access to an AWS Lambda function URL origin".
fn is_signed_by_cloudfront(rejection: &Rejection, request: Option<&SignedRequest>) -> bool {
    rejection.is_from_cloudfront
        && rejection.canonical_request.is_none()
        && rejection.string_to_sign.is_none()
        && request
            .is_none_or(|signed| signed.service == "lambda" && !signed.traits.has_content_sha256)
}

/// Returns `true` if the request has no `x-amz-content-sha256`, or the origin says so of an unknown one.
fn lacks_content_sha256(rejection: &Rejection, request: Option<&SignedRequest>) -> bool {
    let message = &rejection.message;
    match request {
        Some(signed) => {
            signed.is_derived() && !signed.in_query && !signed.traits.has_content_sha256
        }
        None => {
            message.contains("Missing required header")
                || message.contains("x-amz-content-sha256 is required")
        }
    }
}

fn content_sha256_missing() -> Diagnosis {
    let summary = "the request has no valid x-amz-content-sha256, which the origin requires";
    Diagnosis::new(Cause::PayloadKind, summary).with_remedies(&[
        "send the header and sign it: in curl -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD', or the SHA-256 of the body \
         in hex in place of UNSIGNED-PAYLOAD",
        "or sign with a client that sends it for S3, such as an SDK of AWS",
    ])
}

/// The origin shows the header, or only its hash.
fn other_authorization(rejection: &Rejection, fronts_routes: bool) -> Diagnosis {
    let received = if rejection.message.contains("Bearer ") {
        "an authorization of another scheme, a Bearer token"
    } else {
        "an authorization of another scheme or an incomplete signature"
    };
    let routes = if fronts_routes {
        ": the route requires IAM, or API Gateway has no such route"
    } else {
        ""
    };
    let summary = format!("no signature of version 4 arrived, but {received}{routes}");
    let remedies: &[_] = if fronts_routes {
        &[
            "sign with SigV4 in place of the token",
            "or compare method and path, including the stage, with the deployed routes",
        ]
    } else {
        &["sign with SigV4 in place of the token"]
    };
    Diagnosis::new(Cause::NotSigned, summary).with_remedies(remedies)
}

fn other_region(rejection: &Rejection, request: Option<&SignedRequest>) -> Diagnosis {
    let summary = match (request, rejection.region.as_deref()) {
        (_, None) => "the bucket is at another endpoint, whose region is unknown".to_owned(),
        (Some(signed), Some(right)) => format!(
            "the request was signed for region {}, but the bucket is in {}",
            quoted(&signed.region),
            quoted(right),
        ),
        (None, Some(right)) => format!("the bucket is in region {}", quoted(right)),
    };
    Diagnosis::new(Cause::WrongRegion, summary)
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
    Diagnosis::new(Cause::ClockSkew, summary).with_clock_offset(clock_offset)
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
        (_, None) if !names_service && !names_region => match request {
            Some(own) => format!(
                "the request was signed for service {} in region {} on day {}, and the origin expects another \
                     service, region or day",
                quoted(&own.service),
                quoted(&own.region),
                quoted(own.scope().split('/').next().unwrap_or_default()),
            ),
            None => "the request was signed for another scope than the origin's".to_owned(),
        },
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

fn header_not_signed(rejection: &Rejection, request: Option<&SignedRequest>) -> Diagnosis {
    let of_request = || {
        let names = request?.unsigned_headers.join(", ");
        (!names.is_empty()).then_some(names)
    };
    let summary = match rejection.headers_not_signed.clone().or_else(of_request) {
        Some(names) => format!(
            "the signature does not cover these headers: {}",
            quoted(&names)
        ),
        None => "the signature does not cover a header that has to be signed".to_owned(),
    };
    Diagnosis::new(Cause::HeaderNotSigned, summary)
}
