//! Rules of AWS for the headers of an event.

use http::HeaderName;

use super::EventType;

/// Returns `true` for headers that a function must not add, change or delete, or CloudFront responds with 502 (Amazon
/// CloudFront Developer Guide, "Restrictions on all edge functions", "Read-only headers").
///
/// `host` is read-only in viewer requests alone. `range` was on the list before, and signing changes neither.
pub(super) fn is_read_only(name: &str, event_type: EventType) -> bool {
    match event_type {
        EventType::OriginRequest => matches!(
            name,
            "accept-encoding"
                | "cdn-loop"
                | "content-length"
                | "if-modified-since"
                | "if-none-match"
                | "if-range"
                | "if-unmodified-since"
                | "range"
                | "transfer-encoding"
                | "via"
        ),
        EventType::ViewerRequest => matches!(
            name,
            "cdn-loop" | "content-length" | "host" | "transfer-encoding" | "via"
        ),
    }
}

/// Returns `true` for headers that events do not contain, and that a function must not add (same page, "Disallowed
/// headers"). The last four are not in all editions of the page, and a viewer's own must not reach the origin either way
/// (RFC 9440, section 2.4; RFC 9110, section 10.1.4).
pub(super) fn is_disallowed(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "expect"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "trailer"
            | "upgrade"
            | "x-accel-buffering"
            | "x-accel-charset"
            | "x-accel-limit-rate"
            | "x-accel-redirect"
            | "x-amzn-auth"
            | "x-amzn-cf-billing"
            | "x-amzn-cf-id"
            | "x-amzn-cf-xff"
            | "x-amzn-errortype"
            | "x-amzn-fle-profile"
            | "x-amzn-header-count"
            | "x-amzn-header-order"
            | "x-amzn-lambda-integration-tag"
            | "x-amzn-requestid"
            | "x-cache"
            | "x-forwarded-proto"
            | "x-real-ip"
            | "client-cert"
            | "client-cert-chain"
            | "cloudfront-viewer-cert-pem"
            | "te"
    ) || name.starts_with("x-amz-cf-")
        || name.starts_with("x-edge-")
}

/// Returns `true` for headers that CloudFront may add or change after the function, so that no signature may cover
/// them (same guide, "Request and response behavior for custom origins", "HTTP request headers and CloudFront
/// behavior"; for `range`, "How CloudFront processes partial requests for an object").
pub(super) fn changes_later(name: &HeaderName) -> bool {
    let text = name.as_str();
    is_disallowed(text)
        || is_read_only(text, EventType::OriginRequest)
        || text.starts_with("cloudfront-")
        || matches!(
            text,
            "if-match" | "user-agent" | "x-amzn-trace-id" | "x-forwarded-for"
        )
}
