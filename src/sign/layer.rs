use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{layer_config::LayerConfig, service::Signing, trace::SettingNames};
use crate::{
    body::BodyBudget,
    clock::Clock,
    credentials::{CredentialsCache, ProvideCredentials},
    origin::ResolveOrigin,
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
///         // In place of an HTTP client, which would send the signed request.
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
    config: Arc<LayerConfig>,
}

impl SigningLayer {
    /// Signs requests with these credentials, for the origins of the resolver.
    ///
    /// `credentials` is a provider, also in an `Arc<dyn ProvideCredentials>` or a `SharedCredentialsProvider`, or a
    /// [`CredentialsCache`] with settings of its own. `resolver` is an [`Origin`](crate::Origin),
    /// [`OriginRules`](crate::origin::OriginRules), [`UriOrigin`](crate::origin::UriOrigin) or a closure; see
    /// [`origin`](crate::origin).
    ///
    /// The layer puts a cache in front of any provider other than a `CredentialsCache`. To share a cache, clone it
    /// rather than wrap it: an `Arc<dyn ProvideCredentials>` hides its type, so that the layer's own cache would stand
    /// in front of it, and a recovery from expired credentials would not reach the provider.
    ///
    /// The credentials are those of requests to an origin without an identity of its own; see
    /// [`credentials`](crate::credentials#several-identities).
    ///
    /// The services need a tokio runtime with its timer enabled.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use aws_credential_types::provider::SharedCredentialsProvider;
    /// use tower_sigv4::{
    ///     Origin, SigningLayer,
    ///     credentials::{CredentialsCache, EnvironmentCredentials, ProvideCredentials},
    /// };
    ///
    /// let origin = Origin::infer("https://abc123.execute-api.us-east-1.amazonaws.com/prod")?;
    /// let provider: Arc<dyn ProvideCredentials> = Arc::new(EnvironmentCredentials::new());
    /// let layer = SigningLayer::new(provider.clone(), origin.clone());
    ///
    /// // Two layers and a client of the AWS SDK call the provider once.
    /// let cache = CredentialsCache::new(provider);
    /// let orders = SigningLayer::new(cache.clone(), origin);
    /// let files = SigningLayer::new(
    ///     cache.clone(),
    ///     Origin::infer("https://bucket.s3.eu-west-1.amazonaws.com")?,
    /// );
    /// let for_sdk = SharedCredentialsProvider::new(cache);
    /// # Ok::<(), tower_sigv4::Error>(())
    /// ```
    pub fn new(
        credentials: impl ProvideCredentials + 'static,
        resolver: impl ResolveOrigin + 'static,
    ) -> Self {
        Self {
            config: Arc::new(LayerConfig {
                credentials: CredentialsCache::new(credentials),
                resolver: Arc::new(resolver),
                signer: Arc::new(Signer::new()),
                body_budget: None,
                diagnosis_log: None,
                #[cfg(feature = "doctor")]
                remedies: None,
                names: SettingNames::default(),
                report: false,
                recovery: cfg!(feature = "doctor").then(Arc::default),
                retries: None,
            }),
        }
    }

    /// Sets the clock for the signing time and the expiry of credentials.
    ///
    /// The default is the clock of the [`CredentialsCache`]. The caches of other identities load and refresh credentials
    /// by their own clocks: give them the same one.
    pub fn with_clock(mut self, clock: Clock) -> Self {
        let config = self.config_mut();
        config.credentials = config.credentials.clone().with_clock(clock);
        self
    }

    /// Limits the memory of buffered bodies, by a budget that layers can share (no limit by default).
    pub fn with_body_budget(mut self, budget: BodyBudget) -> Self {
        self.config_mut().body_budget = Some(budget);
        self
    }

    /// Enables or disables the diagnosis of rejected signatures (disabled by default).
    ///
    /// The layer then reads up to 64 KiB of a response with status 400 or 403, for up to 2 seconds. If the
    /// response concerns the signature, a [`Diagnosis`](crate::doctor::Diagnosis) is put into its extensions. With
    /// the feature `tracing` it is logged, each cause once a minute. The response is passed on whole. Each request
    /// costs one allocation, which holds the canonical request until the response arrives.
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
    #[cfg(feature = "doctor")]
    #[cfg_attr(docsrs, doc(cfg(feature = "doctor")))]
    pub fn with_diagnosis(mut self, diagnosis: bool) -> Self {
        self.config_mut().diagnosis_log = diagnosis.then(Arc::default);
        self
    }

