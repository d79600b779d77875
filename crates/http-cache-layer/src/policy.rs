//! Input of http-cache-semantics.
//!
//! It collapses repeated headers, and knows lower case only. It therefore sees a reduced copy of each message; host,
//! path and `vary` are compared before.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header, request};
use http_cache_semantics::{CacheOptions, CachePolicy};

use crate::{conditional::http_date, directives::Directives};

/// Replaces credentials, of which only the presence counts.
const REDACTED: HeaderValue = HeaderValue::from_static("redacted");

/// Marks a request as authorized in its extensions, without the header `authorization`.
#[derive(Clone, Copy)]
pub(crate) struct Authorized;

pub(crate) fn is_authorized(head: &request::Parts) -> bool {
    head.headers.contains_key(header::AUTHORIZATION)
        || head.extensions.get::<Authorized>().is_some()
}

/// Returns the policy of a response that was received at this time, `age` seconds old.
pub(crate) fn from_response(
    authorized: bool,
    status: StatusCode,
    headers: &HeaderMap,
    age: u64,
    received: SystemTime,
) -> CachePolicy {
    let mut response = Response::new(());
    *response.status_mut() = status;
    let names = [
        header::PRAGMA,
        header::EXPIRES,
        header::DATE,
        header::LAST_MODIFIED,
        header::ETAG,
    ];
    copy(headers, response.headers_mut(), &names);
    // At most 2^31 (RFC 9111, section 1.2.2): http-cache-semantics adds to it unchecked.
    response
        .headers_mut()
        .insert(header::AGE, age.min(1 << 31).into());
    let options = CacheOptions {
        immutable_min_time_to_live: Duration::ZERO,
        ..CacheOptions::default()
    };
    CachePolicy::new_options(&request(authorized), &response, received, options)
}

/// Returns the copy of a request to pass to [`CachePolicy::before_request`].
pub(crate) fn reduced_request(head: &request::Parts) -> Request<()> {
    let mut reduced = request(is_authorized(head));
    copy(&head.headers, reduced.headers_mut(), &[header::PRAGMA]);
    reduced
}

/// Returns the age of a response in seconds at its receipt (RFC 9111, section 4.2.3).
pub(crate) fn age(headers: &HeaderMap, now: SystemTime) -> u64 {
    let declared = headers
        .get(header::AGE)
        .and_then(|age| age.to_str().ok()?.parse().ok());
    let apparent = http_date(headers, header::DATE).and_then(|date| now.duration_since(date).ok());
    declared
        .unwrap_or(0)
        .max(apparent.unwrap_or_default().as_secs())
}

fn request(authorized: bool) -> Request<()> {
    let mut request = Request::new(());
    if authorized {
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, REDACTED);
    }
    request
}

fn copy(from: &HeaderMap, to: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        to.extend(from.get(name).map(|value| (name.clone(), value.clone())));
    }
    let directives = Directives::new(from).to_value();
    to.extend(directives.map(|value| (header::CACHE_CONTROL, value)));
}
