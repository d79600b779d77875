use std::{fmt, time::SystemTime};

use http::HeaderName;

use super::{
    Cause, Difference, Rejection, SignedRequest,
    canonical_parser::Texts,
    classify::Said,
    compare::{compare, shown, shown_path},
};
use crate::SigningSettings;

/// Why an origin refused a request, for people to read.
///
/// `Display` writes [`summary`](Diagnosis::summary) and [`remedy`](Diagnosis::remedy). Neither holds a secret.
#[derive(Clone, Debug)]
#[must_use]
pub struct Diagnosis {
    cause: Cause,
    sentence: String,
    differences: Vec<Difference>,
    clock_offset: Option<i64>,
}

impl Diagnosis {
    fn new(cause: Cause, sentence: impl Into<String>) -> Self {
        Self {
            cause,
            sentence: sentence.into(),
            differences: Vec::new(),
            clock_offset: None,
        }
    }

    /// The cause; of several differences that of the first.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// What happened, in a clause without a full stop.
    #[must_use]
    pub fn summary(&self) -> &str {
        &self.sentence
    }

    /// What to do about it: [`Cause::remedy`].
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        self.cause.remedy()
    }

    /// All in which the canonical request of signer and origin differ, the most telling first; empty where
    /// one of the two is not known.
    #[must_use]
    pub fn differences(&self) -> &[Difference] {
        &self.differences
    }

    /// The seconds by which the origin's clock was ahead of the time of signing, for
    /// [`Cause::ClockSkew`] and where it is known; negative if behind.
    #[must_use]
    pub fn clock_offset(&self) -> Option<i64> {
        self.clock_offset
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.sentence, self.remedy())
    }
}

/// Names the cause of a refusal; `None` if it does not speak of signatures.
///
/// Without `sent`, that is from the answer alone, most causes can still be told, but not where a signature
/// does not match. The [module's documentation](super) has an example.
#[must_use]
pub fn diagnose(refusal: &Rejection, sent: Option<&SignedRequest>) -> Option<Diagnosis> {
    let new = |cause, sentence: &str| Some(Diagnosis::new(cause, sentence));
    let fronts_routes = sent.is_none_or(|sent| sent.service == "execute-api");
    let (in_query, has_token) = sent.map_or((true, false), |sent| (sent.in_query, sent.has_token));
    match Said::read(refusal, sent)? {
        Said::Mismatch => Some(mismatch(refusal, sent)),
        Said::Clock if sent.is_some() && in_query && refusal.says("expired") => {
            Some(url_expired(refusal, sent))
        }
        Said::Clock => Some(clock_skew(refusal, sent)),
        Said::Url => Some(url_expired(refusal, sent)),
        Said::Expired if in_query => Some(url_expired(refusal, sent)),
        // EC2 and its like say the same of the time of signing and of the credentials.
        Said::Expired => match times(refusal, sent) {
            Some((signed, theirs)) if has_token && signed.abs_diff(theirs) < 300 => {
                new(Cause::TokenExpired, "the credentials have expired")
            }
            _ => Some(clock_skew(refusal, sent)),
        },
        Said::Scope => Some(scope(refusal, sent)),
        Said::NotSigned if refusal.says("nonymous") => new(
            Cause::NotSigned,
            "the origin takes the caller for anonymous: no signature reached it, or this route verifies none, \
             and its policy lets in no strangers",
        ),
        Said::NotSigned if fronts_routes => {
            let cause = if sent.is_some() {
                Cause::RouteMissing
            } else {
                Cause::NotSigned
            };
            new(
                cause,
                "no signature reached the origin, or it is API Gateway and has no route for this path and method \
                 in this stage: it answers both alike",
            )
        }
        Said::NotSigned => new(
            Cause::NotSigned,
            "the request was signed, and its signature did not reach the origin",
        ),
        Said::NotDated => new(
            Cause::HeaderDropped,
            "header x-amz-date was signed and did not reach the origin",
        ),
        Said::UnknownKey => {
            let lacks_token =
                |sent: &SignedRequest| sent.access_key_id.starts_with("ASIA") && !sent.has_token;
            match sent.is_some_and(lacks_token) {
                true => new(
                    Cause::TokenMissing,
                    "the access key id is that of temporary credentials, and no session token was sent",
                ),
                false => new(
                    Cause::UnknownKey,
                    "the origin does not know the access key, or not with this token",
                ),
            }
        }
        Said::WrongToken => new(
            Cause::WrongToken,
            "the session token is not one of this access key",
        ),
        Said::TokenExpired => new(Cause::TokenExpired, "the credentials have expired"),
        Said::HeaderNotSigned => Some(header_not_signed(refusal)),
        Said::Body => new(
            Cause::BodyChanged,
            "the body was changed on the way: the origin received one of another hash than was signed",
        ),
        Said::PayloadKind => new(
            Cause::PayloadKind,
            "the origin does not take what the signature says of the payload in x-amz-content-sha256",
        ),
        Said::Authorization => new(
            Cause::AuthorizationChanged,
            "the signature did not arrive in the form in which it was sent, or another one is beside it",
        ),
        Said::Forbidden if fronts_routes => new(
            Cause::StageMissing,
            "API Gateway says no more than that it forbids the request, as it does where the path does not begin \
             with a stage of the API",
        ),
        Said::NotAllowed => new(
            Cause::NotAllowed,
            "the origin knows the caller by the signature, and a policy does not allow this",
        ),
        Said::Forbidden | Said::Denied => new(
            Cause::NotAllowed,
            "the origin does not allow this to the caller that it saw, if it saw a signature at all",
        ),
    }
}

