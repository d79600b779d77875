//! Parses string literals of Python and JavaScript in logs.

use std::{iter::Peekable, str::Chars};

/// Longest text that is parsed, in bytes.
const MAX_LEN: usize = 64 * 1024;

/// Parses literals joined by `+`, as Node.js prints long strings, and returns their text.
///
/// Returns `None` if the text does not start with a literal that ends, or if it is too long.
pub(super) fn parse(text: &str) -> Option<String> {
    let mut rest = text.chars().peekable();
    let mut bytes = Vec::new();
    loop {
        skip_space(&mut rest);
        rest.next_if_eq(&'b'); // of Python's bytes
        literal(&mut rest, &mut bytes)?;
        let mut next = rest.clone();
        skip_space(&mut next);
        if next.next() != Some('+') {
            return Some(String::from_utf8_lossy(&bytes).into_owned());
        }
        rest = next;
    }
}

fn skip_space(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|letter| letter.is_whitespace()).is_some() {}
}

fn literal(rest: &mut Peekable<Chars<'_>>, bytes: &mut Vec<u8>) -> Option<()> {
    let quote = rest.next_if(|letter| ['\'', '"', '`'].contains(letter))?;
    while bytes.len() <= MAX_LEN {
        match rest.next()? {
            letter if letter == quote => return Some(()),
            '\\' => escape(rest, bytes)?,
            letter => bytes.extend(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    None
}

fn escape(rest: &mut Peekable<Chars<'_>>, bytes: &mut Vec<u8>) -> Option<()> {
    let letter = match rest.next()? {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'x' => {
            bytes.push(u8::try_from(hex(rest, 2)?).ok()?);
            return Some(());
        }
        'u' => char::from_u32(hex(rest, 4)?).unwrap_or(char::REPLACEMENT_CHARACTER),
        other => other,
    };
    bytes.extend(letter.encode_utf8(&mut [0; 4]).as_bytes());
    Some(())
}

fn hex(rest: &mut Peekable<Chars<'_>>, digits: usize) -> Option<u32> {
    (0..digits).try_fold(0, |number, _| {
        Some(number * 16 + rest.next()?.to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_unescaped_and_joined() {
        for (text, parsed) in [
            ("'a'", Some("a")),
            (
                "b'{\"a\":\"\\n\\'\\\\n\"}' rest",
                Some("{\"a\":\"\n'\\n\"}"),
            ),
            ("'GET\\n' +\n    '/\\r\\n',", Some("GET\n/\r\n")),
            ("b'\\xc3\\xa9'", Some("é")),
            ("\"\\u00e9\"", Some("é")),
            ("'a' + b", None),
            ("'a", None),
            ("'\\x", None),
            ("a", None),
            ("", None),
        ] {
            assert_eq!(parse(text).as_deref(), parsed, "{text}");
        }
    }
}
