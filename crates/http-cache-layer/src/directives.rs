//! Cache directives of requests and responses (RFC 9111, section 5.2; RFC 9213).

use http::{HeaderMap, HeaderName, HeaderValue, header};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use crate::list::members;

/// Longest time in seconds (RFC 9111, section 1.2.2).
pub(crate) const MAX_SECONDS: u64 = 1 << 31;

/// Directives of a response. Of several with one name, the first counts (RFC 9111, section 4.2.1).
pub(crate) struct Directives {
    list: Vec<(Box<str>, Argument)>,
    is_targeted: bool,
}

enum Argument {
    Absent,
    Text(Box<[u8]>),
    Malformed,
}

impl Directives {
    /// Returns the directives of the first valid field among these (RFC 9213, section 2.2), else of `cache-control`.
    pub(crate) fn from_response(headers: &HeaderMap, targeted: &[HeaderName]) -> Self {
        targeted
            .iter()
            .find_map(|name| targeted_directives(headers, name))
            .map(|list| Self {
                list,
                is_targeted: true,
            })
            .unwrap_or_else(|| Self {
                list: cache_control(headers),
                is_targeted: false,
            })
    }

    /// Returns `true` if they replace `cache-control`, `expires` and `pragma`.
    pub(crate) fn is_targeted(&self) -> bool {
        self.is_targeted
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn argument(&self, name: &str) -> Option<&Argument> {
        let mut all = self.list.iter();
        let (_, argument) = all.find(|(other, _)| **other == *name)?;
        Some(argument)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.argument(name).is_some()
    }

    /// Returns `true` if the directive is there without a list of fields, which would limit it to these.
    pub(crate) fn has_unlimited(&self, name: &str) -> bool {
        let mut same_name = self.list.iter().filter(|(other, _)| **other == *name);
        same_name.any(|(_, argument)| argument.fields().next().is_none())
    }

    /// Returns the fields that `private` and `no-cache` list (sections 5.2.2.4 and 5.2.2.7).
    pub(crate) fn listed_fields(&self) -> impl Iterator<Item = HeaderName> {
        let limited = self
            .list
            .iter()
            .filter(|(name, _)| matches!(&**name, "private" | "no-cache"));
        limited.flat_map(|(_, argument)| argument.fields())
    }

    /// Returns 0 for a malformed value: such a response is stale (section 4.2.1).
    pub(crate) fn seconds(&self, name: &str) -> Option<u64> {
        let seconds = match self.argument(name)? {
            Argument::Text(text) => delta_seconds(text),
            _ => None,
        };
        Some(seconds.unwrap_or(0))
    }
}

impl Argument {
    fn fields(&self) -> impl Iterator<Item = HeaderName> {
        let text = match self {
            Self::Text(text) => text,
            _ => &b""[..],
        };
        members(text).filter_map(|name| HeaderName::from_bytes(name).ok())
    }
}

/// Parses digits alone. Longer times than [`MAX_SECONDS`] are as good as that.
pub(crate) fn delta_seconds(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = std::str::from_utf8(text).ok()?;
    Some(
        digits
            .parse()
            .map_or(MAX_SECONDS, |n: u64| n.min(MAX_SECONDS)),
    )
}

fn cache_control(headers: &HeaderMap) -> Vec<(Box<str>, Argument)> {
    let values = headers.get_all(header::CACHE_CONTROL).iter();
    let all = values.flat_map(|value| members(value.as_bytes()));
    let named = all.filter(|member| !member.is_empty()).map(|member| {
        let (name, argument) = split(member);
        let lower = String::from_utf8_lossy(name).to_ascii_lowercase();
        (lower.into_boxed_str(), argument)
    });
    named.collect()
}

fn split(member: &[u8]) -> (&[u8], Argument) {
    let Some(equals) = member.iter().position(|byte| *byte == b'=') else {
        return (member, Argument::Absent);
    };
    let (name, value) = (&member[..equals], &member[equals + 1..]);
    // Space around `=` is malformed, but must not disable `no-store`.
    if name.trim_ascii_end().len() < name.len() || value.trim_ascii_start().len() < value.len() {
        return (name.trim_ascii_end(), Argument::Malformed);
    }
    let argument = match value.strip_prefix(b"\"") {
        None => Argument::Text(value.into()),
        Some(rest) => rest
            .strip_suffix(b"\"")
            .map_or(Argument::Malformed, |text| Argument::Text(text.into())),
    };
    (name, argument)
}

/// Returns the directives of a structured field, or `None` if it is absent, empty or malformed.
fn targeted_directives(
    headers: &HeaderMap,
    name: &HeaderName,
) -> Option<Vec<(Box<str>, Argument)>> {
    let values: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let parsed: Dictionary = Parser::new(&values.join(&b", "[..])).parse().ok()?;
    let directives = parsed.into_iter().filter_map(|(key, entry)| {
        let argument = match entry {
            ListEntry::Item(item) => typed_argument(key.as_str(), item.bare_item)?,
            ListEntry::InnerList(_) => Argument::Malformed,
        };
        Some((Box::from(key.as_str()), argument))
    });
    let list: Vec<_> = directives.collect();
    (!values.is_empty() && !list.is_empty()).then_some(list)
}

/// Returns `None` for a directive whose value has the wrong type: it is ignored.
fn typed_argument(name: &str, value: BareItem) -> Option<Argument> {
    const TIMES: [&str; 4] = [
        "max-age",
        "s-maxage",
        "stale-if-error",
        "stale-while-revalidate",
    ];
    match value {
        BareItem::Integer(number) if TIMES.contains(&name) => {
            Some(Argument::Text(number.to_string().into_bytes().into()))
        }
        _ if TIMES.contains(&name) => None,
        BareItem::Boolean(false) => None,
        BareItem::String(text) => Some(Argument::Text(text.as_str().as_bytes().into())),
        _ => Some(Argument::Absent),
    }
}

/// Directives of a request (RFC 9111, section 5.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestDirectives {
    pub(crate) no_cache: bool,
    pub(crate) no_store: bool,
    pub(crate) only_if_cached: bool,
    pub(crate) max_age: Option<u64>,
    pub(crate) min_fresh: Option<u64>,
    pub(crate) max_stale: Option<u64>,
}

