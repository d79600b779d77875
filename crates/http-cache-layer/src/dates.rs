//! Dates (RFC 9110, section 5.6.7).

use std::time::SystemTime;

use http::{HeaderMap, HeaderName};

/// Length of the longest form: `Wednesday, 09-Nov-94 08:49:37 GMT`.
const MAX_LENGTH: usize = 33;

const WEEKDAYS: [&[u8; 3]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];

/// Returns the date in a header's first value, in one of the three forms of HTTP.
pub(crate) fn http_date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    let value = headers.get(name)?.as_bytes();
    let mut buffer = [0; MAX_LENGTH];
    let text = buffer.get_mut(..value.len())?;
    // A cache matches dates without regard to case (RFC 9111, section 4.2).
    let mut in_word = false;
    for (to, from) in text.iter_mut().zip(value) {
        *to = if in_word {
            from.to_ascii_lowercase()
        } else {
            from.to_ascii_uppercase()
        };
        in_word = from.is_ascii_alphabetic();
    }
    if let Some(zone) = text.last_chunk_mut::<3>()
        && zone == b"Gmt"
    {
        *zone = *b"GMT";
    }
    let parse = |date: &[u8]| httpdate::parse_http_date(std::str::from_utf8(date).ok()?).ok();
    parse(text).or_else(|| {
        // Some servers send a wrong name of the day, which adds nothing to the date.
        WEEKDAYS.into_iter().find_map(|day| {
            *text.first_chunk_mut::<3>()? = *day;
            parse(text)
        })
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn three_forms_are_read_in_any_case_and_no_others() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(http::header::EXPIRES, text.parse().expect("a value"));
            http_date(&headers, http::header::EXPIRES)
        };
        let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(2_544_400_878);
        for text in [
            "Thu, 18 Aug 2050 02:01:18 GMT",
            "THU, 18 aug 2050 02:01:18 gMT",
            "Thursday, 18-Aug-50 02:01:18 GMT",
            "Thu Aug 18 02:01:18 2050",
            "Wed Aug 18 02:01:18 2050",
            "Sun, 18 Aug 2050 02:01:18 GMT",
        ] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
        for text in [
            "0",
            "",
            "Foo, 31 Feb 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 PST",
            "Thu, 18 Aug 2050 02:01:18 +0000",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
