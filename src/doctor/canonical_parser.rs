//! Parser for canonical requests.

use crate::sigv4::redact::redact_session_token;

/// Parts of a canonical request.
#[derive(Debug, PartialEq)]
pub(super) struct CanonicalParts<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    /// Names and values, in order.
    pub(super) headers: Vec<(&'a str, &'a str)>,
    pub(super) signed_headers: &'a str,
    pub(super) payload: &'a str,
}

impl<'a> CanonicalParts<'a> {
    pub(super) fn parse(canonical_request: &'a str) -> Option<Self> {
        let lines: Vec<_> = canonical_request
            .split('\n')
            .map(|line| line.trim_end_matches('\r'))
            .collect();
        let [
            method,
            path,
            query,
            headers @ ..,
            "",
            signed_headers,
            payload,
        ] = &lines[..]
        else {
            return None;
        };
        Some(Self {
            method,
            path,
            query,
            headers: headers
                .iter()
                .filter_map(|line| line.split_once(':'))
                .collect(),
            signed_headers,
            payload,
        })
    }

    pub(super) fn header(&self, name: &str) -> Option<&'a str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    }
}

/// Returns a canonical request without its session token.
pub(super) fn redacted(canonical_request: &str) -> String {
    let mut bytes = canonical_request.as_bytes().to_vec();
    redact_session_token(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the parameters of a canonical query.
pub(super) fn query_pairs(query: &str) -> Vec<(&str, &str)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_requests_are_parsed() {
        let text = "GET\n/\na=1\nhost:h\nx-amz-date:d:1\n\nhost;x-amz-date\nabc";
        let parts = CanonicalParts::parse(text).expect("valid");
        assert_eq!(parts.headers, [("host", "h"), ("x-amz-date", "d:1")]);
        assert_eq!(
            (parts.header("x-amz-date"), parts.header("x")),
            (Some("d:1"), None)
        );
        assert_eq!(
            (parts.signed_headers, parts.payload),
            ("host;x-amz-date", "abc")
        );
        let with_crlf = text.replace('\n', "\r\n");
        assert_eq!(
            CanonicalParts::parse(&with_crlf),
            CanonicalParts::parse(text)
        );
        for malformed in [
            "",
            "GET\n/\n\nhost:h",
            "GET\n/\n\nhost:h\nhost\nabc",
            "\n\n",
        ] {
            assert_eq!(CanonicalParts::parse(malformed), None, "{malformed:?}");
        }
    }

    #[test]
    fn queries_are_split_into_pairs() {
        assert_eq!(
            query_pairs("a=1&b&=&c=d=e"),
            [("a", "1"), ("b", ""), ("", ""), ("c", "d=e")]
        );
        assert!(query_pairs("").is_empty());
    }
}
