//! Result of a cache lookup, parsed from the `cache-status` header (RFC 9211).

use http::HeaderMap;

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

/// Returns the index of the result in [`NAMES`], and `true` if the response is being stored.
pub(super) fn parse(response: &HeaderMap) -> (Option<usize>, bool) {
    // Caches nearer to the origin have written their values before ours.
    let last = response.get_all("cache-status").iter().next_back();
    let own = last
        .and_then(|value| value.to_str().ok()?.split_once("; "))
        .filter(|(cache, _)| *cache == "sigv4-gateway");
    let Some((_, parameters)) = own else {
        return (None, false);
    };
    let mut name = None;
    let mut stored = false;
    for parameter in parameters.split("; ") {
        match parameter {
            "stored" => stored = true,
            "collapsed" => name = Some(parameter),
            "fwd-status=304" => name = Some("revalidated"),
            "detail=stale-while-revalidate" | "detail=stale-if-error" => name = Some("hit-stale"),
            _ => name = name.or(Some(parameter.strip_prefix("fwd=").unwrap_or(parameter))),
        }
    }
    (NAMES.iter().position(|known| Some(*known) == name), stored)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn header_values_map_to_names() {
        for (value, expected, stored) in [
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
            headers.append("cache-status", HeaderValue::from_static(value));
            let (index, is_stored) = parse(&headers);
            assert_eq!(
                (index.map(|it| NAMES[it]), is_stored),
                (expected, stored),
                "{value}"
            );
        }
        assert_eq!(parse(&HeaderMap::new()), (None, false));
    }
}
