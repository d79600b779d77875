use std::ops::RangeInclusive;

use super::json::push_string;

/// A condition of a policy (Amazon S3 API Reference, "POST Policy", "Conditions").
#[derive(Clone, Debug)]
pub(super) enum Condition {
    Equals { field: String, value: String },
    StartsWith { field: String, prefix: String },
    ContentLength(RangeInclusive<u64>),
}

impl Condition {
    pub(super) fn equals(field: &str, value: &str) -> Self {
        Self::Equals {
            field: field.to_owned(),
            value: value.to_owned(),
        }
    }

    pub(super) fn starts_with(field: &str, prefix: &str) -> Self {
        Self::StartsWith {
            field: field.to_owned(),
            prefix: prefix.to_owned(),
        }
    }

    pub(super) fn push_json(&self, json: &mut String) {
        match self {
            Self::Equals { field, value } => {
                json.push('{');
                push_string(json, field);
                json.push_str(": ");
                push_string(json, value);
                json.push('}');
            }
            Self::StartsWith { field, prefix } => {
                json.push_str("[\"starts-with\", ");
                push_string(json, &format!("${field}"));
                json.push_str(", ");
                push_string(json, prefix);
                json.push(']');
            }
            Self::ContentLength(bytes) => {
                let (min, max) = (bytes.start(), bytes.end());
                json.push_str(&format!("[\"content-length-range\", {min}, {max}]"));
            }
        }
    }
}
