//! The header `cache-control` (RFC 9111, section 5.2).

use http::{HeaderMap, HeaderValue, header};

use crate::cost;

/// Directives in lower case.
pub(crate) struct Directives(Vec<String>);

impl Directives {
    pub(crate) fn new(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::CACHE_CONTROL).iter();
        // An unreadable value may forbid storing.
        let lower = values.map(|value| value.to_str().unwrap_or("no-store").to_ascii_lowercase());
        let split = |value: String| {
            value
                .split(',')
                .map(|directive| directive.trim().to_owned())
                .collect::<Vec<_>>()
        };
        Self(lower.flat_map(split).collect())
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|directive| {
            let (found, value) = directive.split_once('=').unwrap_or((directive, ""));
            (found.trim() == name).then(|| value.trim().trim_matches('"'))
        })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    pub(crate) fn seconds(&self, name: &str) -> Option<u64> {
        self.value(name)?.parse().ok()
    }

    /// Memory of the copy that http-cache-semantics makes.
    pub(crate) fn size(&self) -> usize {
        self.0
            .iter()
            .map(|directive| cost::directive(directive.len()))
            .sum()
    }

    /// Returns the input of http-cache-semantics, which knows lower case only. `max-stale` is left out: honoring it is
    /// optional, and it would override the origin's `must-revalidate` (section 4.2.4).
    pub(crate) fn to_value(&self) -> Option<HeaderValue> {
        let directives = self.0.iter().map(String::as_str);
        let relevant: Vec<_> = directives
            .filter(|directive| !directive.starts_with("max-stale"))
            .collect();
        HeaderValue::from_str(&relevant.join(", "))
            .ok()
            .filter(|value| !value.is_empty())
    }
}
