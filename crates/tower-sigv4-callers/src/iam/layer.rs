use std::sync::Arc;

use tower_layer::Layer;

use super::{IamVerifier, VerifyIam};
use crate::verification::LayerConfig;

/// Layer that applies [`VerifyIam`]: rejects requests without a URL that STS accepts.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use std::convert::Infallible;
/// use bytes::Bytes;
/// use http::{Request, Response, StatusCode};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_sigv4_callers::{
///     HttpClient,
///     iam::{IamLayer, IamSettings, IamVerifier, RejectionKind, VerifiedPrincipal},
/// };
///
/// let settings = IamSettings::new("gateway.example.com")?.with_accounts(["123456789012"])?;
/// let verifier = IamVerifier::new(HttpClient::disabled(), settings)?;
/// let server = ServiceBuilder::new()
///     .layer(IamLayer::new(verifier))
///     .service_fn(async |request: Request<Full<Bytes>>| {
///         let caller = request.extensions().get::<VerifiedPrincipal>().expect("inserted by the layer");
///         let hello = format!("hello {}", caller.arn());
///         Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(hello))))
///     });
///
/// let request = Request::get("/orders").body(Full::default())?;
/// let rejected = server.oneshot(request).await?;
/// assert_eq!(rejected.status(), StatusCode::FORBIDDEN);
/// assert_eq!(rejected.extensions().get(), Some(&RejectionKind::MissingUrl));
/// # Ok::<(), tower_sigv4_callers::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct IamLayer {
    config: Arc<LayerConfig<IamVerifier>>,
}

impl IamLayer {
    /// Accepts requests with a URL that this verifier accepts.
    pub fn new(verifier: IamVerifier) -> Self {
        Self {
            config: Arc::new(LayerConfig::new(verifier)),
        }
    }

    /// Keeps the header with the URL for the inner service (off by default).
    ///
    /// A service that forwards requests would send the URL to others.
    pub fn with_forwarded_url(mut self, forwards: bool) -> Self {
        Arc::make_mut(&mut self.config).forwards_credential = forwards;
        self
    }

    /// Accepts requests without a URL (off by default).
    ///
    /// They reach the inner service without a [`VerifiedPrincipal`](super::VerifiedPrincipal). An invalid URL is still
    /// rejected.
    pub fn with_anonymous(mut self, accepted: bool) -> Self {
        Arc::make_mut(&mut self.config).allows_anonymous = accepted;
        self
    }
}

impl<S> Layer<S> for IamLayer {
    type Service = VerifyIam<S>;

    fn layer(&self, inner: S) -> VerifyIam<S> {
        VerifyIam {
            inner,
            config: self.config.clone(),
        }
    }
}
