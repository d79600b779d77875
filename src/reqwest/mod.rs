//! reqwest as the HTTP client behind [`SigningLayer`](crate::SigningLayer): feature `reqwest`.
//!
//! [`ReqwestService`] is a tower service. With the feature `reqwest-middleware`, `SigningMiddleware` signs what
//! reqwest's own methods send: `client.post(url).json(&order).send().await`.
//!
//! # Redirects and retries
//!
//! A signature is valid for one request. A client that follows a redirect sends the old signature, and the session
//! token with it, to another host; one that retries sends it until it has expired. A finished [`reqwest::Client`]
//! does not reveal its policies, so `ReqwestService` builds the client from a
//! [`ClientBuilder`](::reqwest::ClientBuilder) and keeps all other settings. Redirects are returned as responses. For
//! retries use `SigningLayer::with_retries`, feature `retry`.
//!
//! # URLs
//!
//! A server derives the signature from the request it receives, but reqwest parses URLs as browsers do: it folds
//! `..` and encodes characters that RFC 3986 allows. If the URL would differ from the signed one, nothing is sent,
//! and the error is of kind [`Request`](crate::ErrorKind::Request). This affects dot segments in a key of S3, which
//! no setting changes, and `'` in a query, which [`WireForm::Canonical`](crate::origin::WireForm::Canonical)
//! encodes.
//!
//! HTTP/2 has a single field for the signed host and the host of the connection. So
//! [`new`](ReqwestService::new) requires them to be equal, and [`http1_only`](ReqwestService::http1_only) does not.
//!
//! # Bodies and headers
//!
//! Bodies stream in both directions, trailers included, with `content-length` if the length is known. Headers that
//! reqwest adds itself (default headers, cookies, `accept-encoding`) are not signed, so do not add `x-amz-*` there.
//!
//! # TLS
//!
//! This feature enables no TLS: depend on reqwest with a feature such as `rustls`. With `rustls-no-provider`,
//! install a crypto provider before building a client; reqwest panics without one.

#[cfg(feature = "reqwest-middleware")]
mod middleware;
mod service;

#[cfg(feature = "reqwest-middleware")]
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest-middleware")))]
pub use self::middleware::SigningMiddleware;
pub use self::service::{ReqwestService, ResponseFuture};
