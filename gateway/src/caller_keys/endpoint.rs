//! Keys from an HTTP endpoint, cached.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
use aws_credential_types::Credentials;
use axum::body::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use serde::{Deserialize, Serialize};
use tokio::time::error::Elapsed;
use tower_sigv4::verify::{CachedKeys, Key, KeyRequest, KeyStore, LookupFuture};
use tower_sigv4_callers::HttpClient;

use crate::{
    BoxError, caller::Tenant, config::KeysEndpointSettings, identity::parse_time, issuer_client,
};

/// Maximum size of a response, in bytes.
const MAX_RESPONSE_LEN: usize = 64 * 1024;

/// Keys of an endpoint, with their cache.
pub(crate) struct KeysEndpoint {
    client: Arc<EndpointClient>,
    cache: CachedKeys,
    calls: Arc<Calls>,
}

/// Numbers of calls, by result.
#[derive(Default)]
struct Calls {
    found: AtomicU64,
    unknown: AtomicU64,
    failed: AtomicU64,
}

impl KeysEndpoint {
    pub(crate) fn new(mut settings: KeysEndpointSettings) -> Result<Self, BoxError> {
        let calls = Arc::new(Calls::default());
        let client = Arc::new(EndpointClient {
            client: issuer_client::client()?,
            authorization: ArcSwapOption::new(settings.authorization.take().map(Arc::new)),
            settings,
        });
        let (calling, counted) = (client.clone(), calls.clone());
        let lookup = move |request: KeyRequest<'static>| {
            let (caller, counters) = (calling.clone(), counted.clone());
            async move {
                let found = caller.lookup(&request).await;
                let counter = match &found {
                    Ok(Some(_)) => &counters.found,
                    Ok(None) => &counters.unknown,
                    Err(_) => &counters.failed,
                };
                counter.fetch_add(1, Ordering::Relaxed);
                found
            }
        };
        let cache = CachedKeys::new(lookup)
            .with_ttl(client.settings.ttl)
            .with_negative_ttl(client.settings.negative_ttl)
            .with_capacity(client.settings.capacity);
        Ok(Self {
            client,
            cache,
            calls,
        })
    }

    /// Compares all settings but `authorization`.
    pub(super) fn has_settings_of(&self, other: &Self) -> bool {
        self.client.settings == other.client.settings
    }

    pub(super) fn set_authorization_of(&self, other: &Self) {
        let value = other.client.authorization.load_full();
        self.client.authorization.store(value);
    }

    pub(super) fn lookup(&self, request: &KeyRequest<'_>) -> LookupFuture {
        self.cache.lookup(request)
    }

    /// Removes a key from the cache, so that the next request asks the endpoint.
    pub(crate) fn revoke(&self, access_key_id: &str) {
        self.cache.revoke(access_key_id);
    }

    /// Returns the number of cached results.
    pub(crate) fn cached(&self) -> usize {
        self.cache.len()
    }

    /// Returns the number of calls for each result.
    pub(crate) fn calls(&self) -> [(&'static str, u64); 3] {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("found", count(&self.calls.found)),
            ("unknown", count(&self.calls.unknown)),
            ("failed", count(&self.calls.failed)),
        ]
    }
}

struct EndpointClient {
    client: HttpClient,
    /// A rotated secret keeps the cached keys.
    authorization: ArcSwapOption<HeaderValue>,
    /// Without `authorization`.
    settings: KeysEndpointSettings,
}

#[derive(Serialize)]
struct Query<'a> {
    access_key_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_token: Option<&'a str>,
    service: &'a str,
    region: &'a str,
}

/// Further members are ignored, so that an endpoint can add some.
#[derive(Deserialize)]
struct Found {
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<String>,
    attributes: Option<Attributes>,
}

#[derive(Deserialize)]
struct Attributes {
    tenant: Option<String>,
}

impl EndpointClient {
    async fn lookup(&self, request: &KeyRequest<'_>) -> Result<Option<Key>, BoxError> {
        let query = Query {
            access_key_id: request.access_key_id(),
            session_token: request.session_token(),
            service: request.service(),
            region: request.region(),
        };
        let mut builder = Request::builder()
            .method(Method::POST)
            .uri(self.settings.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json");
        if let Some(authorization) = self.authorization.load_full() {
            builder = builder.header(header::AUTHORIZATION, &*authorization);
        }
        let body = Full::new(Bytes::from(serde_json::to_vec(&query)?));
        let timeout = self.settings.timeout;
        let sent = self
            .client
            .send(builder.body(body)?, MAX_RESPONSE_LEN, timeout);
        let response = sent.await.map_err(|error| {
            if error.is::<Elapsed>() {
                format!("the keys endpoint has not responded for {timeout:?}").into()
            } else {
                error
            }
        })?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(format!("the keys endpoint responded with {status}").into()),
        }
        parse(request.access_key_id(), response.body()).map(Some)
    }
}

/// Parses a key. No error quotes the text, since it holds secrets.
fn parse(access_key_id: &str, text: &[u8]) -> Result<Key, BoxError> {
    let found: Found = serde_json::from_slice(text).map_err(|error| {
        format!(
            "the keys endpoint responded with invalid JSON (line {}, column {}); respond with \
             {{\"secret_access_key\": \"...\"}}",
            error.line(),
            error.column()
        )
    })?;
    if found.secret_access_key.is_empty() {
        return Err("the keys endpoint responded with an empty secret_access_key; respond with 404 for an unknown key".into());
    }
    let expiry = match &found.expiration {
        None => None,
        Some(time) => Some(parse_time(time).ok_or(
            "the keys endpoint responded with an invalid expiration; write one such as 2030-01-01T00:00:00Z",
        )?),
    };
    let credentials = Credentials::new(
        access_key_id,
        found.secret_access_key,
        found.session_token.filter(|token| !token.is_empty()),
        expiry,
        "keys endpoint",
    );
    let key = Key::from(credentials);
    Ok(match found.attributes.and_then(|it| it.tenant) {
        Some(tenant) => key.with_extension(Tenant(tenant.into())),
        None => key,
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn all_members_are_read() {
        let text = br#"{"secret_access_key": "s", "session_token": "t", "expiration": "2001-09-09T01:46:40Z",
                       "attributes": {"tenant": "acme", "plan": 7}, "more": true}"#;
        let key = parse("AKID", text).expect("a key");
        let credentials = key.credentials();
        assert_eq!(credentials.access_key_id(), "AKID");
        assert_eq!(credentials.secret_access_key(), "s");
        assert_eq!(credentials.session_token(), Some("t"));
        let expiry = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        assert_eq!(credentials.expiry(), Some(expiry));
        let tenant = key.extensions().get::<Tenant>().expect("a tenant");
        assert_eq!(&*tenant.0, "acme");
    }

    #[test]
    fn invalid_responses_are_errors_without_the_secret() {
        for text in [
            r#"{"secret_access_key": ["hunter2"]}"#,
            r#"{"secret_access_key": "hunter2""#,
            r#"{"secret_access_key": "hunter2", "expiration": "tomorrow"}"#,
            r#"{"secret_access_key": "hunter2", "expiration": 17}"#,
            r#"{"secret_access_key": "hunter2", "attributes": {"tenant": 1}}"#,
            r#"{"secret_access_key": "hunter2", "secret_access_key": "hunter2"}"#,
            r#"{"secret_access_key": ""}"#,
            r#"{"session_token": "hunter2"}"#,
            "hunter2",
            "null",
            "",
        ] {
            let error = parse("AKID", text.as_bytes()).expect_err(text).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