impl RequestDirectives {
    pub(crate) fn new(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        let values = headers.get_all(header::CACHE_CONTROL);
        for member in values.iter().flat_map(|value| members(value.as_bytes())) {
            directives.read(member);
        }
        if values.iter().next().is_none() {
            // Only without `cache-control` (section 5.4).
            let pragma = headers.get_all(header::PRAGMA).iter();
            directives.no_cache = pragma
                .flat_map(|value| members(value.as_bytes()))
                .any(|member| member.eq_ignore_ascii_case(b"no-cache"));
        }
        directives
    }

    fn read(&mut self, member: &[u8]) {
        let mut parts = member.splitn(2, |byte| *byte == b'=');
        let name = parts.next().unwrap_or_default().trim_ascii();
        let value = parts.next().map(|text| {
            let unquoted = text
                .strip_prefix(b"\"")
                .and_then(|rest| rest.strip_suffix(b"\""));
            delta_seconds(unquoted.unwrap_or(text))
        });
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if is("no-cache") {
            self.no_cache = true;
        } else if is("no-store") {
            self.no_store = true;
        } else if is("only-if-cached") {
            self.only_if_cached = true;
        } else if is("max-age") {
            let seconds = value.flatten().unwrap_or(0);
            self.max_age = self.max_age.or(Some(seconds));
        } else if is("min-fresh") {
            self.min_fresh = self.min_fresh.or(value.flatten());
        } else if is("max-stale") {
            // Without a value, any age (section 5.2.1.2).
            self.max_stale = self.max_stale.or(value.unwrap_or(Some(MAX_SECONDS)));
        }
    }

    /// Returns `true` if the request limits the age of the response.
    pub(crate) fn limits_age(&self) -> bool {
        self.no_cache || self.max_age.is_some() || self.min_fresh.is_some()
    }
}
