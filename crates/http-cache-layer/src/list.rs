//! Headers whose values are lists (RFC 9110, section 5.6.1).

/// Splits a value at its commas, except within quoted strings, and trims the members.
///
/// A quote without an end is an ordinary character, so that it hides no member.
pub(crate) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    Members {
        rest: Some(value),
        has_quotes: true,
    }
}

struct Members<'a> {
    rest: Option<&'a [u8]>,
    /// Cleared at a quote without an end. The rest then has no pair of quotes, and is not searched again.
    has_quotes: bool,
}

impl<'a> Iterator for Members<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let mut index = 0;
        while let Some(byte) = rest.get(index) {
            match byte {
                b',' => break,
                b'"' if self.has_quotes => match quoted_length(&rest[index..]) {
                    Some(length) => index += length,
                    None => {
                        self.has_quotes = false;
                        index += 1;
                    }
                },
                _ => index += 1,
            }
        }
        self.rest = rest.get(index + 1..);
        Some(rest[..index].trim_ascii())
    }
}

/// Returns the length of a quoted string with its quotes, or `None` if it has no end.
fn quoted_length(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (index, byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(index + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_quoted_strings_do_not_separate() {
        for (value, expected) in [
            ("a, b ,c", &["a", "b", "c"][..]),
            ("", &[""]),
            (",a,", &["", "a", ""]),
            (r#"a="b, c", d"#, &[r#"a="b, c""#, "d"]),
            (r#"a="b\", c", d"#, &[r#"a="b\", c""#, "d"]),
            (r#"a="b, no-store"#, &["a=\"b", "no-store"]),
        ] {
            let found: Vec<_> = members(value.as_bytes()).collect();
            let texts: Vec<_> = expected.iter().map(|text| text.as_bytes()).collect();
            assert_eq!(found, texts, "{value}");
        }
    }
}
