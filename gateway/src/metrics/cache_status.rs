//! Names of the cache's results.
//!
//! They come from the extensions of the response. An origin can forge the header `cache-status`.

use http_cache_layer::{CacheStatus, ForwardReason, StoreOutcome};

/// `hit-stale` is a hit of a stale entry; `stale` is an entry replaced by the origin's new response.
pub(super) const NAMES: [&str; 10] = [
    "hit",
    "hit-stale",
    "revalidated",
    "collapsed",
    "uri-miss",
    "vary-miss",
    "stale",
    "request",
    "method",
    "bypass",
];

/// Reasons for which a response to a cacheable request is not stored.
pub(super) const REASONS: [&str; 5] = [
    "not-storable",
    "too-large",
    "no-memory",
    "changed",
    "incomplete",
];

/// Returns the index of the result in [`NAMES`]. A result that the names do not have yet is not counted.
pub(super) fn index(status: CacheStatus) -> Option<usize> {
    let name = match status {
        CacheStatus::Hit => "hit",
        CacheStatus::MaxStale(_)
        | CacheStatus::StaleWhileRevalidate(_)
        | CacheStatus::StaleIfError(_) => "hit-stale",
        CacheStatus::Revalidated(_) => "revalidated",
        CacheStatus::Collapsed(_) => "collapsed",
        CacheStatus::Stored(reason) | CacheStatus::Forwarded(reason) => forwarded(reason)?,
        _ => return None,
    };
    NAMES.iter().position(|known| *known == name)
}

/// Returns the names of RFC 9211, section 2.2.
fn forwarded(reason: ForwardReason) -> Option<&'static str> {
    Some(match reason {
        ForwardReason::UriMiss => "uri-miss",
        ForwardReason::VaryMiss => "vary-miss",
        ForwardReason::Stale => "stale",
        ForwardReason::Request => "request",
        ForwardReason::Method => "method",
        ForwardReason::Bypass => "bypass",
        _ => return None,
    })
}

/// Returns the index of the reason in [`REASONS`], or `None` for a response that goes to the store.
pub(super) fn reason(outcome: StoreOutcome) -> Option<usize> {
    let name = match outcome {
        StoreOutcome::NotStorable => "not-storable",
        StoreOutcome::TooLarge => "too-large",
        StoreOutcome::NoMemory => "no-memory",
        StoreOutcome::Changed => "changed",
        StoreOutcome::Incomplete => "incomplete",
        _ => return None,
    };
    REASONS.iter().position(|known| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_have_names() {
        use ForwardReason::{Bypass, Method, Request, Stale, UriMiss, VaryMiss};
        for (status, name) in [
            (CacheStatus::Hit, "hit"),
            (CacheStatus::MaxStale(3), "hit-stale"),
            (CacheStatus::StaleWhileRevalidate(3), "hit-stale"),
            (CacheStatus::StaleIfError(Stale), "hit-stale"),
            (CacheStatus::Revalidated(Stale), "revalidated"),
            (CacheStatus::Collapsed(UriMiss), "collapsed"),
            (CacheStatus::Stored(UriMiss), "uri-miss"),
            (CacheStatus::Stored(Stale), "stale"),
            (CacheStatus::Forwarded(VaryMiss), "vary-miss"),
            (CacheStatus::Forwarded(Request), "request"),
            (CacheStatus::Forwarded(Method), "method"),
            (CacheStatus::Forwarded(Bypass), "bypass"),
        ] {
            assert_eq!(index(status).map(|it| NAMES[it]), Some(name), "{status}");
        }
    }

    #[test]
    fn responses_that_are_not_stored_have_a_reason() {
        for (outcome, name) in [
            (StoreOutcome::Stored(1), None),
            (StoreOutcome::NotStorable, Some("not-storable")),
            (StoreOutcome::TooLarge, Some("too-large")),
            (StoreOutcome::NoMemory, Some("no-memory")),
            (StoreOutcome::Changed, Some("changed")),
            (StoreOutcome::Incomplete, Some("incomplete")),
        ] {
            assert_eq!(reason(outcome).map(|it| REASONS[it]), name, "{outcome:?}");
        }
    }
}
