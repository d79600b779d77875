//! Redaction of session tokens in canonical requests.

use super::signed_headers::is_session_token;

/// Replaces the session tokens in the headers and the query of a canonical request with `[redacted]`.
pub(crate) fn redact_session_token(canonical_request: &mut Vec<u8>) {
    let redact_query = |line: &[u8]| {
        let pairs = line.split(|&byte| byte == b'&');
        let redacted = pairs.map(|pair| redact(pair, b'=').unwrap_or_else(|| pair.to_vec()));
        redacted.collect::<Vec<_>>().join(&b'&')
    };
    let lines = canonical_request.split(|&byte| byte == b'\n');
    let redacted = lines.map(|line| redact(line, b':').unwrap_or_else(|| redact_query(line)));
    *canonical_request = redacted.collect::<Vec<_>>().join(&b'\n');
}

/// Redacts the value after `separator` if the name before it is that of a session token.
fn redact(field: &[u8], separator: u8) -> Option<Vec<u8>> {
    let end = field.iter().position(|&byte| byte == separator)?;
    let name = str::from_utf8(&field[..end]).ok()?;
    is_session_token(&name.to_ascii_lowercase()).then(|| [&field[..=end], b"[redacted]"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_tokens_are_redacted() {
        for (text, redacted) in [
            ("GET\n/\n\nhost:h\n", "GET\n/\n\nhost:h\n"),
            (
                "GET\n/\n\nx-amz-security-token:to\tken\n\nhost",
                "GET\n/\n\nx-amz-security-token:[redacted]\n\nhost",
            ),
            (
                "GET\n/\nX-Amz-Security-Token=a%2F&a=1\nhost:h",
                "GET\n/\nX-Amz-Security-Token=[redacted]&a=1\nhost:h",
            ),
            (
                "GET\n/\nX-Amz-Security-Token=a\nh",
                "GET\n/\nX-Amz-Security-Token=[redacted]\nh",
            ),
            (
                "GET\n/\nA-X-Amz-Security-Token=1&X-Amz-Security-Token=a\nh",
                "GET\n/\nA-X-Amz-Security-Token=1&X-Amz-Security-Token=[redacted]\nh",
            ),
            (
                "GET\n/\n\nx-amz-s3session-token:token",
                "GET\n/\n\nx-amz-s3session-token:[redacted]",
            ),
            (
                "GET\n/\n\nx-amz-security-token",
                "GET\n/\n\nx-amz-security-token",
            ),
            (
                "GET\n/\n\nx-amz-security-token:",
                "GET\n/\n\nx-amz-security-token:[redacted]",
            ),
            (
                "GET\n/\nx-amz-security-token=a&X-Amz-Security-Token=b\nx-amz-security-token:c&d\n",
                "GET\n/\nx-amz-security-token=[redacted]&X-Amz-Security-Token=[redacted]\n\
                 x-amz-security-token:[redacted]\n",
            ),
        ] {
            let mut bytes = text.as_bytes().to_vec();
            redact_session_token(&mut bytes);
            assert_eq!(String::from_utf8_lossy(&bytes), redacted);
        }
    }
}
