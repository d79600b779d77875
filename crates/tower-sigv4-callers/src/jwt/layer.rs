use std::sync::Arc;

use tower_layer::Layer;

use super::{JwtVerifier, VerifyJwt};
use crate::verification::LayerConfig;

/// Layer that applies [`VerifyJwt`]: rejects requests without a valid token.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use std::convert::Infallible;
/// use bytes::Bytes;
/// use http::{Request, Response, StatusCode, header::WWW_AUTHENTICATE};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_sigv4_callers::{
///     HttpClient,
///     jwt::{JwtLayer, JwtSettings, JwtVerifier, RejectionKind, VerifiedToken},
/// };
///
/// let settings = JwtSettings::new("https://login.example.com")?.add_audience("orders");
/// let verifier = JwtVerifier::new(HttpClient::disabled(), [settings])?;
/// let server = ServiceBuilder::new()
///     .layer(JwtLayer::new(verifier))
///     .service_fn(async |request: Request<Full<Bytes>>| {
///         let caller = request.extensions().get::<VerifiedToken>().expect("inserted by the layer");
///         let hello = format!("hello {}", caller.subject());
///         Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(hello))))
///     });
///
/// let request = Request::get("/orders").body(Full::default())?;
/// let rejected = server.oneshot(request).await?;
/// assert_eq!(rejected.status(), StatusCode::UNAUTHORIZED);
/// assert_eq!(rejected.headers()[WWW_AUTHENTICATE], "Bearer");
/// assert_eq!(rejected.extensions().get(), Some(&RejectionKind::MissingToken));
/// # Ok::<(), tower_sigv4_callers::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct JwtLayer {
    config: Arc<LayerConfig<JwtVerifier>>,
}

impl JwtLayer {
    /// Accepts requests with a token that is valid for this verifier.
    pub fn new(verifier: JwtVerifier) -> Self {
        Self {
            config: Arc::new(LayerConfig::new(verifier)),
        }
    }

    /// Keeps the header with the token for the inner service (off by default).
    ///
    /// A service that forwards requests would send the token to others, who could use it.
    pub fn with_forwarded_token(mut self, forwards: bool) -> Self {
        Arc::make_mut(&mut self.config).forwards_credential = forwards;
        self
    }

    /// Accepts requests without a token (off by default).
    ///
    /// They reach the inner service without a [`VerifiedToken`](super::VerifiedToken). An invalid token is still
    /// rejected.
    pub fn with_anonymous(mut self, accepted: bool) -> Self {
        Arc::make_mut(&mut self.config).allows_anonymous = accepted;
        self
    }
}

impl<S> Layer<S> for JwtLayer {
    type Service = VerifyJwt<S>;

    fn layer(&self, inner: S) -> VerifyJwt<S> {
        VerifyJwt {
            inner,
            config: self.config.clone(),
        }
    }
}
