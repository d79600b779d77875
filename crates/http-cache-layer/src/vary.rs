//! Variants of a response (RFC 9111, section 4.1).

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use sha2::{Digest, Sha256};

use crate::{cost, key::Key, list::members};

/// Maximum number of names: each is hashed at each lookup.
const MAX_NAMES: usize = 32;
/// Maximum number of members that are sorted.
const MAX_SORTED: usize = 32;

/// Names of the request headers that select a response, in alphabetical order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct VaryNames(Arc<[HeaderName]>);

impl VaryNames {
    /// Returns the names that a response varies on, or `None` if its variants cannot be distinguished: for `*`, for
    /// malformed or too many names, and for `x-forwarded-for`, which differs for each client.
    pub(crate) fn from_response(response: &HeaderMap) -> Option<Self> {
        let values = response.get_all(header::VARY).iter();
        let members = values.flat_map(|value| members(value.as_bytes()));
        let names = members.filter(|name| !name.is_empty()).map(parse_name);
        Self::new(names.collect::<Option<_>>()?)
    }

    fn new(mut names: Vec<HeaderName>) -> Option<Self> {
        names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        names.dedup();
        (names.len() <= MAX_NAMES).then(|| Self(names.into()))
    }

    /// Returns the variant that a request selects among the responses that vary on these names.
    ///
    /// Values that mean the same select the same variant: lists may differ in whitespace and in the number of lines,
    /// and `accept-encoding`, `accept-language` and `accept-charset` also in case and order.
    #[must_use]
    pub fn variant(&self, key: &Key, request: &HeaderMap) -> VariantId {
        let partition = key.partition().0;
        if self.0.is_empty() {
            return VariantId(partition);
        }
        let mut digest = Sha256::new_with_prefix(partition);
        for name in self.0.iter() {
            update(&mut digest, name.as_str().as_bytes());
            match Syntax::of(name) {
                Syntax::Text => {
                    let values = request.get_all(name).iter();
                    values.for_each(|value| update(&mut digest, value.as_bytes()));
                }
                Syntax::List => {
                    list(request, name).for_each(|member| update(&mut digest, member));
                }
                Syntax::Preferences => update_preferences(&mut digest, list(request, name)),
            }
            // A header without a value differs from one that is absent.
            digest.update([u8::from(request.contains_key(name)), b'\n']);
        }
        VariantId(digest.finalize().into())
    }

    /// Returns the names, separated by commas.
    #[must_use]
    pub fn to_text(&self) -> String {
        let names: Vec<_> = self.0.iter().map(HeaderName::as_str).collect();
        names.join(",")
    }

    /// Parses names that are separated by commas. Returns `None` if one is malformed, or if there are too many.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let names = text.split(',').filter(|name| !name.is_empty());
        let parsed = names.map(|name| parse_name(name.as_bytes()));
        Self::new(parsed.collect::<Option<_>>()?)
    }

    /// Returns `true` if all requests select the same response.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Memory beside the value itself.
    pub(crate) fn size(&self) -> usize {
        let names = self.0.iter().map(|name| cost::bytes(name.as_str().len()));
        cost::allocation(cost::ARC_COUNTS + size_of_val(&*self.0)) + names.sum::<usize>()
    }
}

/// Syntax of a request header, as far as it is known which values mean the same.
#[derive(Clone, Copy)]
enum Syntax {
    /// Commas do not separate members, or the value is a secret.
    Text,
    List,
    /// Order and case do not count (RFC 9110, sections 12.5.2 to 12.5.4).
    Preferences,
}

impl Syntax {
    fn of(name: &HeaderName) -> Self {
        match name.as_str() {
            "authorization" | "cookie" | "from" | "referer" | "user-agent" => Self::Text,
            "accept-charset" | "accept-encoding" | "accept-language" => Self::Preferences,
            _ => Self::List,
        }
    }
}

fn list<'a>(request: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let values = request.get_all(name).iter().map(HeaderValue::as_bytes);
    let all = values.flat_map(members);
    all.filter(|member| !member.is_empty())
}

/// The length separates values from each other.
fn update(digest: &mut Sha256, value: &[u8]) {
    digest.update(value.len().to_be_bytes());
    digest.update(value);
}

fn update_preferences<'a>(digest: &mut Sha256, values: impl Iterator<Item = &'a [u8]>) {
    let mut sorted = [&b""[..]; MAX_SORTED];
    let mut count = 0;
    let mut rest = values.peekable();
    while let (Some(slot), Some(member)) =
        (sorted.get_mut(count), rest.next_if(|_| count < MAX_SORTED))
    {
        *slot = member;
        count += 1;
    }
    let normal = |member: &'a [u8]| {
        let letters = member.iter().filter(|byte| !byte.is_ascii_whitespace());
        letters.map(u8::to_ascii_lowercase)
    };
    sorted[..count].sort_unstable_by(|one, other| normal(one).cmp(normal(other)));
    for member in sorted[..count].iter().copied().chain(rest) {
        for byte in normal(member) {
            digest.update([byte]);
        }
        digest.update(b",");
    }
}

fn parse_name(name: &[u8]) -> Option<HeaderName> {
    // `HeaderName` accepts `*`.
    HeaderName::from_bytes(name)
        .ok()
        .filter(|parsed| parsed != "*" && parsed != "x-forwarded-for")
}

/// Digest of the values that select a response: a store that others can read must not contain cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VariantId([u8; 32]);

impl VariantId {
    #[cfg(feature = "redis")]
    pub(crate) fn from_bytes(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// Returns the digest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(vary: &str, lines: &[(&'static str, &'static str)]) -> VariantId {
        let names = VaryNames::from_text(vary).expect("names");
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        names.variant(&Key::new("h", "/"), &headers)
    }

    #[test]
    fn values_that_mean_the_same_select_the_same_variant() {
        for (name, values, same) in [
            ("foo", ["1, 2", " 1,2 "], true),
            ("foo", ["1, 2", "2, 1"], false),
            ("foo", ["a", "A"], false),
            ("foo", [r#""a, b""#, r#""a,b""#], false),
            ("accept-language", ["en, de", "DE ,eN"], true),
            ("accept-language", ["en;q=0.5", "en; Q=0.5"], true),
            ("accept-language", ["en, de", "en"], false),
            ("accept-encoding", ["gzip, br", "br,gzip"], true),
            ("accept-encoding", ["gzip, br", "gzip, b, r"], false),
            ("user-agent", ["(a, b)", "(a,b)"], false),
            ("cookie", ["a=1, b", "a=1,b"], false),
        ] {
            let [one, other] = values.map(|value| variant(name, &[(name, value)]));
            assert_eq!(one == other, same, "{name}: {values:?}");
        }
        let lines = variant("foo", &[("foo", "1"), ("foo", "2")]);
        assert_eq!(lines, variant("foo", &[("foo", "1, 2")]));
        assert_ne!(variant("foo", &[("foo", "")]), variant("foo", &[]));
        // A value cannot pass for that of another header.
        let one = variant("bar,foo", &[("bar", "1")]);
        assert_ne!(one, variant("bar,foo", &[("foo", "1")]));
    }

    #[test]
    fn long_lists_differ_in_all_their_members() {
        let long = |last: &str| -> &'static str {
            let many: Vec<_> = (0..2 * MAX_SORTED).map(|n| format!("l{n}")).collect();
            format!("{}, {last}", many.join(", ")).leak()
        };
        let name = "accept-language";
        let of = |value| variant(name, &[(name, value)]);
        assert_eq!(of(long("a")), of(long("A")));
        assert_ne!(of(long("a")), of(long("b")));
    }
}