const SIGNED_AGAIN: &str =
    "the origin received another signature than was sent: something signs again";

fn mismatch(refusal: &Rejection, sent: Option<&SignedRequest>) -> Diagnosis {
    let absent = refusal.quoted_before(" is signed and not present");
    if let Some(name) = absent.and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        && sent.is_none_or(|sent| sent.covers(&name))
    {
        let sentence = format!("header {name} was signed and did not reach the origin");
        return Diagnosis::new(Cause::HeaderDropped, sentence);
    }
    let derived = refusal.canonical_request.as_deref().and_then(Texts::read);
    let Some(sent) = sent else {
        return Diagnosis::new(Cause::Mismatch, seen(derived.as_ref()));
    };
    if let (Some(given), Some(own)) = (&refusal.signature_provided, &sent.signature)
        && given != own
    {
        return Diagnosis::new(Cause::AuthorizationChanged, SIGNED_AGAIN);
    }
    if refusal
        .access_key_id
        .as_ref()
        .is_some_and(|id| *id != sent.access_key_id)
    {
        return Diagnosis::new(Cause::AuthorizationChanged, SIGNED_AGAIN);
    }
    let (ours, theirs) = (
        sent.string_to_sign.as_deref(),
        refusal.string_to_sign.as_deref(),
    );
    let lines = |text: Option<&str>| text.map(|text| text.trim_end().replace('\r', ""));
    if ours.is_some() && lines(ours) == lines(theirs) {
        return Diagnosis::new(
            Cause::WrongSecret,
            "the origin derived what was signed, to the letter, so the secret access key is not that of the \
             access key id, if nothing has changed the signature itself",
        );
    }
    let own = Texts::read(&sent.canonical_request);
    let differences = match (&own, &derived) {
        (Some(own), Some(derived)) => compare(own, derived, &sent.service),
        _ => Vec::new(),
    };
    if let Some(first) = differences.first() {
        let diagnosis = Diagnosis::new(first.cause, first.sentence.clone());
        return Diagnosis {
            differences,
            ..diagnosis
        };
    }
    let scope = theirs
        .and_then(|text| text.split('\n').nth(2))
        .map(str::trim_end);
    if scope.is_some_and(|scope| scope != sent.scope()) {
        return Diagnosis::new(Cause::AuthorizationChanged, SIGNED_AGAIN);
    }
    if derived.is_some() && sent.has_token && ours.is_some() && theirs.is_some() {
        // A verifier may blot the token out, and then the hash alone tells.
        let sentence = "the session token was changed on the way";
        return Diagnosis::new(Cause::HeaderChanged, sentence);
    }
    if derived.is_some() && ours.is_none() {
        // All that is known agrees.
        let sentence = "the origin derived the head that was sent, so it is the body, or the secret access key";
        return Diagnosis::new(Cause::Mismatch, sentence);
    }
    Diagnosis::new(Cause::Mismatch, seen(None))
}

/// What the origin says that it received.
fn seen(derived: Option<&Texts<'_>>) -> String {
    match derived {
        Some(texts) => format!(
            "the signature does not match what the origin derived: {} {} for host {}, signed headers {}, \
             payload {}",
            shown(texts.method),
            shown_path(texts.path),
            shown(texts.header("host").unwrap_or_default()),
            shown(texts.signed_headers),
            shown(texts.payload),
        ),
        None => {
            "the signature does not match, and the origin does not say what it derived".to_owned()
        }
    }
}

