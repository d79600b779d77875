//! Requests for the keys of an issuer.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, Request, StatusCode, Uri,
    header::{ACCEPT, AGE, CACHE_CONTROL},
};
use http_body_util::Full;
use serde_json::Value;

use super::{
    jwks::Jwks,
    key_source::{KeySource, is_local, public_part, secure_url},
    strict_json,
};
use crate::{BoxError, HttpClient};

/// Maximum size of a document in bytes. Those of large providers have about 10 KiB.
const MAX_DOCUMENT: usize = 256 * 1024;

/// Bounds of the lifetime of keys that the provider sets.
const MIN_LIFETIME: Duration = Duration::from_secs(60);
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Lifetime if the provider sets none.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Fetches the keys of an issuer.
pub(super) struct KeyFetcher {
    pub(super) client: HttpClient,
    pub(super) issuer: Arc<str>,
    pub(super) source: KeySource,
    pub(super) timeout: Duration,
}

/// Error of a fetch.
#[derive(Debug)]
pub(super) struct FetchError {
    context: String,
    source: Option<BoxError>,
}

impl KeyFetcher {
    /// Returns the keys and their lifetime.
    pub(super) async fn fetch(&self) -> Result<(Arc<Jwks>, Duration), FetchError> {
        let url = match &self.source {
            KeySource::Fixed(jwks) => return Ok((jwks.clone(), MAX_LIFETIME)),
            KeySource::JwksUrl(url) => url.clone(),
            KeySource::Discovery(url) => self.discover(url).await?,
        };
        let (headers, document) = self.get(&url).await?;
        let jwks = Jwks::parse(&document).map_err(|error| FetchError {
            context: format!("{} is not usable", public_part(&url.to_string())),
            source: Some(error.into()),
        })?;
        Ok((Arc::new(jwks), lifetime(&headers)))
    }

    /// Returns the URL of the keys (OpenID Connect Discovery 1.0, sections 3 and 4.3).
    async fn discover(&self, url: &Uri) -> Result<Uri, FetchError> {
        let (_, document) = self.get(url).await?;
        let named = url.to_string();
        let invalid = |reason: &str| FetchError::new(format!("{}: {reason}", public_part(&named)));
        let metadata = strict_json::parse_object(&document)
            .map_err(|_| invalid("the document is not a JSON object without repeated members"))?;
        let text = |name| metadata.get(name).and_then(Value::as_str);
        if text("issuer") != Some(&self.issuer) {
            return Err(invalid(
                "the document has another issuer; check the settings",
            ));
        }
        let keys = text("jwks_uri").ok_or_else(|| invalid("the document has no jwks_uri"))?;
        let keys_url = secure_url(keys, "jwks_uri").map_err(|error| invalid(&error.to_string()))?;
        // A provider elsewhere must not direct requests to services of this machine.
        if is_local(&keys_url) && !is_local(url) {
            return Err(invalid("jwks_uri is a loopback URL"));
        }
        Ok(keys_url)
    }

    async fn get(&self, url: &Uri) -> Result<(HeaderMap, Bytes), FetchError> {
        let named = url.to_string();
        let public = public_part(&named);
        let request = Request::get(url)
            .header(ACCEPT, "application/json")
            .body(Full::default())
            .map_err(|error| FetchError {
                context: format!("{public} cannot be requested"),
                source: Some(error.into()),
            })?;
        let sent = self.client.send(request, MAX_DOCUMENT, self.timeout).await;
        let (head, document) = sent
            .map_err(|error| FetchError {
                context: format!("{public} cannot be fetched"),
                source: Some(error),
            })?
            .into_parts();
        if head.status != StatusCode::OK {
            return Err(FetchError::new(format!(
                "{public} responds with {}",
                head.status
            )));
        }
        Ok((head.headers, document))
    }
}

/// Returns the lifetime of a response (RFC 9111, section 4.2), within our bounds.
fn lifetime(headers: &HeaderMap) -> Duration {
    let directives = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let mut lifetime = DEFAULT_LIFETIME;
    for directive in directives {
        let (name, value) = directive
            .trim()
            .split_once('=')
            .unwrap_or((directive.trim(), ""));
        if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
            return MIN_LIFETIME;
        }
        if name.eq_ignore_ascii_case("max-age")
            && let Ok(seconds) = value.trim_matches('"').parse()
        {
            lifetime = Duration::from_secs(seconds);
        }
    }
    let age = headers.get(AGE).and_then(|value| value.to_str().ok());
    let elapsed = age
        .and_then(|seconds| seconds.trim().parse().ok())
        .unwrap_or(0);
    lifetime
        .saturating_sub(Duration::from_secs(elapsed))
        .clamp(MIN_LIFETIME, MAX_LIFETIME)
}

impl FetchError {
    pub(super) fn new(context: impl Into<String>) -> Self {
        Self {
            context: context.into(),
            source: None,
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl StdError for FetchError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|error| error as _)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn lifetime_is_that_of_the_response_within_bounds() {
        let hour = 60 * 60;
        let rows = [
            (&[][..], None, hour),
            (&["public, max-age=1000"], None, 1000),
            (
                &["public", "Max-Age=\"1000\" , must-revalidate"],
                None,
                1000,
            ),
            (&["max-age=1000"], Some("400"), 600),
            (&["max-age=1000"], Some("2000"), 60),
            (&["max-age=1000"], Some("soon"), 1000),
            (&["max-age=15, stale-while-revalidate=15"], None, 60),
            (&["max-age=0"], None, 60),
            (&["max-age=31536000"], None, 24 * hour),
            (&["max-age=99999999999999999999"], None, hour),
            (&["max-age=-1"], None, hour),
            (&["max-age"], None, hour),
            (&["max-age=1000, no-store"], None, 60),
            (&["No-Cache", "max-age=1000"], None, 60),
            (&["s-maxage=1000"], None, hour),
        ];
        for (cache_control, age, expected) in rows {
            let mut headers = HeaderMap::new();
            for value in cache_control {
                headers.append(CACHE_CONTROL, HeaderValue::from_static(value));
            }
            if let Some(seconds) = age {
                headers.insert(AGE, HeaderValue::from_static(seconds));
            }
            assert_eq!(lifetime(&headers).as_secs(), expected, "{headers:?}");
        }
    }
}
