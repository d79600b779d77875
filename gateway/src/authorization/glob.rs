//! Patterns with `*` and `**`.

/// A pattern in which `*` is any number of bytes except separators, and `**` any number of bytes.
#[derive(Clone, Debug)]
pub(crate) struct Glob {
    separators: &'static [u8],
    tokens: Vec<Token>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// `*`
    Part,
    /// `**`
    Any,
}

impl Glob {
    pub(crate) fn new(pattern: &str, separators: &'static [u8]) -> Self {
        let mut tokens = Vec::new();
        for &byte in pattern.as_bytes() {
            match (byte, tokens.last()) {
                (b'*', Some(Token::Part | Token::Any)) => {
                    *tokens.last_mut().expect("the last") = Token::Any
                }
                (b'*', _) => tokens.push(Token::Part),
                _ => tokens.push(Token::Byte(byte)),
            }
        }
        Self { separators, tokens }
    }

    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let is_literal = |token: &&Token| matches!(token, Token::Byte(_));
        let literals = self.tokens.iter().take_while(is_literal).count();
        let (prefix, rest) = self.tokens.split_at(literals);
        if text.len() < literals {
            return false;
        }
        let (start, end) = text.split_at(literals);
        let has_prefix = prefix
            .iter()
            .zip(start)
            .all(|(token, &byte)| *token == Token::Byte(byte));
        has_prefix && (rest == [Token::Any] || self.matches_tokens(rest, end))
    }

    /// Returns `true` if every text with this prefix matches.
    pub(crate) fn covers_prefix(&self, prefix: &[u8]) -> bool {
        // A last `**` matches the empty text, and each longer one.
        self.tokens.last() == Some(&Token::Any) && self.matches(prefix)
    }

    /// Returns `true` for `**`.
    pub(crate) fn is_any(&self) -> bool {
        self.tokens == [Token::Any]
    }

    /// Follows all positions in the pattern at once, so that the time is linear in the text.
    fn matches_tokens(&self, tokens: &[Token], text: &[u8]) -> bool {
        // `reached[i]`: the text so far matches the first `i` tokens.
        let mut reached = vec![false; tokens.len() + 1];
        reached[0] = true;
        skip_wildcards(tokens, &mut reached);
        for byte in text {
            let mut next = vec![false; tokens.len() + 1];
            for (i, token) in tokens.iter().enumerate().filter(|(i, _)| reached[*i]) {
                match token {
                    Token::Byte(expected) => next[i + 1] |= expected == byte,
                    Token::Part => next[i] |= !self.separators.contains(byte),
                    Token::Any => next[i] = true,
                }
            }
            skip_wildcards(tokens, &mut next);
            reached = next;
        }
        reached[tokens.len()]
    }
}

/// Marks the positions behind wildcards, which match the empty text.
fn skip_wildcards(tokens: &[Token], reached: &mut [bool]) {
    for (i, token) in tokens.iter().enumerate() {
        reached[i + 1] |= reached[i] && !matches!(token, Token::Byte(_));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stop_at_separators_and_double_stars_do_not() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("*", "a", true),
            ("*", "a/b", false),
            ("**", "a/b", true),
            ("***", "a/b", true),
            ("a*", "a/", false),
            ("a/*", "a/", true),
            ("a/*", "a", false),
            ("a/**", "a//b", true),
            ("a/*/c", "a/b/c", true),
            ("a/*/c", "a/b/b/c", false),
            ("a/**/c", "a/b/b/c", true),
            ("a/**/c", "a/c", false),
            ("*.csv", "x.csv", true),
            ("*.csv", "a/x.csv", false),
            ("**.csv", "a/x.csv", true),
            (
                "*a*a*a*b",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                false,
            ),
            ("a**b*c", "a/b/b-c", true),
            ("?", "a", false),
        ] {
            let glob = Glob::new(pattern, b"/");
            assert_eq!(glob.matches(text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn prefixes_are_covered_only_by_a_last_double_star() {
        for (pattern, prefix, expected) in [
            ("**", "", true),
            ("reports/**", "reports/", true),
            ("reports/**", "reports/2026", true),
            ("reports/**", "reports", false),
            ("reports/**", "", false),
            ("reports/*", "reports/", false),
            ("*/x/**", "a/x/", true),
            ("*/x/**", "a/", false),
            ("**/x", "a/x", false),
        ] {
            let glob = Glob::new(pattern, b"/");
            assert_eq!(
                glob.covers_prefix(prefix.as_bytes()),
                expected,
                "{pattern} {prefix}"
            );
        }
    }
}
