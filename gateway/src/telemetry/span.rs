//! A finished span.

use std::time::SystemTime;

#[cfg_attr(not(feature = "otlp"), allow(dead_code))]
pub(super) enum Value {
    Text(String),
    Int(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Int(number.into())
    }
}

pub(super) type Attribute = (&'static str, Value);

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Internal,
    Server,
    Client,
}

#[cfg_attr(not(feature = "otlp"), allow(dead_code))]
pub(super) struct FinishedSpan {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
    pub(super) parent_id: Option<u64>,
    /// `true` if the parent is in another process.
    pub(super) remote_parent: bool,
    pub(super) trace_state: String,
    pub(super) start: SystemTime,
    pub(super) end: SystemTime,
    pub(super) attributes: Vec<Attribute>,
    pub(super) is_error: bool,
}
