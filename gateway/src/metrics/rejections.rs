//! Recent rejections for the status page: callers rejected by the gateway, and signatures rejected by origins.

use std::{
    collections::VecDeque,
    num::NonZeroU32,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde::Serialize;
use tower_sigv4::{
    doctor::{self, Cause, Diagnosis},
    verify::{Rejection, RejectionKind},
};

use crate::{authentication::CallerRejection, explain::remedies, setting_names::setting_name};

const MAX_ENTRIES: usize = 20;
/// Rejections beyond this rate are only counted, which keeps a flood cheap.
const MAX_PER_SECOND: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
/// Characters.
const MAX_TEXT_LEN: usize = 600;
/// Characters.
const MAX_CANONICAL_LEN: usize = 4000;
const MAX_DIFFERENCES: usize = 10;

#[derive(Default)]
pub(crate) struct RecentRejections {
    callers: Recent,
    origins: Recent,
}

impl RecentRejections {
    /// Adds a caller that the gateway rejected.
    pub(crate) fn add_caller(&self, labels: &[String; 2], kind: &str, rejection: &Rejection) {
        self.callers.add(|| {
            let canonical = rejection.canonical_request().map(String::from_utf8_lossy);
            let to_sign = rejection.string_to_sign().map(String::from_utf8_lossy);
            let message = rejection.message_with(setting_name);
            Entry {
                canonical: canonical.as_deref().map(mask_values),
                string_to_sign: to_sign.as_deref().map(shorten),
                ..Entry::new(labels, kind, &message, remedies(rejection.kind()))
            }
        });
    }

    /// Adds a caller whose token or other credential the gateway rejected.
    pub(crate) fn add_credential(&self, labels: &[String; 2], rejection: &CallerRejection) {
        self.callers.add(|| {
            Entry::new(
                labels,
                &rejection.kind,
                &rejection.message,
                &[rejection.remedy],
            )
        });
    }

    /// Adds a signature of the gateway that an origin rejected.
    pub(crate) fn add_origin(&self, labels: &[String; 2], diagnosis: &Diagnosis) {
        self.origins.add(|| {
            let shortened = |difference: &doctor::Difference| Difference {
                part: shorten(&difference.part),
                signed: shorten(&difference.signed),
                derived: shorten(&difference.derived),
            };
            let differences = diagnosis.differences().iter().take(MAX_DIFFERENCES);
            let cause = diagnosis.cause().name();
            Entry {
                differences: differences.map(shortened).collect(),
                ..Entry::new(
                    labels,
                    cause,
                    diagnosis.summary(),
                    remedies::for_diagnosis(diagnosis),
                )
            }
        });
    }

    /// Grows with each rejection.
    pub(crate) fn version(&self) -> u64 {
        self.callers.version.load(Ordering::Acquire) + self.origins.version.load(Ordering::Acquire)
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "callers": self.callers.to_json(), "origins": self.origins.to_json() })
    }
}

struct Recent {
    total: AtomicU64,
    version: AtomicU64,
    limiter: DefaultDirectRateLimiter,
    /// Newest first.
    entries: Mutex<VecDeque<Entry>>,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            total: AtomicU64::new(0),
            version: AtomicU64::new(0),
            limiter: RateLimiter::direct(Quota::per_second(MAX_PER_SECOND)),
            entries: Mutex::default(),
        }
    }
}

impl Recent {
    fn add(&self, entry: impl FnOnce() -> Entry) {
        let number = self.total.fetch_add(1, Ordering::Relaxed) + 1;
        if self.limiter.check().is_ok() {
            let numbered = Entry { number, ..entry() };
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            entries.truncate(MAX_ENTRIES - 1);
            entries.push_front(numbered);
        }
        self.version.fetch_add(1, Ordering::Release);
    }

    fn to_json(&self) -> serde_json::Value {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::json!({ "total": self.total.load(Ordering::Relaxed), "recent": *entries })
    }
}

#[derive(Serialize)]
struct Entry {
    number: u64,
    /// Milliseconds since the epoch.
    at: u64,
    route: String,
    origin: String,
    kind: String,
    summary: String,
    remedies: Vec<&'static str>,
    differences: Vec<Difference>,
    /// The gateway's canonical request, if `explain` is on.
    canonical: Option<String>,
    string_to_sign: Option<String>,
}

#[derive(Serialize)]
struct Difference {
    part: String,
    signed: String,
    derived: String,
}

impl Entry {
    fn new(
        [route, origin]: &[String; 2],
        kind: &str,
        summary: &str,
        remedies: &[&'static str],
    ) -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            number: 0,
            at: since.as_millis() as u64,
            route: shorten(route),
            origin: shorten(origin),
            kind: kind.to_owned(),
            summary: shorten(summary),
            remedies: remedies.to_vec(),
            differences: Vec::new(),
            canonical: None,
            string_to_sign: None,
        }
    }
}

fn shorten(text: &str) -> String {
    truncate(text, MAX_TEXT_LEN)
}

