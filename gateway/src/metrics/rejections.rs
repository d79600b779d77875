//! The last refusals, for the status page: of callers by the gateway, and of the gateway by origins.

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
    doctor::{Cause, Diagnosis},
    verify::{Rejection, RejectionKind},
};

/// How many of each are kept, and how many a second are looked at: a flood costs no more than to be counted.
const KEPT: usize = 20;
const LOOKED_AT: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
/// What one text may measure, in characters; most of a canonical request is told by its beginning.
const LONGEST: usize = 600;
const LONGEST_CANONICAL: usize = 4000;
const MOST_DIFFERENCES: usize = 10;

#[derive(Default)]
pub(crate) struct Refused {
    callers: Recent,
    origins: Recent,
}

impl Refused {
    /// A caller was refused.
    pub(crate) fn caller(&self, labels: &[String; 2], kind: &str, rejection: &Rejection) {
        self.callers.add(|| {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            Entry {
                canonical: rejection
                    .canonical_request()
                    .map(|bytes| without_values(&text(bytes))),
                string_to_sign: rejection.string_to_sign().map(|bytes| short(&text(bytes))),
                ..Entry::new(
                    labels,
                    kind,
                    &rejection.to_string(),
                    remedy(rejection.kind()),
                )
            }
        });
    }

    /// An origin has refused what the gateway has signed.
    pub(crate) fn origin(&self, labels: &[String; 2], diagnosis: &Diagnosis) {
        self.origins.add(|| {
            let differences = diagnosis.differences().iter().take(MOST_DIFFERENCES);
            let differences = differences.map(|difference| Differs {
                part: short(&difference.part),
                signed: short(&difference.signed),
                derived: short(&difference.derived),
            });
            let (name, sentence) = (diagnosis.cause().name(), diagnosis.summary());
            Entry {
                differences: differences.collect(),
                ..Entry::new(labels, name, sentence, diagnosis.remedy())
            }
        });
    }

    /// Grows once there is more to be told.
    pub(crate) fn version(&self) -> u64 {
        self.callers.version.load(Ordering::Acquire) + self.origins.version.load(Ordering::Acquire)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::json!({ "callers": self.callers.json(), "origins": self.origins.json() })
    }
}

struct Recent {
    total: AtomicU64,
    version: AtomicU64,
    limiter: DefaultDirectRateLimiter,
    /// The newest first.
    kept: Mutex<VecDeque<Entry>>,
}

impl Default for Recent {
    fn default() -> Self {
        let limiter = RateLimiter::direct(Quota::per_second(LOOKED_AT));
        let (total, version) = (AtomicU64::new(0), AtomicU64::new(0));
        Self {
            total,
            version,
            limiter,
            kept: Mutex::default(),
        }
    }
}

impl Recent {
    fn add(&self, refusal: impl FnOnce() -> Entry) {
        let number = self.total.fetch_add(1, Ordering::Relaxed) + 1;
        if self.limiter.check().is_ok() {
            let refusal = Entry {
                number,
                ..refusal()
            };
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.truncate(KEPT - 1);
            kept.push_front(refusal);
        }
        self.version.fetch_add(1, Ordering::Release);
    }

    fn json(&self) -> serde_json::Value {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::json!({ "total": self.total.load(Ordering::Relaxed), "recent": *kept })
    }
}

#[derive(Serialize)]
struct Entry {
    number: u64,
    /// In milliseconds since the epoch.
    at: u64,
    route: String,
    origin: String,
    kind: String,
    sentence: String,
    remedy: &'static str,
    differences: Vec<Differs>,
    /// As the gateway derived it, where `explain` is on.
    canonical: Option<String>,
    string_to_sign: Option<String>,
}

#[derive(Serialize)]
struct Differs {
    part: String,
    signed: String,
    derived: String,
}

impl Entry {
    fn new(
        [route, origin]: &[String; 2],
        kind: &str,
        sentence: &str,
        remedy: &'static str,
    ) -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            number: 0,
            at: since.as_millis() as u64,
            route: short(route),
            origin: short(origin),
            kind: kind.to_owned(),
            sentence: short(sentence),
            remedy,
            differences: Vec::new(),
            canonical: None,
            string_to_sign: None,
        }
    }
}

fn short(text: &str) -> String {
    cut(text, LONGEST)
}

fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

