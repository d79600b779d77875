use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{
    BodyCheck, KeyStore, Verifier, VerifyServices, body_check::DEFAULT_LIMIT,
    layer_config::LayerConfig, service::Verify,
};
use crate::{ErrorFormat, body::BodyBudget, clock::Clock};

/// Layer that applies [`Verify`]: rejects requests without a valid signature.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use std::{convert::Infallible, time::SystemTime};
/// use bytes::Bytes;
/// use http::{Request, Response, StatusCode};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_sigv4::{
///     SigningSettings, VerifyLayer,
///     body::VerifiedBody,
///     credentials::Credentials,
///     sigv4::{Identity, PayloadHash, Signer, SigningParams},
///     verify::{RejectionKind, StaticKeys, Verified, VerifySettings},
/// };
///
/// let key = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
/// let keys = StaticKeys::new([key.clone()])?;
/// let server = ServiceBuilder::new()
///     .layer(VerifyLayer::new(keys, VerifySettings::new("execute-api", "us-east-1")?))
///     .service_fn(async |request: Request<VerifiedBody<Full<Bytes>>>| {
///         let caller = request.extensions().get::<Verified>().expect("inserted by the layer");
///         let hello = format!("hello {}", caller.access_key_id());
///         Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(hello))))
///     });
///
/// let request = Request::get("http://api.example.com/orders").body(Full::default())?;
/// let rejected = server.clone().oneshot(request.clone()).await?;
/// assert_eq!(rejected.status(), StatusCode::FORBIDDEN);
/// let kind = rejected.extensions().get::<RejectionKind>();
/// assert_eq!(kind, Some(&RejectionKind::MissingAuthentication));
///
/// let (mut head, body) = request.into_parts();
/// let (settings, identity) = (SigningSettings::new("execute-api", "us-east-1")?, Identity::new(key)?);
/// let (payload, now) = (PayloadHash::EMPTY, SystemTime::now());
/// Signer::new().sign(&mut head, &SigningParams::new(&settings, &identity, payload, now))?;
/// let accepted = server.oneshot(Request::from_parts(head, body)).await?;
/// assert_eq!(accepted.status(), StatusCode::OK);
/// # Ok::<(), tower_sigv4::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
#[must_use]
pub struct VerifyLayer {
    config: Arc<LayerConfig>,
}

impl VerifyLayer {
    /// Accepts requests that are signed with one of these keys and meet these settings: a [`VerifySettings`], or a
    /// [`VerifyServices`] for several services with rules of their own.
    ///
    /// `keys` is a [`StaticKeys`](super::StaticKeys), a closure, or a [`KeyStore`] of your own.
    ///
    /// Error responses are in the format that the client reads, which it shows by its `content-type` and by the service
    /// that it signs for. Other clients read that of the (first) service of the settings; see
    /// [`error_response`](crate::error_response).
    ///
    /// [`VerifySettings`]: super::VerifySettings
    pub fn new(keys: impl KeyStore + 'static, settings: impl Into<VerifyServices>) -> Self {
        let services = settings.into();
        Self {
            config: Arc::new(LayerConfig {
                keys: Arc::new(keys),
                error_format: None,
                rename_settings: |_| None,
                service_groups: services.groups(),
                verifier: Arc::new(Verifier::new(services)),
                clock: Clock::system(),
                body_check: BodyCheck::default(),
                unhashed_limit: DEFAULT_LIMIT,
                budget: None,
                allows_anonymous: false,
                rewrites_path: false,
            }),
        }
    }

    /// Sets the time at which bodies are checked, for services without a
    /// [setting of their own](super::VerifySettings::with_body_check).
    pub fn with_body_check(mut self, check: BodyCheck) -> Self {
        self.config_mut().body_check = check;
        self
    }

    /// Sets the maximum size of a body without a hash in the headers, in bytes, for services whose other bodies are
    /// [`Streamed`](BodyCheck::Streamed); 16 MiB by default.
    ///
    /// Such a body is collected, since its signature can be verified only then. Only clients of the S3 family always
    /// send the hash.
    pub fn with_unhashed_limit(mut self, bytes: u64) -> Self {
        self.config_mut().unhashed_limit = bytes;
        self
    }

    /// Limits the memory of all collected bodies; other layers can share the budget (unlimited by default).
    ///
    /// If the headers have no hash, memory is reserved before the signature is verified.
    pub fn with_body_budget(mut self, budget: BodyBudget) -> Self {
        self.config_mut().budget = Some(budget);
        self
    }

    /// Sets the format of all error responses, in place of the one that each client reads.
    pub fn with_error_format(mut self, format: ErrorFormat) -> Self {
        self.config_mut().error_format = Some(format);
        self
    }

    /// Sets names for the settings that [explanations](super::VerifySettings::with_explain) and the log mention, in place
    /// of the methods of this crate; see [`Rejection::message_with`](super::Rejection::message_with).
    pub fn with_setting_names(mut self, rename: fn(&str) -> Option<&'static str>) -> Self {
        self.config_mut().rename_settings = rename;
        self
    }

    /// Accepts requests without any authorization (off by default).
    ///
    /// They reach the inner service without a [`Verified`](super::Verified), and nothing else is checked:
    /// neither path and host nor headers and body. A request with any authorization is still verified, and
    /// rejected if it is invalid.
    pub fn with_anonymous(mut self, accepted: bool) -> Self {
        self.config_mut().allows_anonymous = accepted;
        self
    }

    /// Replaces an ambiguous path by its canonical form; by default the request is rejected.
    ///
    /// Outside the S3 family, `/a//b` and `/x/../a/b` have the same signature as `/a/b`; for S3, `/a%2Fb` has
    /// that of `/a/b`. So a client with a presigned URL for one can send it for the other. Enable this only if
    /// nothing reads the path before this layer; a router that has already matched its route does.
    pub fn with_path_rewrite(mut self, rewrites: bool) -> Self {
        self.config_mut().rewrites_path = rewrites;
        self
    }

    /// Sets the clock that signing times are compared with, for tests.
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.config_mut().clock = clock;
        self
    }

    fn config_mut(&mut self) -> &mut LayerConfig {
        Arc::make_mut(&mut self.config)
    }
}

impl<S> Layer<S> for VerifyLayer {
    type Service = Verify<S>;

    fn layer(&self, inner: S) -> Verify<S> {
        Verify {
            inner,
            config: self.config.clone(),
        }
    }
}

impl fmt::Debug for VerifyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyLayer")
            .field("verifier", &self.config.verifier)
            .field("clock", &self.config.clock)
            .field("body_check", &self.config.body_check)
            .finish_non_exhaustive()
    }
}
