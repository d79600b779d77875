use std::{
    fmt::Write,
    hash::{BuildHasher, RandomState},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderMap, HeaderValue, Method, Request, Uri, request::Parts};

use super::{ErrorFormat, format::MediaType};
use crate::sigv4::signed_headers::single_value;

/// Parts of a request that its error response depends on.
///
/// Create it before the request is sent on. It is cheap to create and to drop.
///
/// The ID of the response is that of the request's `x-request-id`, up to 64 letters, digits, `-`, `_` and `.`, and
/// a random one otherwise. It is in the document, and in `x-amz-request-id` for S3 or `x-amzn-requestid` elsewhere.
#[derive(Clone, Debug)]
#[must_use]
pub struct ErrorContext {
    pub(super) format: ErrorFormat,
    pub(super) media_type: JsonType,
    pub(super) is_head: bool,
    /// `true` if the client reads the code of the query protocol, too.
    pub(super) has_query_mode: bool,
    request_id: Option<HeaderValue>,
}

/// Media type of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JsonType {
    Plain,
    Amz10,
    Amz11,
}

impl ErrorContext {
    /// Finds the format that the client of a request reads, from its `content-type` and from the service that its
    /// signature names. A request that shows neither gets the `fallback`.
    pub fn new<B>(request: &Request<B>, fallback: ErrorFormat) -> Self {
        Self::of(request.method(), request.uri(), request.headers(), fallback)
    }

    /// As [`new`](ErrorContext::new), for a head without its body.
    pub fn from_head(head: &Parts, fallback: ErrorFormat) -> Self {
        Self::of(&head.method, &head.uri, &head.headers, fallback)
    }

    fn of(method: &Method, uri: &Uri, headers: &HeaderMap, fallback: ErrorFormat) -> Self {
        Self {
            format: ErrorFormat::for_client(uri, headers).unwrap_or(fallback),
            media_type: match MediaType::of(headers) {
                Some(MediaType::AmzJson10) => JsonType::Amz10,
                Some(MediaType::AmzJson11) => JsonType::Amz11,
                _ => JsonType::Plain,
            },
            is_head: method == Method::HEAD,
            has_query_mode: headers.contains_key("x-amzn-query-mode"),
            request_id: single_value(headers, "x-request-id")
                .filter(|id| is_request_id(id.as_bytes()))
                .cloned(),
        }
    }

    /// Sets the format, in place of the one that the client reads.
    pub fn with_format(mut self, format: ErrorFormat) -> Self {
        self.format = format;
        self
    }

    /// Returns the format.
    #[must_use]
    pub fn format(&self) -> ErrorFormat {
        self.format
    }

    pub(super) fn request_id(&self) -> HeaderValue {
        self.request_id.clone().unwrap_or_else(random_id)
    }
}

fn is_request_id(bytes: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=64).contains(&bytes.len()) && bytes.iter().all(is_allowed)
}

/// Returns an ID in the form of those of S3. It is unique in this process, and no secret.
fn random_id() -> HeaderValue {
    static SEED: OnceLock<RandomState> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let hash = SEED.get_or_init(RandomState::new).hash_one(number);
    let mut text = String::with_capacity(16);
    let _ = write!(text, "{hash:016X}");
    HeaderValue::try_from(text).expect("hex digits are valid")
}
