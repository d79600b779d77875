use std::{fmt, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, request::Parts};
use tokio::{
    sync::Semaphore,
    time::{error::Elapsed, timeout},
};
use tower_sigv4::verify::{Verifier, VerifySettings};

use super::{
    IamSettings, Rejection, RejectionKind as Kind, VerifiedPrincipal,
    relay::Relay,
    relay_cache::{RelayCache, SharedRelay, Verified},
    signed_url::SignedUrl,
};
use crate::{
    BoxError, Error, HttpClient,
    verification::{Verification, VerifyCaller},
};

/// Maximum number of concurrent requests to STS. Strangers can cause them, and STS limits requests per account.
const MAX_RELAYS: usize = 64;

/// Verifies callers by the presigned URLs of STS that they send, without a service.
///
/// [`IamLayer`](super::IamLayer) does it for a service. Clones share the results of STS.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use http::Request;
/// use tower_sigv4_callers::{HttpClient, iam::{IamSettings, IamVerifier, RejectionKind}};
///
/// let settings = IamSettings::new("gateway.example.com")?;
/// let verifier = IamVerifier::new(HttpClient::disabled(), settings)?;
///
/// let url = "https://sts.evil.example.com/?Action=GetCallerIdentity&Version=2011-06-15";
/// let (head, ()) = Request::get("/orders").header("x-sigv4-caller-url", url).body(()).unwrap().into_parts();
/// let rejection = verifier.verify(&head).await.unwrap_err();
/// assert_eq!(rejection.kind(), RejectionKind::UnknownEndpoint);
/// # Ok::<(), tower_sigv4_callers::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct IamVerifier {
    shared: Arc<Shared>,
    cache: Arc<RelayCache>,
    clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

struct Shared {
    settings: IamSettings,
    client: HttpClient,
    /// Parses signatures. It verifies none: only STS has the callers' keys.
    parser: Verifier,
    relays: Semaphore,
}

impl IamVerifier {
    /// Accepts URLs that meet these settings, and sends them with `client`.
    ///
    /// # Errors
    ///
    /// A region that is not valid in a credential scope.
    pub fn new(client: HttpClient, settings: IamSettings) -> Result<Self, Error> {
        let invalid = |error: tower_sigv4::Error| Error::new(error.to_string());
        let mut regions = settings.endpoints.iter().map(|endpoint| &*endpoint.region);
        let first = regions.next().unwrap_or_default();
        let mut accepted = VerifySettings::new("sts", first)
            .map_err(invalid)?
            .with_required_headers([settings.server_id_header.clone()]);
        for region in regions {
            accepted = accepted.add_region(region).map_err(invalid)?;
        }
        Ok(Self {
            cache: Arc::new(RelayCache::new(settings.capacity)),
            shared: Arc::new(Shared {
                settings,
                client,
                parser: Verifier::new(accepted),
                relays: Semaphore::new(MAX_RELAYS),
            }),
            clock: Arc::new(SystemTime::now),
        })
    }

    /// Sets the clock for the validity of URLs, for tests.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Returns the header that contains the URL.
    #[must_use]
    pub fn header(&self) -> &HeaderName {
        &self.shared.settings.url_header
    }

    /// Uses the results that another verifier has for the same settings, after a reload of the configuration.
    #[must_use]
    pub fn continuing(mut self, other: &Self) -> Self {
        if self.shared.settings.has_results_of(&other.shared.settings) {
            self.cache = other.cache.clone();
        }
        self
    }

    /// Returns the number of cached principals and rejections.
    #[must_use]
    pub fn cached(&self) -> usize {
        self.cache.len()
    }

    /// Verifies the URL of a request. The request keeps it.
    ///
    /// # Errors
    ///
    /// Anything but one URL that STS accepts, of an accepted principal.
    pub async fn verify(&self, head: &Parts) -> Result<VerifiedPrincipal, Rejection> {
        match self.start(&head.headers) {
            Verification::Ready(result) => result,
            Verification::Waiting(relay) => relay.await,
        }
    }

    fn look_up(
        &self,
        headers: &HeaderMap,
    ) -> Result<Verification<Verified, SharedRelay>, Rejection> {
        let shared = &self.shared;
        let value = find_url(headers, &shared.settings.url_header)?;
        let text = value
            .to_str()
            .map_err(|_| Kind::Malformed.rejection("the URL of STS is not ASCII"))?;
        let url = SignedUrl::parse(text, &shared.settings, &shared.parser, (self.clock)())?;
        let relay = Relay::new(&url, &shared.settings)?;
        let sender = shared.clone();
        let result = async move { sender.send(relay).await };
        Ok(self.cache.lookup(url.digest(), result))
    }
}

impl VerifyCaller for IamVerifier {
    type Proof = VerifiedPrincipal;
    type Rejection = Rejection;
    type Waiting = SharedRelay;

    fn start(&self, headers: &HeaderMap) -> Verification<Verified, SharedRelay> {
        self.look_up(headers)
            .unwrap_or_else(|rejection| Verification::Ready(Err(rejection)))
    }

    fn is_anonymous(rejection: &Rejection) -> bool {
        rejection.kind() == Kind::MissingUrl
    }

    fn remove_credential(&self, headers: &mut HeaderMap) {
        headers.remove(self.header());
    }

    fn error_response(rejection: Rejection) -> Response<Bytes> {
        let mut response = rejection.to_response();
        response.extensions_mut().insert(rejection.kind());
        response.extensions_mut().insert(Arc::new(rejection));
        response
    }
}

fn find_url<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a HeaderValue, Rejection> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Kind::AmbiguousUrl.rejection("the request has several URLs of STS; send one"));
    }
    first.ok_or_else(|| Kind::MissingUrl.rejection("the request has no URL of STS"))
}

impl Shared {
    async fn send(&self, relay: Relay) -> Verified {
        let permit = timeout(self.settings.timeout, self.relays.acquire()).await;
        let busy = |elapsed: Elapsed| {
            let message = "there are too many requests to STS; try again later";
            Kind::StsUnavailable
                .rejection(message)
                .with_source(BoxError::from(elapsed))
        };
        let acquired = permit.map_err(busy)?;
        let principal = relay.send(&self.client, &self.settings).await?;
        drop(acquired);
        if self.accepts(&principal) {
            return Ok(principal);
        }
        Err(Kind::PrincipalNotAllowed.rejection("the principal is not accepted"))
    }

    fn accepts(&self, principal: &VerifiedPrincipal) -> bool {
        let IamSettings {
            accounts,
            principals,
            ..
        } = &self.settings;
        let arns = [Some(principal.arn()), principal.role_arn()];
        let matches = |arn| principals.iter().any(|pattern| pattern.matches(arn));
        (accounts.is_empty()
            || accounts
                .iter()
                .any(|account| account == principal.account()))
            && (principals.is_empty() || arns.into_iter().flatten().any(matches))
    }
}

impl fmt::Debug for IamVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IamVerifier")
            .field("settings", &self.shared.settings)
            .field("cached", &self.cached())
            .finish_non_exhaustive()
    }
}
