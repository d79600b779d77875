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

/// IDs are not zero. The range `1..` would need a division.
pub(super) fn random_span_id() -> u64 {
    fastrand::u64(..).max(1)
}

pub(super) fn random_trace_id() -> u128 {
    fastrand::u128(..).max(1)
}

/// Every request to an origin has one, so it is written without a formatter.
pub(super) fn traceparent(trace_id: u128, span_id: u64, is_sampled: bool) -> Option<HeaderValue> {
    let mut text = *b"00-................................-................-00";
    write_hex(&mut text[3..35], &trace_id.to_be_bytes());
    write_hex(&mut text[36..52], &span_id.to_be_bytes());
    text[54] += u8::from(is_sampled);
    HeaderValue::from_bytes(&text).ok()
}

fn write_hex(digits: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
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
