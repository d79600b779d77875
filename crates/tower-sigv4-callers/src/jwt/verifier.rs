use std::{fmt, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response, header::AUTHORIZATION, request::Parts};

use super::{
    JwtSettings, KeyStatus, Rejection, RejectionKind as Kind, VerifiedToken, claims,
    key_cache::KeyCache,
    key_source::secure_url,
    pending_token::{Issuer, PendingToken, Verified, Waiting, unavailable},
    token::ParsedToken,
};
use crate::{
    Error, HttpClient,
    verification::{Verification, VerifyCaller},
};

/// Verifies tokens of one or more issuers, with cached keys.
///
/// Keys are fetched when the first token needs them, and again before they expire; the old ones serve meanwhile.
/// Concurrent requests share one fetch. Clones share the cache. [`JwtLayer`](super::JwtLayer) makes a middleware of it.
///
/// ```
/// use http::Request;
/// use tower_sigv4_callers::{HttpClient, jwt::{JwtSettings, JwtVerifier, RejectionKind}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_sigv4_callers::BoxError> {
/// let settings = JwtSettings::new("https://login.example.com")?.add_audience("orders");
/// let verifier = JwtVerifier::new(HttpClient::disabled(), [settings])?;
/// let (head, ()) = Request::get("/orders").body(())?.into_parts();
/// let rejection = verifier.verify(&head).await.unwrap_err();
/// assert_eq!(rejection.kind(), RejectionKind::MissingToken);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct JwtVerifier {
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Shared {
    issuers: Vec<Arc<Issuer>>,
    /// Headers that contain tokens, without repetition.
    headers: Vec<HeaderName>,
    clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    challenge: Option<Arc<str>>,
}

impl JwtVerifier {
    /// Accepts tokens that meet the settings of their issuer.
    ///
    /// # Errors
    ///
    /// No settings, two for one issuer, or settings without audience and client id, without algorithm or without type.
    pub fn new(
        client: HttpClient,
        settings: impl IntoIterator<Item = JwtSettings>,
    ) -> Result<Self, Error> {
        let mut issuers: Vec<Arc<Issuer>> = Vec::new();
        let mut headers: Vec<HeaderName> = Vec::new();
        for entry in settings {
            entry.check()?;
            let issuer = &entry.issuer;
            if issuers.iter().any(|known| known.settings.issuer == *issuer) {
                return Err(Error::new(format!(
                    "the issuer {issuer:?} is configured twice; join the settings"
                )));
            }
            if !headers.contains(&entry.header) {
                headers.push(entry.header.clone());
            }
            issuers.push(Arc::new(Issuer {
                keys: KeyCache::new(client.clone(), &entry),
                settings: entry,
            }));
        }
        if issuers.is_empty() {
            return Err(Error::new("there is no issuer; add one"));
        }
        Ok(Self {
            shared: Arc::new(Shared {
                issuers,
                headers,
                clock: Arc::new(SystemTime::now),
                challenge: None,
            }),
        })
    }

    /// Sets the clock for the times in tokens, for tests.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.shared).clock = Arc::new(clock);
        self
    }

    /// Sets the URL of the metadata of this resource, which `www-authenticate` then contains
    /// (RFC 9728, section 5.1).
    ///
    /// Clients find the provider there. The service must publish the document itself.
    ///
    /// # Errors
    ///
    /// A URL whose scheme is not `https`. `http` is accepted for a loopback host.
    ///
    /// ```
    /// use http::Request;
    /// use tower_sigv4_callers::{HttpClient, jwt::{JwtSettings, JwtVerifier}};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower_sigv4_callers::BoxError> {
    /// let settings = JwtSettings::new("https://login.example.com")?.add_audience("orders");
    /// let verifier = JwtVerifier::new(HttpClient::disabled(), [settings])?
    ///     .with_resource_metadata("https://api.example.com/.well-known/oauth-protected-resource")?;
    /// let (head, ()) = Request::get("/orders").body(())?.into_parts();
    /// let challenge = verifier.verify(&head).await.unwrap_err().www_authenticate().unwrap();
    /// let url = "https://api.example.com/.well-known/oauth-protected-resource";
    /// assert_eq!(challenge, format!("Bearer resource_metadata=\"{url}\""));
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_resource_metadata(mut self, url: &str) -> Result<Self, Error> {
        let parsed = secure_url(url, "resource metadata URL")?;
        // `Uri` accepts quotes in a path.
        let quoted = parsed.to_string().replace('"', "%22").replace('\\', "%5C");
        let challenge = format!("resource_metadata=\"{quoted}\"");
        Arc::make_mut(&mut self.shared).challenge = Some(challenge.into());
        Ok(self)
    }

    /// Returns the headers that contain tokens.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.shared.headers.iter()
    }

    /// Verifies the token of a request. The request keeps it.
    ///
    /// # Errors
    ///
    /// Anything but one valid token.
    pub async fn verify(&self, head: &Parts) -> Result<VerifiedToken, Rejection> {
        match self.start(&head.headers) {
            Verification::Ready(result) => result,
            Verification::Waiting(future) => future.await,
        }
    }

    /// Fetches the keys of all issuers that have none, for a readiness check or before the first request.
    ///
    /// # Errors
    ///
    /// The first issuer whose keys cannot be fetched.
    ///
    /// ```
    /// use tower_sigv4_callers::{HttpClient, jwt::{JwtSettings, JwtVerifier, RejectionKind}};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower_sigv4_callers::BoxError> {
    /// let settings = JwtSettings::new("https://login.example.com")?.add_audience("orders");
    /// let verifier = JwtVerifier::new(HttpClient::disabled(), [settings])?;
    /// let rejection = verifier.ready().await.unwrap_err();
    /// assert_eq!(rejection.kind(), RejectionKind::KeysUnavailable);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ready(&self) -> Result<(), Rejection> {
        for issuer in &self.shared.issuers {
            if issuer.keys.current().is_none() {
                issuer.keys.load().await.map_err(unavailable)?;
            }
        }
        Ok(())
    }

    /// Returns the state of the keys of each issuer.
    ///
    /// ```
    /// use tower_sigv4_callers::{HttpClient, jwt::{JwtSettings, JwtVerifier}};
    ///
    /// let settings = JwtSettings::new("https://login.example.com")?.add_audience("orders");
    /// let verifier = JwtVerifier::new(HttpClient::disabled(), [settings])?;
    /// let status = &verifier.key_status()[0];
    /// assert_eq!((status.keys, status.age), (0, None)); // not fetched yet
    /// # Ok::<(), tower_sigv4_callers::Error>(())
    /// ```
    #[must_use]
    pub fn key_status(&self) -> Vec<KeyStatus> {
        let status =
            |issuer: &Arc<Issuer>| KeyStatus::new(issuer.settings.issuer(), issuer.keys.status());
        self.shared.issuers.iter().map(status).collect()
    }

    /// Uses the cached keys of the issuers that another verifier has from the same source, after a change of settings.
    #[must_use]
    pub fn continuing(mut self, other: &Self) -> Self {
        let known = |issuer: &Arc<Issuer>| {
            let same = |theirs: &&Arc<Issuer>| theirs.keys.has_source_of(&issuer.keys);
            let keys = other.shared.issuers.iter().find(same)?.keys.clone();
            let settings = issuer.settings.clone();
            Some(Arc::new(Issuer { settings, keys }))
        };
        let shared = Arc::make_mut(&mut self.shared);
        for issuer in &mut shared.issuers {
            if let Some(continued) = known(issuer) {
                *issuer = continued;
            }
        }
        self
    }
}

