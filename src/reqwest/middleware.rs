use std::{error::Error as StdError, fmt, future::Future, pin::Pin, sync::Arc};

use http::{Extensions, response};
use reqwest::{Request, Response, ResponseBuilderExt, Url};
use reqwest_middleware::{ClientWithMiddleware, Error, Middleware, Next, Result};
use tower_layer::Layer;

use super::service::ReqwestService;
use crate::{Signing, SigningLayer, error::BoxError};

/// Signs the requests of a [`ClientWithMiddleware`], which has reqwest's own `get`, `post`, `json` and `send`.
///
/// [`into_client`](SigningMiddleware::into_client) returns such a client. To combine it with other middleware, such
/// as `reqwest-retry`, add it **last**: it sends the request itself, through a [`ReqwestService`], so that neither
/// a redirect nor a retry repeats a signature. Middleware before it sees unsigned requests, and each retry is
/// signed again.
///
/// Values of `RequestBuilder::with_extension` are in the extensions of the request that is signed, where a
/// [`ResolveOrigin`](crate::origin::ResolveOrigin) can read them. Errors of signing are [`Error::Middleware`];
/// [`Error::find`](crate::Error::find) finds them. reqwest folds dot segments when it parses a URL, which is before
/// the request is signed.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::collections::HashMap;
/// use tower_sigv4::{
///     BoxError, ErrorKind, SigningLayer,
///     credentials::Credentials,
///     origin::UriOrigin,
///     reqwest::{ReqwestService, SigningMiddleware},
/// };
///
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
/// let layer = SigningLayer::new(credentials, UriOrigin::infer());
/// let service = ReqwestService::new(reqwest::Client::builder())?;
/// let client = SigningMiddleware::new(layer, service).into_client();
///
/// let order = HashMap::from([("item", "book")]);
/// let sent = client.post("http://api.example.com/orders").json(&order).send().await;
///
/// // This host is not an AWS endpoint, so nothing was sent.
/// let kind = tower_sigv4::Error::find(&sent.unwrap_err()).map(tower_sigv4::Error::kind);
/// assert_eq!(kind, Some(ErrorKind::Request));
/// # Ok::<(), BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SigningMiddleware {
    signing: Signing<ReqwestService>,
}

impl SigningMiddleware {
    /// Signs with this layer and sends with this service.
    pub fn new(layer: SigningLayer, service: ReqwestService) -> Self {
        Self {
            signing: layer.layer(service),
        }
    }

    /// Creates a client that signs every request.
    #[must_use]
    pub fn into_client(self) -> ClientWithMiddleware {
        let client = self.signing.get_ref().client.clone();
        let middleware: [Arc<dyn Middleware>; 1] = [Arc::new(self)];
        ClientWithMiddleware::new(client, middleware)
    }

    async fn sign_and_send(&self, request: Request, extensions: Extensions) -> Result<Response> {
        let url = request.url().clone();
        let mut signable = http::Request::<reqwest::Body>::try_from(request)?;
        let version = signable.version();
        signable.extensions_mut().extend(extensions);
        signable.extensions_mut().insert(version); // `Signing` resets that of the request
        let mut response = self.signing.send(signable).await.map_err(error)?;
        response.extensions_mut().extend(url_extensions(url));
        Ok(response.map(reqwest::Body::wrap).into())
    }
}

impl Middleware for SigningMiddleware {
    // As `async_trait` writes it.
    fn handle<'life0, 'life1, 'life2, 'async_trait>(
        &'life0 self,
        request: Request,
        extensions: &'life1 mut Extensions,
        _: Next<'life2>,
    ) -> Pin<Box<dyn Future<Output = Result<Response>> + Send + 'async_trait>>
    where
        Self: 'async_trait,
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
    {
        Box::pin(self.sign_and_send(request, extensions.clone()))
    }
}

/// Returns the extensions by which reqwest knows the URL of a response.
fn url_extensions(url: Url) -> Extensions {
    let response = response::Builder::new().url(url).body(());
    response
        .map(|empty| empty.into_parts().0.extensions)
        .unwrap_or_default()
}

/// An error of signing as the source of another one, since [`Error::Middleware`] skips the error that it holds.
#[derive(Debug)]
struct SigningError(BoxError);

impl fmt::Display for SigningError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for SigningError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

fn error(error: BoxError) -> Error {
    match error.downcast::<reqwest::Error>() {
        Ok(sending) => Error::Reqwest(*sending),
        Err(signing) => Error::middleware(SigningError(signing)),
    }
}
