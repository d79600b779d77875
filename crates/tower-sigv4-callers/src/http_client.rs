//! Requests to identity providers.

use std::{error::Error as StdError, fmt, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use tower::{Service, ServiceExt, util::BoxCloneSyncService};

/// Error of an HTTP client.
pub type BoxError = Box<dyn StdError + Send + Sync>;

type BoxBody = UnsyncBoxBody<Bytes, BoxError>;

/// Sends requests to an identity provider, or another service that knows callers.
///
/// Any tower service that sends HTTP requests is a client. It must not follow redirects: a provider that redirects is
/// an error.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower_sigv4_callers::{BoxError, HttpClient};
///
/// let service = tower::service_fn(|_: Request<Full<Bytes>>| async {
///     Ok::<_, BoxError>(Response::new(Full::new(Bytes::from_static(b"{}"))))
/// });
/// let client = HttpClient::new(service);
/// assert_eq!(format!("{client:?}"), "HttpClient");
/// ```
#[derive(Clone)]
pub struct HttpClient {
    service: BoxCloneSyncService<Request<Full<Bytes>>, Response<BoxBody>, BoxError>,
}

impl HttpClient {
    /// Creates a client that sends its requests with `service`.
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let boxed = service
            .map_response(|response| response.map(|body| body.map_err(Into::into).boxed_unsync()))
            .map_err(Into::into);
        Self {
            service: BoxCloneSyncService::new(boxed),
        }
    }

    /// Creates a client that fails every request, for settings that need none.
    ///
    /// ```
    /// use tower_sigv4_callers::{HttpClient, jwt::{JwtSettings, JwtVerifier}};
    ///
    /// let settings = JwtSettings::new("https://login.example.com")?
    ///     .with_jwks(r#"{"keys": []}"#)?
    ///     .add_audience("orders");
    /// assert!(JwtVerifier::new(HttpClient::disabled(), [settings]).is_ok());
    /// # Ok::<(), tower_sigv4_callers::Error>(())
    /// ```
    #[must_use]
    pub fn disabled() -> Self {
        Self::new(tower::service_fn(|_| async {
            Err::<Response<Full<Bytes>>, BoxError>("the HTTP client is disabled".into())
        }))
    }

    /// Sends a request, and returns its response with the whole body.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use std::time::Duration;
    /// use http::Request;
    /// use tower_sigv4_callers::HttpClient;
    ///
    /// let request = Request::get("https://login.example.com/keys").body("".into()).unwrap();
    /// let sent = HttpClient::disabled().send(request, 65_536, Duration::from_secs(5)).await;
    /// assert_eq!(sent.unwrap_err().to_string(), "the HTTP client is disabled");
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// The client's own error, a body that exceeds `limit` bytes, or a [`tokio::time::error::Elapsed`] after `timeout`,
    /// which covers the body too.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        limit: usize,
        timeout: Duration,
    ) -> Result<Response<Bytes>, BoxError> {
        let exchange = async {
            let response = self.service.clone().oneshot(request).await?;
            let (head, mut body) = response.into_parts();
            let mut collected = BytesMut::new();
            while let Some(frame) = body.frame().await {
                let data = frame?.into_data().unwrap_or_default();
                if data.len() > limit - collected.len() {
                    return Err(format!("the response exceeds {limit} bytes").into());
                }
                collected.extend_from_slice(&data);
            }
            Ok(Response::from_parts(head, collected.freeze()))
        };
        tokio::time::timeout(timeout, exchange).await?
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        pin::Pin,
        task::{Context, Poll},
    };

    use http_body::Frame;
    use http_body_util::Empty;

    use super::*;

    /// A body whose end never comes.
    struct PendingBody;

    impl Body for PendingBody {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Pending
        }
    }

    fn client(body: &'static str) -> HttpClient {
        HttpClient::new(tower::service_fn(
            move |_: Request<Full<Bytes>>| async move {
                Ok::<_, BoxError>(Response::new(Full::from(body)))
            },
        ))
    }

    async fn send(client: HttpClient) -> Result<Bytes, String> {
        let sent = client
            .send(Request::default(), 5, Duration::from_secs(1))
            .await;
        sent.map(Response::into_body)
            .map_err(|error| error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn responses_are_limited_in_size() {
        assert_eq!(send(client("12345")).await, Ok(Bytes::from("12345")));
        let too_large = send(client("123456")).await;
        assert_eq!(too_large, Err("the response exceeds 5 bytes".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn timeout_covers_head_and_body() {
        let no_head = HttpClient::new(tower::service_fn(|_| {
            pending::<Result<Response<Empty<Bytes>>, BoxError>>()
        }));
        assert_eq!(send(no_head).await, Err("deadline has elapsed".to_owned()));
        let no_body = HttpClient::new(tower::service_fn(|_| async {
            Ok::<_, BoxError>(Response::new(PendingBody))
        }));
        assert_eq!(send(no_body).await, Err("deadline has elapsed".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn errors_of_the_client_are_returned() {
        let disabled = send(HttpClient::disabled()).await;
        assert_eq!(disabled, Err("the HTTP client is disabled".to_owned()));
    }
}
