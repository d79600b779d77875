//! What the cache did, read from `cache-status` (RFC 9211).

use http::{HeaderMap, HeaderValue};

/// `hit-stale` was answered by what is stale, `stale` by the origin's new answer in its place.
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

/// The place among the names, and whether the answer is to be stored.
pub(super) fn of(answer: &HeaderMap) -> (Option<usize>, bool) {
    // Caches before this one, which are nearer to the origin, have added theirs before.
    let own = answer
        .get_all("cache-status")
        .iter()
        .next_back()
        .map(HeaderValue::to_str);
    let Some(("sigv4-gateway", said)) = own.and_then(Result::ok).and_then(|it| it.split_once("; "))
    else {
        return (None, false);
    };
    let (mut name, mut stored) = (None, false);
    for part in said.split("; ") {
        match part {
            "stored" => stored = true,
            "collapsed" => name = Some(part),
            "fwd-status=304" => name = Some("revalidated"),
            "detail=stale-while-revalidate" | "detail=stale-if-error" => name = Some("hit-stale"),
            _ => name = name.or(Some(part.strip_prefix("fwd=").unwrap_or(part))),
        }
    }
    (NAMES.iter().position(|known| Some(*known) == name), stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_one_outcome() {
        for (said, expected, stored) in [
            ("sigv4-gateway; hit", Some("hit"), false),
            (
                "sigv4-gateway; hit; ttl=-3; detail=stale-while-revalidate",
                Some("hit-stale"),
                false,
            ),
            (
                "sigv4-gateway; fwd=stale; detail=stale-if-error",
                Some("hit-stale"),
                false,
            ),
            (
                "sigv4-gateway; fwd=stale; fwd-status=304",
                Some("revalidated"),
                false,
            ),
            (
                "sigv4-gateway; fwd=uri-miss; collapsed",
                Some("collapsed"),
                false,
            ),
            (
                "sigv4-gateway; fwd=uri-miss; stored",
                Some("uri-miss"),
                true,
            ),
            ("sigv4-gateway; fwd=vary-miss", Some("vary-miss"), false),
            ("sigv4-gateway; fwd=stale; stored", Some("stale"), true),
            ("sigv4-gateway; fwd=request", Some("request"), false),
            ("sigv4-gateway; fwd=method", Some("method"), false),
            ("sigv4-gateway; fwd=bypass", Some("bypass"), false),
            ("sigv4-gateway; made-up", None, false),
            ("another; hit", None, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(
                "cache-status",
                HeaderValue::from_static("another; fwd=miss"),
            );
            headers.append("cache-status", HeaderValue::from_static(said));
            let (outcome, is_stored) = of(&headers);
            assert_eq!(
                (outcome.map(|it| NAMES[it]), is_stored),
                (expected, stored),
                "{said}"
            );
        }
        assert_eq!(of(&HeaderMap::new()), (None, false));
    }
}
