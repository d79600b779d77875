//! Tower middleware that caches HTTP responses as a shared cache, in memory or in Redis.
//!
//! [`CacheLayer`] stores responses that their headers allow to be stored, and responds with them while they are fresh.
//! It implements
//! - RFC 9111: storability (section 3), keys and `vary` (4.1), freshness and age (4.2), validation (4.3), invalidation by
//!   unsafe methods (4.4), and `cache-control` of both sides (5.2);
//! - RFC 9110: range requests to complete stored responses (section 14), and responses to POST that describe themselves
//!   (9.3.3);
//! - RFC 5861: `stale-while-revalidate` and `stale-if-error`;
//! - RFC 9213: `cdn-cache-control`, and [targeted fields](CacheLayer::with_targeted_fields) of your own;
//! - RFC 9211: the header `cache-status`; [`CacheStatus`] in the response's extensions says the same.
//!
//! Of concurrent requests for one response, one goes to the origin, and the others wait for it, unless the last response
//! could not be shared. The memory of a [`MemoryStore`] is limited with everything that a response uses: headers,
//! bookkeeping, copies in progress, and evicted responses that clients still read. A hit in memory allocates at most four
//! times.
//!
//! # Example
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Empty, Full};
//! use http_cache_layer::{CacheLayer, CacheStatus, MemoryStore};
//! use tower::{BoxError, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let service = ServiceBuilder::new()
//!     .layer(CacheLayer::new(MemoryStore::new(64 * 1024 * 1024)))
//!     .service_fn(async |_: Request<Empty<Bytes>>| {
//!         let response = Response::builder().header("cache-control", "max-age=60");
//!         response.body(Full::<Bytes>::from("hello"))
//!     });
//! let request = || Request::get("http://example.com/").body(Empty::new());
//! let first = service.clone().oneshot(request()?).await?;
//! first.into_body().collect().await?; // a response is stored once its body is complete
//! let second = service.oneshot(request()?).await?;
//! assert_eq!(second.extensions().get(), Some(&CacheStatus::Hit));
//! assert_eq!(second.headers()["cache-status"], "http-cache-layer; hit");
//! assert_eq!(second.into_body().collect().await?.to_bytes(), "hello");
//! # Ok(())
//! # }
//! ```
//!
//! # Order of layers
//! From the outside in: tracing, timeouts and limits for clients; **authentication**, since a hit does not reach the
//! layers below; **`CacheLayer`**; retries; **signing**, since a signature is valid for minutes and a response may be
//! fresh for days; the client. Compression belongs above the cache, decompression below it.
//!
//! # Clients
//! A request is cached under its host, path and query, and under the request headers in `vary`. Set
//! [`with_key`](CacheLayer::with_key) to separate responses by something else, such as the scheme that a trusted proxy has
//! forwarded.
//!
//! The response to a request that identifies its caller is shared only if the origin allows it (RFC 9111, section 3.5).
//! Requests do so with `authorization`, `cookie`, `x-api-key` or `x-amz-security-token`; see
//! [`with_caller_headers`](CacheLayer::with_caller_headers) for other headers,
//! [`with_authorized`](CacheLayer::with_authorized) for clients that are authenticated in another way, and
//! [`with_bypass`](CacheLayer::with_bypass) for URLs that contain credentials.
//!
//! # Limits
//! The cache is a shared one, and stores complete responses only. It stores no response with `set-cookie`, guesses no
//! freshness, and serves nothing stale without permission, unless [`with_cookies`](CacheLayer::with_cookies),
//! [`with_heuristics`](CacheLayer::with_heuristics) or [`with_stale_if_error`](CacheLayer::with_stale_if_error) say so.
//! Several ranges in one request are ignored, as RFC 9110 allows.
//!
//! # Features
//! `redis` adds `RedisStore`, for responses that several processes share.

#![cfg_attr(
    not(test),
    warn(
        clippy::shadow_reuse,
        clippy::shadow_same,
        clippy::shadow_unrelated,
        clippy::unwrap_used
    )
)]

mod body;
mod changes;
mod collapse;
mod conditional;
mod cost;
mod dates;
mod directives;
mod entry;
mod forward;
mod future;
mod key;
mod layer;
mod limit;
mod list;
mod methods;
mod observer;
mod pending;
mod policy;
mod range;
mod request;
mod response;
mod revalidate;
mod service;
mod settings;
mod shared;
mod status;
mod store;
mod stored_body;
mod stored_headers;
#[cfg(test)]
mod tests;
mod uncacheable;
mod update;
mod vary;

#[cfg(feature = "redis")]
pub use self::store::{InvalidRedisUrl, RedisLogin, RedisStore, SharedDecision, SharedRate};
pub use self::{
    body::ResponseBody,
    entry::Entry,
    future::ResponseFuture,
    key::Key,
    layer::CacheLayer,
    observer::{Observer, StoreOutcome},
    policy::Policy,
    service::Cache,
    status::{CacheStatus, ForwardReason},
    store::{
        Found, MemoryStore, Purge, PurgeOutcome, Store, StoreError, StoreFuture, StoreHealth,
        StoreServer, StoreStats, Ticket,
    },
    vary::{VariantId, VaryNames},
};

/// Compiles the README's code.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
