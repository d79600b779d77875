//! Sources of the keys of an issuer.

use std::{fmt, sync::Arc, time::Duration};

use http::{Uri, uri::Scheme};

use super::jwks::Jwks;
use crate::{Error, is_loopback};

/// Source of the keys of an issuer.
#[derive(Clone)]
pub(super) enum KeySource {
    /// URL of the OpenID Connect discovery document.
    Discovery(Uri),
    JwksUrl(Uri),
    Fixed(Arc<Jwks>),
}

/// Limits for requests to a provider.
#[derive(Debug, Clone)]
pub(super) struct FetchSettings {
    pub(super) timeout: Duration,
    pub(super) refresh_interval: Duration,
    pub(super) stale_if_error: Duration,
}

/// Fixed keys are not compared: they are never equal.
impl PartialEq for KeySource {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Discovery(ours), Self::Discovery(theirs))
            | (Self::JwksUrl(ours), Self::JwksUrl(theirs)) => ours == theirs,
            _ => false,
        }
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discovery(url) => f
                .debug_tuple("Discovery")
                .field(&public_part(&url.to_string()))
                .finish(),
            Self::JwksUrl(url) => f
                .debug_tuple("JwksUrl")
                .field(&public_part(&url.to_string()))
                .finish(),
            Self::Fixed(jwks) => f.debug_tuple("Fixed").field(jwks).finish(),
        }
    }
}

/// Parses a URL whose response can be trusted: over TLS, or from this machine.
pub(crate) fn secure_url(url: &str, name: &str) -> Result<Uri, Error> {
    let (_, after_scheme) = url.split_once("://").unwrap_or_default();
    let authority = after_scheme.split(['/', '?', '#']).next();
    if authority.is_some_and(|text| text.contains('@')) {
        // The message must not contain the password.
        return Err(Error::new(format!(
            "the {name} contains a user name; remove it"
        )));
    }
    let parsed = url.parse::<Uri>().map_err(|_| not_a_url(url, name))?;
    if parsed.authority().is_none() {
        return Err(not_a_url(url, name));
    }
    let scheme = parsed.scheme();
    if scheme == Some(&Scheme::HTTPS) || scheme == Some(&Scheme::HTTP) && is_local(&parsed) {
        return Ok(parsed);
    }
    Err(not_secure(url, name))
}

/// Returns `true` if the host of a URL is this machine.
pub(super) fn is_local(url: &Uri) -> bool {
    url.host().is_some_and(is_loopback)
}

/// Returns a URL without its query, which may contain a token, or none of one that may contain a password.
pub(crate) fn public_part(url: &str) -> &str {
    if url.contains('@') {
        return "...";
    }
    url.split(['?', '#']).next().unwrap_or_default()
}

fn not_a_url(url: &str, name: &str) -> Error {
    let shown = public_part(url);
    Error::new(format!(
        "the {name} {shown:?} is not a URL; use one that begins with https://"
    ))
}

fn not_secure(url: &str, name: &str) -> Error {
    let shown = public_part(url);
    Error::new(format!(
        "the {name} {shown:?} is not secure; use https (http is accepted for loopback hosts alone)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_password_nor_a_query_is_shown() {
        for url in [
            "http://keys.example.com/?token=hunter2",
            "keys.example.com?token=hunter2",
            "https://me:hunter2@keys.example.com",
            "https://me:hunter2/@keys.example.com",
            "https://me:hunter2?@keys.example.com",
        ] {
            let parsed = secure_url(url, "URL");
            let shown = parsed.map_or_else(
                |error| error.to_string(),
                |uri| public_part(&uri.to_string()).to_owned(),
            );
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        let named = public_part("https://keys.example.com/a?b#c");
        assert_eq!(named, "https://keys.example.com/a");
    }
}
