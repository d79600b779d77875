//! Patterns of host names.

use crate::{error::Error, sigv4::signed_headers::is_host};

/// A host in lower case, or all hosts below a domain, with a dot in front: `.example.com`.
#[derive(Clone, Debug)]
pub(super) struct HostPattern(String);

impl HostPattern {
    /// Parses `api.example.com`, or `*.example.com` for all hosts below a domain.
    pub(super) fn parse(pattern: &str) -> Result<Self, Error> {
        let below = pattern.strip_prefix("*.");
        let name = below.unwrap_or(pattern);
        if !is_host(name) || (below.is_some() && name.starts_with('[')) {
            return Err(Error::config(format!(
                "invalid host {pattern:?}; use one without a port, such as \"api.example.com\" or \
                 \"*.example.com\""
            )));
        }
        let lower = name.trim_end_matches('.').to_ascii_lowercase();
        Ok(Self(if below.is_some() {
            format!(".{lower}")
        } else {
            lower
        }))
    }

    /// Compares a host without its port. Case does not matter.
    pub(super) fn matches(&self, host: &str) -> bool {
        let Self(pattern) = self;
        let skipped = if pattern.starts_with('.') {
            host.len().checked_sub(pattern.len())
        } else {
            Some(0)
        };
        skipped
            .and_then(|len| host.get(len..))
            .is_some_and(|end| end.eq_ignore_ascii_case(pattern))
    }
}
