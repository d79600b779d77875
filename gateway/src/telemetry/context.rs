//! W3C's trace context (<https://www.w3.org/TR/trace-context/>).

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::request_id;

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Context that a client has sent.
#[derive(Debug, PartialEq)]
pub(super) struct Parent {
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
    pub(super) is_sampled: bool,
}

impl Parent {
    /// Returns `None` for a missing or an invalid context.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = request_id::traceparent(headers)?.to_str().ok()?;
        let flags = u8::from_str_radix(text.get(53..55)?, 16).ok()?;
        Some(Self {
            trace_id: u128::from_str_radix(text.get(3..35)?, 16).ok()?,
            span_id: u64::from_str_radix(text.get(36..52)?, 16).ok()?,
            is_sampled: flags & 1 == 1,
        })
    }
}

pub(super) fn random_span_id() -> u64 {
    fastrand::u64(1..)
}

pub(super) fn random_trace_id() -> u128 {
    fastrand::u128(1..)
}

pub(super) fn traceparent(trace_id: u128, span_id: u64, is_sampled: bool) -> Option<HeaderValue> {
    let flags = u8::from(is_sampled);
    HeaderValue::try_from(format!("00-{trace_id:032x}-{span_id:016x}-{flags:02x}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_read_as_they_are_written() {
        for is_sampled in [false, true] {
            let mut headers = HeaderMap::new();
            let value = traceparent(0xab, 0xcd, is_sampled).expect("a value");
            headers.insert(TRACEPARENT, value);
            let parent = Parent {
                trace_id: 0xab,
                span_id: 0xcd,
                is_sampled,
            };
            assert_eq!(Parent::of(&headers), Some(parent));
        }
        assert_eq!(Parent::of(&HeaderMap::new()), None);
    }
}
