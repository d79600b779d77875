//! Patterns of host names.

use crate::{error::Error, sigv4::signed_headers::is_host};

/// A host, all hosts below a domain, or those of buckets.
#[derive(Clone, Debug)]
pub(super) struct HostPattern {
    /// In lower case, with a dot in front unless it is one host: `.example.com`.
    name: String,
    has_bucket: bool,
}

impl HostPattern {
    /// Parses `api.example.com`, or `*.example.com` for all hosts below a domain.
    pub(super) fn parse(pattern: &str) -> Result<Self, Error> {
        Self::parse_prefixed(pattern, "*.", false)
    }

    /// As [`parse`](Self::parse), or `{bucket}.example.com` for the hosts of buckets.
    pub(super) fn parse_with_bucket(pattern: &str) -> Result<Self, Error> {
        if pattern.starts_with("{bucket}.") {
            return Self::parse_prefixed(pattern, "{bucket}.", true);
        }
        Self::parse(pattern)
    }

    fn parse_prefixed(pattern: &str, wildcard: &str, has_bucket: bool) -> Result<Self, Error> {
        let below = pattern.strip_prefix(wildcard);
        let host = below.unwrap_or(pattern);
        if !is_host(host) || (below.is_some() && host.starts_with('[')) {
            return Err(Error::config(format!(
                "invalid host {pattern:?}; use one without a port, such as \"api.example.com\" or \
                 \"*.example.com\""
            )));
        }
        let lower = host.trim_end_matches('.').to_ascii_lowercase();
        Ok(Self {
            name: if below.is_some() {
                format!(".{lower}")
            } else {
                lower
            },
            has_bucket,
        })
    }

    /// Returns the host in lower case, or the domain with a dot in front.
    pub(super) fn key(&self) -> &str {
        &self.name
    }

    /// Compares a host without its port. Case does not matter.
    pub(super) fn matches(&self, host: &str) -> bool {
        if self.name.starts_with('.') {
            label_before(host, &self.name).is_some()
        } else {
            host.eq_ignore_ascii_case(&self.name)
        }
    }

    /// Returns the domain below which hosts start with a bucket.
    pub(super) fn bucket_domain(&self) -> Option<&str> {
        self.name.strip_prefix('.').filter(|_| self.has_bucket)
    }

    /// Returns the part of a host that the pattern has as `{bucket}`.
    pub(super) fn bucket<'a>(&self, host: &'a str) -> Option<&'a str> {
        label_before(host, &self.name).filter(|_| self.has_bucket)
    }

    /// Returns the part of a host before the domain, if the pattern is that of one host or of buckets below it.
    pub(super) fn label_below<'a>(&self, host: &'a str) -> Option<&'a str> {
        if self.has_bucket {
            return label_before(host, &self.name);
        }
        let label = label_before(host, &self.name)?;
        label
            .strip_suffix('.')
            .filter(|_| !self.name.starts_with('.'))
    }
}

/// Returns the part of a host before an end, which is compared without case.
fn label_before<'a>(host: &'a str, end: &str) -> Option<&'a str> {
    let at = host.len().checked_sub(end.len())?;
    host.get(at..)?
        .eq_ignore_ascii_case(end)
        .then(|| &host[..at])
}
