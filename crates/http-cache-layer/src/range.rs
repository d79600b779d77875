//! Range requests (RFC 9110, section 14).

use std::{ops::Range, time::Duration};

use http::{HeaderMap, header};

use crate::dates::http_date;

/// Part of a stored response that a request selects.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    Whole,
    Part(Range<u64>),
    Unsatisfiable,
}

/// Evaluates `range` and `if-range` for a complete response of this length.
///
/// Malformed ranges and lists of ranges are ignored, as section 14.2 allows.
pub(crate) fn select(stored: &HeaderMap, request: &HeaderMap, length: u64) -> Selection {
    let mut ranges = request.get_all(header::RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else {
        return Selection::Whole;
    };
    if !allows_part(stored, request) {
        return Selection::Whole;
    }
    parse(range.as_bytes(), length).unwrap_or(Selection::Whole)
}

/// Returns `true` if the client's part belongs to the stored response (section 13.1.5: a strong comparison).
fn allows_part(stored: &HeaderMap, request: &HeaderMap) -> bool {
    let Some(condition) = request.get(header::IF_RANGE) else {
        return true;
    };
    if condition.as_bytes().starts_with(b"\"") {
        return stored.get(header::ETAG) == Some(condition);
    }
    let modified = http_date(stored, header::LAST_MODIFIED);
    let date = http_date(stored, header::DATE);
    // Section 8.8.2.2: a date is strong if the response was created a second later.
    let is_strong = modified
        .zip(date)
        .is_some_and(|(change, sent)| sent >= change + Duration::from_secs(1));
    is_strong && modified == http_date(request, header::IF_RANGE)
}

fn parse(value: &[u8], length: u64) -> Option<Selection> {
    let text = std::str::from_utf8(value).ok()?;
    let (unit, range) = text.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let selected = if first.is_empty() {
        length.saturating_sub(position(last)?)..length
    } else {
        let start = position(first)?;
        let end = if last.is_empty() {
            length
        } else {
            position(last)?.saturating_add(1)
        };
        if !last.is_empty() && end <= start {
            return None;
        }
        start..end.min(length)
    };
    Some(if selected.is_empty() {
        Selection::Unsatisfiable
    } else {
        Selection::Part(selected)
    })
}

/// A number that is too large is beyond the end of every response.
fn position(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = lines.iter().map(|(name, value)| {
            let parsed = http::HeaderName::from_static(name);
            (parsed, http::HeaderValue::from_static(value))
        });
        pairs.collect()
    }

    #[test]
    fn ranges_select_a_part() {
        for (value, expected) in [
            ("bytes=0-1", Selection::Part(0..2)),
            ("Bytes=0-1", Selection::Part(0..2)),
            ("bytes=1-", Selection::Part(1..10)),
            ("bytes=-3", Selection::Part(7..10)),
            ("bytes=-30", Selection::Part(0..10)),
            ("bytes=5-99", Selection::Part(5..10)),
            ("bytes=5-99999999999999999999", Selection::Part(5..10)),
            ("bytes=10-", Selection::Unsatisfiable),
            ("bytes=-0", Selection::Unsatisfiable),
            ("bytes=99999999999999999999-", Selection::Unsatisfiable),
            ("bytes=2-1", Selection::Whole),
            ("bytes=0-1,3-4", Selection::Whole),
            ("bytes=-", Selection::Whole),
            ("bytes=a-b", Selection::Whole),
            ("bytes=+1-2", Selection::Whole),
            ("items=0-1", Selection::Whole),
            ("bytes", Selection::Whole),
        ] {
            let found = select(&HeaderMap::new(), &headers(&[("range", value)]), 10);
            assert_eq!(found, expected, "{value}");
        }
        let empty = select(&HeaderMap::new(), &headers(&[("range", "bytes=0-")]), 0);
        assert_eq!(empty, Selection::Unsatisfiable);
    }

    #[test]
    fn if_range_compares_strongly() {
        const DATE: &str = "Tue, 15 Nov 1994 12:45:26 GMT";
        const LATER: &str = "Tue, 15 Nov 1994 12:45:27 GMT";
        for (stored, condition, is_part) in [
            (("etag", "\"a\""), "\"a\"", true),
            (("etag", "\"a\""), "\"b\"", false),
            (("etag", "W/\"a\""), "W/\"a\"", false),
            (("last-modified", DATE), DATE, true),
            (("last-modified", DATE), LATER, false),
            (("last-modified", LATER), LATER, false),
            (("etag", "\"a\""), DATE, false),
        ] {
            let own = headers(&[stored, ("date", LATER)]);
            let request = headers(&[("range", "bytes=0-0"), ("if-range", condition)]);
            let expected = if is_part {
                Selection::Part(0..1)
            } else {
                Selection::Whole
            };
            assert_eq!(
                select(&own, &request, 10),
                expected,
                "{stored:?} {condition}"
            );
        }
    }
}
