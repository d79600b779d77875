//! URLs in messages and in `--print-config`.

/// Returns a URL without its user and its query, which may contain a password or a token.
pub(super) fn redacted_url(url: &str) -> String {
    let begin = match url.split_once("://") {
        Some((scheme, _)) if is_scheme(scheme) => scheme.len() + 3,
        _ => 0, // all of it may have a password
    };
    let (scheme, rest) = url.split_at(begin);
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (base, query) = rest.split_at(end);
    if query.contains('@') {
        return format!("{scheme}[redacted]"); // a password may have these characters
    }
    let host = match base.rsplit_once('@') {
        Some((_, host)) => format!("[redacted]@{host}"),
        None => base.to_owned(),
    };
    match query.chars().next() {
        Some(mark) => format!("{scheme}{host}{mark}[redacted]"),
        None => format!("{scheme}{host}"),
    }
}

/// Returns `true` for a scheme of RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(is_valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_queries_are_redacted() {
        for (url, expected) in [
            ("https://a.example:1/b", "https://a.example:1/b"),
            ("https://me:hunter2@a/b", "https://[redacted]@a/b"),
            ("https://a/b?code=hunter2", "https://a/b?[redacted]"),
            ("https://a/b#hunter2", "https://a/b#[redacted]"),
            (
                "https://me:hunter2@a?b=hunter2",
                "https://[redacted]@a?[redacted]",
            ),
            ("https://me:hunt?er2@a", "https://[redacted]"),
            ("https://me:hunt/er2@a", "https://[redacted]@a"),
            ("me:hunter2@a", "[redacted]@a"),
            ("me:hunter2@a?b=http://c", "[redacted]@a?[redacted]"),
            ("me:hunter2://@a", "[redacted]@a"),
            ("https:me:hunter2@a/://b", "[redacted]@a/://b"),
            ("://me:hunter2@a", "[redacted]@a"),
            ("redis+tls://me:hunter2@a", "redis+tls://[redacted]@a"),
            ("", ""),
        ] {
            assert_eq!(redacted_url(url), expected, "{url}");
        }
    }
}