/// The time of signing, and the origin's.
fn times(refusal: &Rejection, sent: Option<&SignedRequest>) -> Option<(i64, i64)> {
    let seconds = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_secs()).ok()
    };
    let signed = sent
        .map(|sent| sent.time)
        .or_else(|| refusal.time_after(": "))?;
    Some((seconds(signed)?, seconds(refusal.origin_time()?)?))
}

fn clock_skew(refusal: &Rejection, sent: Option<&SignedRequest>) -> Diagnosis {
    let offset = times(refusal, sent).map(|(signed, theirs)| theirs - signed);
    let sentence = match offset {
        Some(offset @ 0..) => {
            format!("the origin's clock was {offset} s ahead of the time of signing")
        }
        Some(offset) => {
            let behind = offset.unsigned_abs();
            format!("the origin's clock was {behind} s behind the time of signing")
        }
        None => "the origin's clock is too far from the time of signing".to_owned(),
    };
    Diagnosis {
        clock_offset: offset,
        ..Diagnosis::new(Cause::ClockSkew, sentence)
    }
}

fn url_expired(refusal: &Rejection, sent: Option<&SignedRequest>) -> Diagnosis {
    let age = times(refusal, sent).map(|(signed, theirs)| theirs - signed);
    let sentence = match age {
        Some(age @ 0..) => format!("the presigned URL was {age} s old, and has expired"),
        Some(_) => "the presigned URL is not valid yet".to_owned(),
        None => "the presigned URL has expired, or is not valid yet".to_owned(),
    };
    Diagnosis::new(Cause::UrlExpired, sentence)
}

fn scope(refusal: &Rejection, sent: Option<&SignedRequest>) -> Diagnosis {
    if refusal.says("Date in Credential scope") || refusal.says("not scoped to the day") {
        let sentence = "the request was signed for another day than that of its x-amz-date";
        return Diagnosis::new(Cause::WrongRegion, sentence);
    }
    let host = sent.and_then(|sent| Texts::read(&sent.canonical_request)?.header("host"));
    let told = host.and_then(|host| SigningSettings::infer(host.split(':').next()?).ok());
    let told = told.as_ref();
    let (own_service, own_region) = sent.map_or(("", ""), |sent| (&*sent.service, &*sent.region));
    let of_service = ["to correct service", "to service", "incorrect service"];
    let of_service = of_service.iter().any(|words| refusal.says(words));
    let of_region = ["valid region", "valid Region", "to region", "expecting '"];
    let of_region = of_region.iter().any(|words| refusal.says(words)) || refusal.region.is_some();
    // Where the answer leaves it open, the host may tell.
    let is_service = of_service
        || !of_region
            && sent
                .zip(told)
                .is_some_and(|(sent, told)| told.service() != sent.service);
    let (cause, what, own, right) = if is_service {
        let said = refusal.quoted_after("correct service: ");
        (
            Cause::WrongService,
            "service",
            own_service,
            said.or(told.map(SigningSettings::service)),
        )
    } else {
        let said = refusal
            .region
            .as_deref()
            .or(refusal.quoted_after("expecting "));
        (
            Cause::WrongRegion,
            "region",
            own_region,
            said.or(told.map(SigningSettings::region)),
        )
    };
    // Where the origin goes by another name than its host tells, only that it is another one is known.
    let right = right.filter(|right| *right != own);
    let sentence = match (own, right) {
        (own, None) if !of_service && !of_region => {
            let scope = if own.is_empty() {
                "a scope"
            } else {
                "a service, a region or a day"
            };
            format!("the request was signed for {scope} that is not the origin's")
        }
        ("", None) => format!("the request was signed for a {what} that is not the origin's"),
        ("", Some(right)) => format!("the request was not signed for {what} {}", shown(right)),
        (own, None) => {
            format!(
                "the request was signed for {what} {}, not the origin's",
                shown(own)
            )
        }
        (own, Some(right)) => {
            format!(
                "the request was signed for {what} {}, and the origin is of {}",
                shown(own),
                shown(right)
            )
        }
    };
    Diagnosis::new(cause, sentence)
}

fn header_not_signed(refusal: &Rejection) -> Diagnosis {
    let sentence = match &refusal.headers_not_signed {
        Some(names) => {
            format!(
                "there are headers that the signature does not cover: {}",
                shown(names)
            )
        }
        None => "there is a header that the signature does not cover, and has to".to_owned(),
    };
    Diagnosis::new(Cause::HeaderNotSigned, sentence)
}
