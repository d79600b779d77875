use std::fmt;

use crate::Error;

/// Pattern of ARNs: `*` matches any characters but `/` and `:`, and `**` any characters.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ArnPattern {
    text: String,
    tokens: Vec<Token>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// `*`
    Segment,
    /// `**`
    Any,
}

impl ArnPattern {
    pub(super) fn parse(pattern: &str) -> Result<Self, Error> {
        if !pattern.starts_with("arn:") || !pattern.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::new(format!(
                "{pattern:?} is not a pattern of ARNs; use one such as \"arn:aws:iam::123456789012:role/orders-*\""
            )));
        }
        let mut tokens = Vec::with_capacity(pattern.len());
        for byte in pattern.bytes() {
            match (byte, tokens.last_mut()) {
                (b'*', Some(last @ Token::Segment)) => *last = Token::Any,
                (b'*', _) => tokens.push(Token::Segment),
                _ => tokens.push(Token::Byte(byte)),
            }
        }
        Ok(Self {
            text: pattern.to_owned(),
            tokens,
        })
    }

    /// The cost is the product of both lengths at most.
    pub(super) fn matches(&self, arn: &str) -> bool {
        let bytes = arn.as_bytes();
        // Positions in the ARN that the tokens so far can end at.
        let mut ends = vec![false; bytes.len() + 1];
        ends[0] = true;
        for token in &self.tokens {
            if let Token::Byte(expected) = token {
                for at in (0..bytes.len()).rev() {
                    ends[at + 1] = ends[at] && bytes[at] == *expected;
                }
                ends[0] = false;
                continue;
            }
            for (at, byte) in bytes.iter().enumerate() {
                let crosses = matches!(token, Token::Any) || !b"/:".contains(byte);
                ends[at + 1] |= ends[at] && crosses;
            }
        }
        ends[bytes.len()]
    }
}

impl fmt::Debug for ArnPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_in_its_segment() {
        let arn = "arn:aws:iam::123456789012:user/team/alice";
        for (pattern, is_match) in [
            ("arn:aws:iam::123456789012:user/team/alice", true),
            ("arn:aws:iam::123456789012:user/team/*", true),
            ("arn:aws:iam::123456789012:user/*/alice", true),
            ("arn:aws:iam::*:user/team/al*e", true),
            ("arn:aws:iam::123456789012:user/**", true),
            ("arn:aws:iam::123456789012:**", true),
            ("arn:**", true),
            ("arn:**alice", true),
            ("arn:aws:iam::123456789012:user/team/alice*", true),
            ("arn:aws:iam::123456789012:user/*", false),
            ("arn:aws:iam::123456789012:*", false),
            ("arn:*", false),
            ("arn:aws:iam::123456789012:user/team/alic", false),
            ("arn:aws:iam::123456789012:user/team/alice/*", false),
            ("arn:aws:iam::123456789012:user/team/Alice", false),
            ("arn:**bob", false),
        ] {
            let parsed = ArnPattern::parse(pattern).expect("valid");
            assert_eq!(parsed.matches(arn), is_match, "{pattern}");
        }
    }

    #[test]
    fn patterns_without_a_matching_arn_are_rejected() {
        for pattern in [
            "",
            "*",
            "alice",
            "ARN:aws:iam::1:root",
            "arn:aws:iam::1:user/a b",
        ] {
            assert!(ArnPattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
