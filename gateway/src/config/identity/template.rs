//! Session names and tag values with placeholders for the request.

use tower_sigv4::sigv4::PayloadHash;

/// Values of a request that templates may hold.
#[derive(Clone, Copy, Default)]
pub(crate) struct SessionValues<'a> {
    /// Access key ID of the verified caller.
    pub(crate) caller: &'a str,
    /// Name of the route in metrics.
    pub(crate) route: &'a str,
    pub(crate) request_id: &'a str,
}

/// A text with the placeholders `{caller}`, `{route}` and `{request_id}`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template {
    parts: Vec<Part>,
    alphabet: Alphabet,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Caller,
    Route,
    RequestId,
}

/// Characters and length that STS accepts (AWS STS API Reference, `AssumeRole` and `Tag`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Alphabet {
    SessionName,
    TagValue,
}

impl Alphabet {
    pub(super) fn accepts(self, character: char) -> bool {
        let is_common = character.is_ascii_alphanumeric() || "_=.@-+".contains(character);
        match self {
            Self::SessionName => is_common || character == ',',
            // `\p{L}\p{Z}\p{N}` besides the signs.
            Self::TagValue => is_common || " :/".contains(character) || character.is_alphanumeric(),
        }
    }

    fn max_len(self) -> usize {
        match self {
            Self::SessionName => 64,
            Self::TagValue => 256,
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::SessionName => "2 to 64 letters, digits and _=,.@+-",
            Self::TagValue => "at most 256 letters, digits, spaces and _.:/=+-@",
        }
    }
}

