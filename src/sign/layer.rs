use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::service::Signing;
use crate::{
    body::BodyBudget, clock::Clock, credentials::CredentialsCache, origin::ResolveOrigin,
    sigv4::Signer,
};

/// Layer that applies [`Signing`]: rewrites each request for its origin and signs it.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use http::{Request, Response, header};
/// use http_body_util::Full;
/// use bytes::Bytes;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_sigv4::{
///     Origin, SigningLayer, SigningSettings, body::SignedBody, credentials::Credentials,
/// };
///
/// let origin = Origin::new(
///     "https://abc123.execute-api.us-east-1.amazonaws.com/prod",
///     SigningSettings::new("execute-api", "us-east-1")?,
/// )?;
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
///
/// let client = ServiceBuilder::new()
///     .layer(SigningLayer::new(credentials, origin))
///     .service_fn(async |request: Request<SignedBody<Full<Bytes>>>| {
///         // An HTTP client in earnest; what it receives is ready to be sent.
///         let uri = "https://abc123.execute-api.us-east-1.amazonaws.com/prod/orders?id=1";
///         assert_eq!(request.uri(), uri);
///         assert_eq!(
///             request.headers()[header::HOST],
///             "abc123.execute-api.us-east-1.amazonaws.com",
///         );
///         assert!(request.headers().contains_key(header::AUTHORIZATION));
///         Ok::<_, std::convert::Infallible>(Response::new(()))
///     });
///
/// let request = Request::get("/orders?id=1").body(Full::default()).unwrap();
/// client.oneshot(request).await?;
/// # Ok::<(), tower_sigv4::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
#[must_use]
pub struct SigningLayer {
    shared: Arc<Shared>,
}

/// What all services of a layer use.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) credentials: CredentialsCache,
    pub(super) target: Arc<dyn ResolveOrigin>,
    pub(super) signer: Arc<Signer>,
    pub(super) clock: Clock,
    pub(super) budget: Option<BodyBudget>,
}

impl SigningLayer {
    /// Signs with these credentials, for this target.
    ///
    /// `credentials` is a provider, or a [`CredentialsCache`] with settings of its own. `target` is an
    /// [`Origin`](crate::Origin), [`OriginRules`](crate::origin::OriginRules),
    /// [`Direct`](crate::origin::Direct) or a closure; see [`origin`](crate::origin).
    ///
    /// The services run in a tokio runtime with its timer enabled.
    pub fn new(
        credentials: impl Into<CredentialsCache>,
        target: impl ResolveOrigin + 'static,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                credentials: credentials.into(),
                target: Arc::new(target),
                signer: Arc::new(Signer::new()),
                clock: Clock::system(),
                budget: None,
            }),
        }
    }

    /// Sets the clock by which requests are dated and credentials expire; tests freeze it.
    pub fn with_clock(mut self, clock: Clock) -> Self {
        Arc::make_mut(&mut self.shared).clock = clock;
        self
    }

    /// Sets the memory that buffered bodies share, with other layers too; there is none by default.
    pub fn with_body_budget(mut self, budget: BodyBudget) -> Self {
        Arc::make_mut(&mut self.shared).budget = Some(budget);
        self
    }

    /// The credentials in use, to [`invalidate`](CredentialsCache::invalidate) them.
    pub fn credentials(&self) -> &CredentialsCache {
        &self.shared.credentials
    }
}

impl<S> Layer<S> for SigningLayer {
    type Service = Signing<S>;

    fn layer(&self, inner: S) -> Signing<S> {
        Signing::new(inner, self.shared.clone())
    }
}

impl fmt::Debug for SigningLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningLayer")
            .field("credentials", &self.shared.credentials)
            .field("clock", &self.shared.clock)
            .finish_non_exhaustive()
    }
}
