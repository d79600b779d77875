//! Spans as messages of OTLP.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::SpanKind, status::StatusCode},
};

use super::super::span::{FinishedSpan, Kind, Value};

// `SpanFlags` of trace.proto.
const SAMPLED: u32 = 1;
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

pub(super) fn request(
    attributes: &BTreeMap<String, String>,
    spans: &[FinishedSpan],
) -> ExportTraceServiceRequest {
    let scope_spans = ScopeSpans {
        scope: Some(scope()),
        spans: spans.iter().map(span).collect(),
        ..ScopeSpans::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource(attributes)),
            scope_spans: vec![scope_spans],
            ..ResourceSpans::default()
        }],
    }
}

pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

pub(super) fn resource(attributes: &BTreeMap<String, String>) -> Resource {
    Resource {
        attributes: attributes.iter().map(|(name, it)| text(name, it)).collect(),
        ..Resource::default()
    }
}

pub(super) fn text(name: &str, value: &str) -> KeyValue {
    key_value(name, any_value::Value::StringValue(value.to_owned()))
}

fn key_value(name: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// Returns nanoseconds since the epoch, which fit until the year 2554.
pub(super) fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn span(finished: &FinishedSpan) -> Span {
    let kind = match finished.kind {
        Kind::Internal => SpanKind::Internal,
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
    };
    let remote = if finished.remote_parent { IS_REMOTE } else { 0 };
    let attributes = finished.attributes.iter().map(|(name, value)| match value {
        Value::Text(content) => text(name, content),
        Value::Int(number) => key_value(name, any_value::Value::IntValue(*number)),
    });
    let status = finished.is_error.then(|| Status {
        code: StatusCode::Error.into(),
        ..Status::default()
    });
    let parent = finished.parent_id.map(u64::to_be_bytes);
    Span {
        trace_id: finished.trace_id.to_be_bytes().to_vec(),
        span_id: finished.span_id.to_be_bytes().to_vec(),
        parent_span_id: parent.map(|id| id.to_vec()).unwrap_or_default(),
        trace_state: finished.trace_state.clone(),
        flags: SAMPLED | HAS_IS_REMOTE | remote,
        name: finished.name.clone(),
        kind: kind.into(),
        start_time_unix_nano: nanos(finished.start),
        end_time_unix_nano: nanos(finished.end.max(finished.start)),
        attributes: attributes.collect(),
        status,
        ..Span::default()
    }
}
