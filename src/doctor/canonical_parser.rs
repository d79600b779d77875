//! A canonical request, taken apart again.

use crate::sigv4::redact::redact_session_token;

/// What stands in a canonical request, line by line.
#[derive(Debug, PartialEq)]
pub(super) struct Texts<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    /// Names and values, in order.
    pub(super) headers: Vec<(&'a str, &'a str)>,
    pub(super) signed_headers: &'a str,
    pub(super) payload: &'a str,
}

impl<'a> Texts<'a> {
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let lines: Vec<_> = text
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
        let headers = headers
            .iter()
            .filter_map(|line| line.split_once(':'))
            .collect();
        Some(Self {
            method,
            path,
            query,
            headers,
            signed_headers,
            payload,
        })
    }

    pub(super) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    }
}

/// A canonical request that may be shown.
pub(super) fn without_token(canonical_request: &str) -> String {
    let mut bytes = canonical_request.as_bytes().to_vec();
    redact_session_token(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The parameters of a canonical query.
pub(super) fn pairs(query: &str) -> Vec<(&str, &str)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canonical_request_falls_into_its_parts() {
        let text = "GET\n/\na=1\nhost:h\nx-amz-date:d:1\n\nhost;x-amz-date\nabc";
        let texts = Texts::read(text).expect("whole");
        assert_eq!(texts.headers, [("host", "h"), ("x-amz-date", "d:1")]);
        assert_eq!(
            (texts.header("x-amz-date"), texts.header("x")),
            (Some("d:1"), None)
        );
        assert_eq!(
            (texts.signed_headers, texts.payload),
            ("host;x-amz-date", "abc")
        );
        assert_eq!(Texts::read(&text.replace('\n', "\r\n")), Texts::read(text));
        for broken in [
            "",
            "GET\n/\n\nhost:h",
            "GET\n/\n\nhost:h\nhost\nabc",
            "\n\n",
        ] {
            assert_eq!(Texts::read(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn a_query_falls_into_its_pairs() {
        assert_eq!(
            pairs("a=1&b&=&c=d=e"),
            [("a", "1"), ("b", ""), ("", ""), ("c", "d=e")]
        );
        assert!(pairs("").is_empty());
    }
}
