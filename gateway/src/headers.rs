//! Edits of headers.

use http::{HeaderMap, HeaderName, header};

/// Removes the headers whose names match.
pub(crate) fn remove_where(headers: &mut HeaderMap, matches: impl Fn(&HeaderName) -> bool) {
    let names: Vec<_> = headers
        .keys()
        .filter(|name| matches(name))
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
}

/// Writes a list of equal lengths, or one with leading zeros, as one number (RFC 9110, section 8.6). Returns `None` if
/// the lengths differ or are not numbers.
pub(crate) fn normalize_length(headers: &mut HeaderMap) -> Option<()> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    if let (Some(only), None) = (values.next(), values.next())
        && is_length(only.as_bytes())
    {
        return Some(());
    }
    let mut lengths = headers
        .get_all(header::CONTENT_LENGTH)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|length| {
            let digits = length.trim_ascii();
            let is_number = digits.iter().all(u8::is_ascii_digit);
            str::from_utf8(digits)
                .ok()
                .filter(|_| is_number)?
                .parse::<i64>()
                .ok()
        });
    let Some(first) = lengths.next() else {
        return Some(());
    };
    let length = first.filter(|_| lengths.all(|other| other == first))?;
    headers.insert(header::CONTENT_LENGTH, length.into());
    Some(())
}

/// Other servers read a zero-padded length as octal, and overflow from 2^63 on.
pub(crate) fn is_length(digits: &[u8]) -> bool {
    let parsed = str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse::<i64>().ok());
    parsed.is_some_and(|_| digits.iter().all(u8::is_ascii_digit))
        && (digits.len() == 1 || digits[0] != b'0')
}