    /// Sets the remedies of diagnoses, in place of [`Cause::remedies`](crate::doctor::Cause::remedies), which name methods
    /// of this crate.
    ///
    /// A diagnosis with [specific remedies](crate::doctor::Diagnosis::specific_remedies) keeps them.
    #[cfg(feature = "doctor")]
    #[cfg_attr(docsrs, doc(cfg(feature = "doctor")))]
    pub fn with_remedies(
        mut self,
        remedies: fn(crate::doctor::Cause) -> &'static [&'static str],
    ) -> Self {
        self.config_mut().remedies = Some(remedies);
        self
    }

    /// Sets names for the settings that events mention, in place of the methods of this crate; see
    /// [`Error::message_with`](crate::Error::message_with).
    #[cfg(feature = "tracing")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tracing")))]
    pub fn with_setting_names(mut self, rename: fn(&str) -> Option<&'static str>) -> Self {
        self.config_mut().names.rename = rename;
        self
    }

    /// Enables or disables recovery from a wrong clock and from expired credentials (enabled by default).
    ///
    /// An origin's response is a claim, so the layer acts only on a rejection with status 400 or 403 that has the
    /// error code of the service in the place where the service puts it, together with the beginning of the
    /// message that belongs to the code, in a body of at most 64 KiB. The origin has to
    /// [recover](crate::Origin::with_recovery), which is the default for hosts of AWS.
    ///
    /// - If the signing time is wrong, the layer learns the difference from the response's `date`, unless it is more
    ///   than a day or a cache has stored the response (`age`, RFC 9111, section 5.1). The correction applies to
    ///   this origin alone, and only as long as the origin accepts requests with it.
    /// - If credentials with a session token have expired, the layer asks the provider, unless it did so within
    ///   the last 5 seconds. Requests to other origins continue to use the credentials meanwhile, and other identities
    ///   are not affected. If the provider has no other credentials, the caller receives the origin's response.
    ///
    /// Then the request is signed and sent once more, whatever its method, since a rejected signature has no
    /// effect. Only a body that is empty, collected or in a temporary file can be sent again. The caller of
    /// a request whose body streams receives the rejection, and the next request is corrected.
    ///
    /// The layer reads rejections as for a [diagnosis](SigningLayer::with_diagnosis). It stores a copy of head and
    /// body, which shares their bytes, until the response arrives. It needs no copy if the origin has accepted
    /// these credentials within the last minute and they are valid for longer than the widest clock window, 15
    /// minutes.
    #[cfg(feature = "doctor")]
    #[cfg_attr(docsrs, doc(cfg(feature = "doctor")))]
    pub fn with_recovery(mut self, recovery: bool) -> Self {
        self.config_mut().recovery = recovery.then(Arc::default);
        self
    }

    /// Retries failed requests by this policy (no retries by default). Each attempt has its own date and signature.
    ///
    /// The [`RetryPolicy`](crate::retry::RetryPolicy) has an example. The layer stores a copy of head and body, which
    /// shares their bytes, until the response arrives. So the body needs no `Clone`. A body that is empty, collected
    /// or in a temporary file can be sent again. A request whose body streams is sent once; see
    /// [`PayloadMode`](crate::origin::PayloadMode). A recovery takes no attempt of the policy.
    #[cfg(feature = "retry")]
    #[cfg_attr(docsrs, doc(cfg(feature = "retry")))]
    pub fn with_retries(mut self, policy: crate::retry::RetryPolicy) -> Self {
        self.config_mut().retries = Some(policy);
        self
    }

    /// Enables or disables a [`SigningReport`](crate::sign::SigningReport) in the extensions of each response to a
    /// signed request (disabled by default).
    pub fn with_report(mut self, report: bool) -> Self {
        self.config_mut().report = report;
        self
    }

    /// Returns the cache of the layer's own credentials, for example to [`invalidate`](CredentialsCache::invalidate) them.
    pub fn credentials(&self) -> &CredentialsCache {
        &self.config.credentials
    }

    fn config_mut(&mut self) -> &mut LayerConfig {
        Arc::make_mut(&mut self.config)
    }
}

impl<S> Layer<S> for SigningLayer {
    type Service = Signing<S>;

    fn layer(&self, inner: S) -> Signing<S> {
        Signing {
            inner,
            config: self.config.clone(),
        }
    }
}

impl fmt::Debug for SigningLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningLayer")
            .field("credentials", &self.config.credentials)
            .finish_non_exhaustive()
    }
}