impl Template {
    /// Parses a text. Returns the reason why STS would reject it.
    pub(super) fn parse(text: &str, alphabet: Alphabet) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, tail)) = rest.split_once('{') {
            let (name, after) = tail
                .split_once('}')
                .ok_or_else(|| format!("{text:?} has no }} after its {{; close the placeholder"))?;
            parts.push(Part::Text(literal.to_owned()));
            parts.push(match name {
                "caller" => Part::Caller,
                "route" => Part::Route,
                "request_id" => Part::RequestId,
                _ => {
                    return Err(format!(
                        "{{{name}}} is unknown; use {{caller}}, {{route}} or {{request_id}}"
                    ));
                }
            });
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| *part != Part::Text(String::new()));
        let template = Self { parts, alphabet };
        template.check(text)?;
        Ok(template)
    }

    /// Returns a session name that is the caller.
    pub(super) fn caller() -> Self {
        Self {
            parts: vec![Part::Caller],
            alphabet: Alphabet::SessionName,
        }
    }

    fn check(&self, text: &str) -> Result<(), String> {
        let literals = || {
            self.parts.iter().filter_map(|part| match part {
                Part::Text(literal) => Some(literal.as_str()),
                _ => None,
            })
        };
        let len: usize = literals().map(|it| it.chars().count()).sum();
        let is_short = self.alphabet == Alphabet::SessionName && self.is_fixed() && len < 2;
        let accepts = |literal: &str| literal.chars().all(|it| self.alphabet.accepts(it));
        if is_short || len > self.alphabet.max_len() || !literals().all(accepts) {
            return Err(format!(
                "STS rejects {text:?}; write {}",
                self.alphabet.description()
            ));
        }
        Ok(())
    }

    /// Returns `true` if the text is the same for all requests.
    pub(crate) fn is_fixed(&self) -> bool {
        !self.has(&Part::Caller) && !self.has(&Part::Route) && !self.has(&Part::RequestId)
    }

    pub(crate) fn has_caller(&self) -> bool {
        self.has(&Part::Caller)
    }

    pub(crate) fn has_route(&self) -> bool {
        self.has(&Part::Route)
    }

    pub(crate) fn has_request_id(&self) -> bool {
        self.has(&Part::RequestId)
    }

    fn has(&self, part: &Part) -> bool {
        self.parts.contains(part)
    }

    /// Returns the text for a request, with only characters that STS accepts.
    ///
    /// If characters are replaced or cut off, a digest of the original ends the text: two callers never share a
    /// session because their names look alike.
    pub(crate) fn expand(&self, values: &SessionValues<'_>) -> String {
        let mut text = String::new();
        for part in &self.parts {
            text.push_str(match part {
                Part::Text(literal) => literal,
                Part::Caller => values.caller,
                Part::Route => values.route,
                Part::RequestId => values.request_id,
            });
        }
        self.sanitize(text)
    }

    fn sanitize(&self, original: String) -> String {
        let alphabet = self.alphabet;
        let has_valid_len = original.chars().count() <= alphabet.max_len()
            && (alphabet == Alphabet::TagValue || original.len() >= 2);
        if has_valid_len && original.chars().all(|it| alphabet.accepts(it)) {
            return original;
        }
        const DIGEST_LEN: usize = 16;
        let replaced = |it: char| if alphabet.accepts(it) { it } else { '-' };
        let kept = alphabet.max_len() - DIGEST_LEN - 1;
        let mut text: String = original.chars().map(replaced).take(kept).collect();
        let digest = PayloadHash::of(original.as_bytes()).to_string();
        text.push('-');
        text.push_str(&digest[..DIGEST_LEN]);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: SessionValues<'static> = SessionValues {
        caller: "AKIDALICE",
        route: "api.example.com/orders",
        request_id: "0-1",
    };

    fn expanded(text: &str, alphabet: Alphabet, values: &SessionValues<'_>) -> String {
        let template = Template::parse(text, alphabet).expect("a valid template");
        template.expand(values)
    }

    #[test]
    fn placeholders_are_replaced() {
        for (text, expected) in [
            ("gateway", "gateway"),
            ("gw-{caller}", "gw-AKIDALICE"),
            ("{caller}.{request_id}@x", "AKIDALICE.0-1@x"),
        ] {
            assert_eq!(expanded(text, Alphabet::SessionName, &VALUES), expected);
        }
        let tag = expanded("{route} {caller}", Alphabet::TagValue, &VALUES);
        assert_eq!(tag, "api.example.com/orders AKIDALICE");
    }

    #[test]
    fn invalid_templates_are_rejected() {
        for (text, alphabet, reason) in [
            ("a", Alphabet::SessionName, "STS rejects"),
            ("", Alphabet::SessionName, "STS rejects"),
            ("a b", Alphabet::SessionName, "STS rejects"),
            ("a/{caller}", Alphabet::SessionName, "STS rejects"),
            (&"a".repeat(65), Alphabet::SessionName, "STS rejects"),
            (&"a".repeat(257), Alphabet::TagValue, "STS rejects"),
            ("a\n", Alphabet::TagValue, "STS rejects"),
            ("{user}", Alphabet::SessionName, "{user} is unknown"),
            ("a-{caller", Alphabet::SessionName, "has no }"),
        ] {
            let error = Template::parse(text, alphabet).expect_err(text);
            assert!(error.contains(reason), "{error}");
        }
        assert!(Template::parse("", Alphabet::TagValue).is_ok());
    }

    #[test]
    fn values_that_sts_rejects_are_replaced_and_stay_distinct() {
        let named = |caller| {
            let values = SessionValues { caller, ..VALUES };
            expanded("{caller}", Alphabet::SessionName, &values)
        };
        let long = "a".repeat(100);
        let longer = "a".repeat(101);
        let callers = ["a/b", "a-b", "a b", "é", "x", &long, &longer];
        let names: std::collections::BTreeSet<_> = callers.map(named).into_iter().collect();
        assert_eq!(names.len(), callers.len(), "{names:?}");
        for name in names {
            assert!((2..=64).contains(&name.len()), "{name}");
            assert!(
                name.chars().all(|it| Alphabet::SessionName.accepts(it)),
                "{name}"
            );
        }
    }
}
