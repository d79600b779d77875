//! Patterns of host names.

use crate::{error::Error, sigv4::signed_headers::is_host};

/// A host, or all hosts below a domain.
#[derive(Clone, Debug)]
pub(super) enum HostPattern {
    Exact(String),
    /// With its leading dot: `.example.com`.
    Suffix(String),
}

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
        Ok(if below.is_some() {
            Self::Suffix(format!(".{lower}"))
        } else {
            Self::Exact(lower)
        })
    }

    /// Compares a host without its port. Case does not matter.
    pub(super) fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => host.eq_ignore_ascii_case(name),
            Self::Suffix(suffix) => host
                .len()
                .checked_sub(suffix.len())
                .and_then(|start| host.get(start..))
                .is_some_and(|end| end.eq_ignore_ascii_case(suffix)),
        }
    }
}