impl VerifyCaller for JwtVerifier {
    type Proof = VerifiedToken;
    type Rejection = Rejection;
    type Waiting = Waiting;

    fn start(&self, headers: &HeaderMap) -> Verification<Verified, Waiting> {
        match self.shared.check(headers) {
            Ok(pending) => pending.verify(),
            Err(rejection) => {
                let challenge = self.shared.challenge.clone();
                Verification::Ready(Err(rejection.with_challenge(challenge)))
            }
        }
    }

    fn is_anonymous(rejection: &Rejection) -> bool {
        rejection.kind() == Kind::MissingToken
    }

    fn remove_credential(&self, headers: &mut HeaderMap) {
        for name in self.headers() {
            headers.remove(name);
        }
    }

    fn error_response(rejection: Rejection) -> Response<Bytes> {
        let mut response = rejection.to_response();
        response.extensions_mut().insert(rejection.kind());
        response.extensions_mut().insert(Arc::new(rejection));
        response
    }
}

impl Shared {
    /// Checks everything that needs no key.
    fn check(&self, headers: &HeaderMap) -> Result<PendingToken, Rejection> {
        let (raw, header) = self.find_token(headers)?;
        let largest = self
            .issuers
            .iter()
            .map(|issuer| issuer.settings.max_token_size)
            .max();
        if largest.is_none_or(|limit| raw.len() > limit) {
            return Err(too_large());
        }
        let token = ParsedToken::parse(raw)?;
        // Not verified: it selects the keys that must verify it.
        let name = claims::issuer(&token.claims)?;
        let issuer = self
            .issuers
            .iter()
            .find(|known| &*known.settings.issuer == name && known.settings.header == *header)
            .ok_or_else(|| {
                Kind::UnknownIssuer.rejection("the issuer of the token is not accepted")
            })?;
        if raw.len() > issuer.settings.max_token_size {
            return Err(too_large());
        }
        Ok(PendingToken {
            checked: claims::check(&issuer.settings, &token, (self.clock)())?,
            issuer: issuer.clone(),
            token,
            challenge: self.challenge.clone(),
        })
    }

    fn find_token<'a>(&self, headers: &'a HeaderMap) -> Result<(&'a str, &HeaderName), Rejection> {
        let mut found = None;
        for name in &self.headers {
            for value in headers.get_all(name) {
                if found.is_some() {
                    return Err(Kind::AmbiguousToken
                        .rejection("the request has several tokens or authorizations; send one"));
                }
                found = Some((value, name));
            }
        }
        let missing = || Kind::MissingToken.rejection("the request has no token");
        let (value, name) = found.ok_or_else(missing)?;
        let text = value
            .to_str()
            .map_err(|_| Kind::Malformed.rejection("the token is not ASCII"))?;
        if *name != AUTHORIZATION {
            return Ok((text, name));
        }
        // Schemes are compared without regard to case (RFC 9110, section 11.1).
        match text.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                Ok((token.trim_start_matches(' '), name))
            }
            _ => Err(missing()),
        }
    }
}

fn too_large() -> Rejection {
    Kind::TooLarge.rejection("the token is too large")
}

impl fmt::Debug for JwtVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.shared.issuers.iter().map(|issuer| &issuer.settings);
        f.debug_list().entries(settings).finish()
    }
}
