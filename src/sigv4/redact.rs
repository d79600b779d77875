//! Redaction of session tokens in canonical requests.

/// Replaces the session tokens in the headers and the query of a canonical request with `[redacted]`.
pub(crate) fn redact_session_token(canonical_request: &mut Vec<u8>) {
    const NAMES: [&[u8]; 2] = [b"x-amz-security-token", b"x-amz-s3session-token"];
    let text = &canonical_request[..];
    let mut redacted = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let begins_name = at == 0 || b"\n&".contains(&text[at - 1]);
        let name_len = NAMES
            .iter()
            .find(|name| {
                begins_name
                    && rest.len() > name.len()
                    && rest[..name.len()].eq_ignore_ascii_case(name)
            })
            .map(|name| name.len());
        let ends: &[u8] = match name_len.map(|len| rest[len]) {
            Some(b':') => b"\n",
            Some(b'=') => b"&\n",
            _ => {
                redacted.push(rest[0]);
                at += 1;
                continue;
            }
        };
        let value = name_len.unwrap_or(0) + 1;
        redacted.extend_from_slice(&rest[..value]);
        redacted.extend_from_slice(b"[redacted]");
        let end = rest[value..].iter().position(|byte| ends.contains(byte));
        at += end.map_or(rest.len(), |value_len| value + value_len);
    }
    *canonical_request = redacted;
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