/// A canonical request with the values alone that are never secret; of others the length.
fn without_values(canonical: &str) -> String {
    const OPEN: [&str; 6] = [
        "host",
        "content-type",
        "content-length",
        "x-amz-date",
        "x-amz-content-sha256",
        "range",
    ];
    let hidden = |text: &str| format!("({} bytes)", text.len());
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) if !value.is_empty() => format!("{name}={}", hidden(value)),
        _ => hidden(pair),
    };
    let mut in_headers = true;
    let line = |(number, line): (usize, &str)| match (number, line.split_once(':')) {
        (2, _) if !line.is_empty() => line.split('&').map(pair).collect::<Vec<_>>().join("&"),
        (3.., None) => {
            in_headers = false;
            line.to_owned()
        }
        (3.., Some((name, value))) if in_headers && !OPEN.contains(&name) => {
            format!("{name}:{}", hidden(value))
        }
        _ => line.to_owned(),
    };
    let lines: Vec<_> = canonical.split('\n').enumerate().map(line).collect();
    cut(&lines.join("\n"), LONGEST_CANONICAL)
}

/// What the caller, or whoever runs the gateway, can do about it.
fn remedy(kind: RejectionKind) -> &'static str {
    use RejectionKind as Kind;
    let cause = match kind {
        Kind::MissingAuthentication => Cause::NotSigned,
        Kind::MultipleAuthentications | Kind::UnsupportedAlgorithm | Kind::Malformed => {
            Cause::AuthorizationChanged
        }
        Kind::Scope => {
            return "sign for the service and the region that [verify] names, on the day of x-amz-date";
        }
        Kind::Date => {
            return "send x-amz-date in the form 20150830T123600Z, or a date such as Sun, 30 Aug 2015 12:36:00 GMT, \
                    and sign it";
        }
        Kind::Expired | Kind::NotYetValid => Cause::ClockSkew,
        Kind::Target => {
            return "send a path that can be read in one way alone: no encoded slash, percent or backslash; and at most \
                    4096 parameters in the query";
        }
        Kind::HeaderNotSigned => {
            return "sign it, or let nothing behind the signer add it; what something in front of the gateway adds \
                    belongs into unsigned_headers under [verify]";
        }
        Kind::SignedHeaderMissing => Cause::HeaderDropped,
        Kind::PayloadHash => Cause::PayloadKind,
        Kind::PayloadKind => {
            return "have the payload hashed and its hash sent; presigned_uploads and unsigned_payload under [verify] \
                    accept other payloads";
        }
        Kind::PayloadMismatch => Cause::BodyChanged,
        Kind::UnknownKey => {
            return "have the caller use a key that [verify] names, or add theirs as a [[verify.key]]";
        }
        Kind::ExpiredKey => Cause::TokenExpired,
        Kind::SessionToken => Cause::WrongToken,
        Kind::SignatureMismatch => {
            return "paste what the caller sent, and was answered, into the workbench; with explain = true under \
                    [verify] the answer says what was derived";
        }
        Kind::LookupFailed => return "see the gateway's log",
        Kind::BodyTooLarge => return "send less, or raise body_limit of the origin or the route",
        Kind::BudgetExhausted => return "come back later, or raise memory under [bodies]",
        Kind::BodyRead => return "send the whole body; the connection may have broken off",
        _ => return "see the gateway's log",
    };
    cause.remedy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_no_more_than_a_few_are_kept() {
        let recent = Recent::default();
        let labels = ["/".to_owned(), "o".to_owned()];
        let mut made = 0;
        for _ in 0..10_000 {
            recent.add(|| {
                made += 1;
                Entry::new(&labels, "kind", &"x".repeat(10_000), "remedy")
            });
        }
        assert!((20..2_000).contains(&made), "{made}");
        let json = recent.json();
        assert_eq!(json["total"], 10_000);
        let kept = json["recent"].as_array().expect("a list");
        assert_eq!(kept.len(), KEPT);
        assert!(
            kept[0]["number"].as_u64() > kept[1]["number"].as_u64(),
            "the newest first"
        );
        assert_eq!(
            kept[0]["sentence"].as_str().map(str::len),
            Some(LONGEST + 3)
        );
    }

    #[test]
    fn a_canonical_request_shows_no_value_that_may_be_secret() {
        let canonical = "GET\n/a:b\nX-Amz-Security-Token=T0KEN&a=secret&flag\nhost:h\nx-api-key:secret\n\
                         x-amz-security-token:T0KEN\n\nhost;x-api-key\nabc";
        let shown = "GET\n/a:b\nX-Amz-Security-Token=(5 bytes)&a=(6 bytes)&(4 bytes)\nhost:h\n\
                     x-api-key:(6 bytes)\nx-amz-security-token:(5 bytes)\n\nhost;x-api-key\nabc";
        assert_eq!(without_values(canonical), shown);
        assert_eq!(
            without_values("GET\n/\n\nhost:h\n\nhost\nabc"),
            "GET\n/\n\nhost:h\n\nhost\nabc"
        );
        assert!(without_values(&"é\n".repeat(10_000)).len() < 3 * LONGEST_CANONICAL);
    }
}
