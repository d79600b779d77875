use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{recovery::Recovery, service::Signing, trace::Diagnoses};
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
///         Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
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
    pub(super) budget: Option<BodyBudget>,
    /// There if refusals are to be diagnosed.
    pub(super) diagnoses: Option<Arc<Diagnoses>>,
    pub(super) report: bool,
    /// `None` if the layer does not recover from rejections.
    pub(super) recovery: Option<Arc<Recovery>>,
}

impl SigningLayer {
    /// Signs with these credentials, for this target.
    ///
    /// `credentials` is a provider, or a [`CredentialsCache`] with settings of its own. `target` is an
    /// [`Origin`](crate::Origin), [`OriginRules`](crate::origin::OriginRules),
    /// [`UriOrigin`](crate::origin::UriOrigin) or a closure; see [`origin`](crate::origin).
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
                budget: None,
                diagnoses: None,
                report: false,
                recovery: Some(Arc::default()),
            }),
        }
    }

    /// Sets the clock by which requests are dated and credentials expire; tests freeze it.
    ///
    /// By default that is the clock of the [`CredentialsCache`].
    pub fn with_clock(mut self, clock: Clock) -> Self {
        let shared = Arc::make_mut(&mut self.shared);
        shared.credentials = shared.credentials.clone().with_clock(clock);
        self
    }

    /// Sets the memory that buffered bodies share, with other layers too; there is none by default.
    pub fn with_body_budget(mut self, budget: BodyBudget) -> Self {
        Arc::make_mut(&mut self.shared).budget = Some(budget);
        self
    }

    /// Sets whether it is found out why an origin refused a request (it is not by default).
    ///
    /// Of an answer with status 400 or 403 the first 64 KiB are read then, for 2 seconds at most. If it
    /// speaks of the signature, a [`Diagnosis`](crate::doctor::Diagnosis) is put into its extensions and, with
    /// the feature `tracing`, logged, each cause once a minute; the answer goes on whole. What was signed is
    /// kept for that until the answer is there: one allocation a request.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use bytes::Bytes;
    /// use http::{Request, Response, StatusCode};
    /// use http_body_util::{BodyExt, Full};
    /// use tower::{Layer, ServiceExt, service_fn};
    /// use tower_sigv4::{
    ///     Origin, SigningLayer,
    ///     body::SignedBody,
    ///     credentials::Credentials,
    ///     doctor::{Cause, Diagnosis},
    /// };
    ///
    /// let origin = Origin::infer("https://abc123.execute-api.us-east-1.amazonaws.com/prod")?;
    /// let credentials = Credentials::new("ASIAEXAMPLE", "secret", None, None, "example");
    /// let client = service_fn(async |_: Request<SignedBody<Full<Bytes>>>| {
    ///     let text = r#"{"message":"The security token included in the request is invalid."}"#;
    ///     let mut response = Response::new(Full::<Bytes>::from(text));
    ///     *response.status_mut() = StatusCode::FORBIDDEN;
    ///     Ok::<_, std::convert::Infallible>(response)
    /// });
    /// let client = SigningLayer::new(credentials, origin).with_diagnosis(true).layer(client);
    ///
    /// let response = client.oneshot(Request::get("/orders").body(Full::default())?).await?;
    /// let diagnosis = response.extensions().get::<Diagnosis>().unwrap();
    /// assert_eq!(diagnosis.cause(), Cause::TokenMissing);
    /// assert!(response.into_body().collect().await?.to_bytes().ends_with(b"invalid.\"}"));
    /// # Ok::<(), tower_sigv4::BoxError>(())
    /// # }).unwrap();
    /// ```
    pub fn with_diagnosis(mut self, diagnosis: bool) -> Self {
        Arc::make_mut(&mut self.shared).diagnoses = diagnosis.then(Arc::default);
        self
    }

    /// Enables or disables recovery from a wrong clock and from expired credentials (enabled by default).
    ///
    /// An origin's response is a claim. So a rejection, of status 400 or 403, counts only if it has the error
    /// code of the service in the place where the service puts it, together with the beginning of the message
    /// that belongs to the code, in a body of at most 64 KiB, and only from an origin that
    /// [recovers](crate::Origin::with_recovery): by default a host of AWS.
    ///
    /// - If the time of signing is wrong, the difference is learned from the response's `date`, unless it is more
    ///   than a day or a cache has stored the response (`age`, RFC 9111, section 5.1). It applies to this
    ///   origin alone, and only as long as the origin accepts what is dated by it.
    /// - If the credentials, which have a session token, have expired, the provider is asked, unless it was asked
    ///   within 5 seconds. Requests to other origins go on with the credentials meanwhile. If the provider has no
    ///   others, the caller gets the origin's response.
    ///
    /// Then the request is signed and sent once more, whatever its method, since a rejected signature has no
    /// effect. It is not sent a third time, nor a second time if its body streams: only a body that is empty,
    /// collected or in a temporary file can be sent again. A streamed request is rejected, and the next one is
    /// right.
    ///
    /// For that a rejection is read as for a [diagnosis](SigningLayer::with_diagnosis), and a copy of head and
    /// body, which shares their bytes, is kept until the response comes, unless the origin has accepted these
    /// credentials within the last minute and they are valid for longer than the widest clock window, 15
    /// minutes.
    pub fn with_recovery(mut self, recovery: bool) -> Self {
        Arc::make_mut(&mut self.shared).recovery = recovery.then(Arc::default);
        self
    }

    /// Sets whether each answer to a signed request has a [`SigningReport`](crate::sign::SigningReport) in its
    /// extensions (it has not by default).
    pub fn with_report(mut self, report: bool) -> Self {
        Arc::make_mut(&mut self.shared).report = report;
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
            .finish_non_exhaustive()
    }
}