fn truncate(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

/// Replaces values that may be secret by their length.
fn mask_values(canonical: &str) -> String {
    const PUBLIC_HEADERS: [&str; 6] = [
        "host",
        "content-type",
        "content-length",
        "x-amz-date",
        "x-amz-content-sha256",
        "range",
    ];
    let mask = |value: &str| format!("({} bytes)", value.len());
    let mask_pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) if !value.is_empty() => format!("{name}={}", mask(value)),
        _ => mask(pair),
    };
    let mut in_headers = true;
    let line = |(number, line): (usize, &str)| match (number, line.split_once(':')) {
        (2, _) if !line.is_empty() => line.split('&').map(mask_pair).collect::<Vec<_>>().join("&"),
        (3.., None) => {
            in_headers = false;
            line.to_owned()
        }
        (3.., Some((name, value))) if in_headers && !PUBLIC_HEADERS.contains(&name) => {
            format!("{name}:{}", mask(value))
        }
        _ => line.to_owned(),
    };
    let lines: Vec<_> = canonical.split('\n').enumerate().map(line).collect();
    truncate(&lines.join("\n"), MAX_CANONICAL_LEN)
}

/// Returns advice for the caller or for the operator of the gateway.
fn remedies(kind: RejectionKind) -> &'static [&'static str] {
    use RejectionKind as Kind;

    let cause = match kind {
        Kind::MissingAuthentication => Cause::NotSigned,
        Kind::MultipleAuthentications | Kind::UnsupportedAlgorithm | Kind::Malformed => {
            Cause::AuthorizationChanged
        }
        Kind::Scope => {
            return &["sign for the service and region in [verify], on the day of x-amz-date"];
        }
        Kind::Date => {
            return &[
                "send x-amz-date in the form 20150830T123600Z, or a date such as Sun, 30 Aug 2015 12:36:00 GMT, and sign it",
            ];
        }
        Kind::Expired | Kind::NotYetValid => Cause::ClockSkew,
        Kind::Target => {
            return &[
                "send an unambiguous path, without encoded slashes, percent signs or backslashes, and at most 4096 query parameters",
            ];
        }
        Kind::HeaderNotSigned => {
            return &[
                "sign the header, or do not add it after signing; if a proxy in front of the gateway adds it, list it in unsigned_headers under [verify]",
                "required_headers = [] under [verify] accepts an unsigned content-type",
            ];
        }
        Kind::SignedHeaderMissing => Cause::HeaderDropped,
        Kind::PayloadHash => Cause::PayloadKind,
        Kind::PayloadKind => {
            return &[
                "sign and send the hash of the payload, or accept other payloads with presigned_uploads or unsigned_payload under [verify]",
            ];
        }
        Kind::PayloadMismatch => Cause::BodyChanged,
        Kind::UnknownKey => {
            return &["use a key listed in [verify], or add the caller's key as a [[verify.key]]"];
        }
        Kind::LookupFailed => {
            return &[
                "check that the gateway reaches the url of [verify.keys_endpoint]",
                "see the error in the log",
            ];
        }
        Kind::ExpiredKey => Cause::TokenExpired,
        Kind::SessionToken => Cause::WrongToken,
        Kind::SignatureMismatch => {
            return &[
                "paste the caller's request and the response into the workbench",
                "set explain = true under [verify], so that the response includes the derived canonical request",
            ];
        }
        Kind::BodyTooLarge => {
            return &["send a smaller body, or raise body_limit of the origin or the route"];
        }
        Kind::BodyTooSmall => {
            return &["send a larger file, or lower content-length-range of its policy"];
        }
        Kind::BudgetExhausted => return &["retry later, or raise memory under [bodies]"],
        Kind::BodyRead => {
            return &[
                "send the whole body",
                "look for a connection that breaks off",
            ];
        }
        _ => return &["see the gateway's log"],
    };
    remedies::of(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floods_are_counted_and_few_entries_are_stored() {
        let recent = Recent::default();
        let labels = ["/".to_owned(), "o".to_owned()];
        let mut made = 0;
        for _ in 0..10_000 {
            recent.add(|| {
                made += 1;
                Entry::new(&labels, "kind", &"x".repeat(10_000), &["remedy"])
            });
        }
        assert!((20..2_000).contains(&made), "{made}");
        let json = recent.to_json();
        assert_eq!(json["total"], 10_000);
        let entries = json["recent"].as_array().expect("array");
        assert_eq!(entries.len(), MAX_ENTRIES);
        assert!(
            entries[0]["number"].as_u64() > entries[1]["number"].as_u64(),
            "newest first"
        );
        assert_eq!(
            entries[0]["summary"].as_str().map(str::len),
            Some(MAX_TEXT_LEN + 3)
        );
    }

    #[test]
    fn possibly_secret_values_are_masked() {
        let canonical = "GET\n/a:b\nX-Amz-Security-Token=T0KEN&a=secret&flag\nhost:h\nx-api-key:secret\n\
                         x-amz-security-token:T0KEN\n\nhost;x-api-key\nabc";
        let masked = "GET\n/a:b\nX-Amz-Security-Token=(5 bytes)&a=(6 bytes)&(4 bytes)\nhost:h\n\
                     x-api-key:(6 bytes)\nx-amz-security-token:(5 bytes)\n\nhost;x-api-key\nabc";
        assert_eq!(mask_values(canonical), masked);
        assert_eq!(
            mask_values("GET\n/\n\nhost:h\n\nhost\nabc"),
            "GET\n/\n\nhost:h\n\nhost\nabc"
        );
        assert!(mask_values(&"é\n".repeat(10_000)).len() < 3 * MAX_CANONICAL_LEN);
    }
}
