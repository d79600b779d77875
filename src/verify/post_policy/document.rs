//! The policy of a form, and its conditions.

use std::{
    ops::RangeInclusive,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_smithy_types::date_time::{DateTime, Format};
use serde_json::Value;

use super::multipart::{Fields, malformed};
use crate::verify::{Rejection, RejectionKind as Kind, rejection::truncated};

/// Fields that no condition has to cover (Amazon S3 API Reference, "POST Policy").
fn is_exempt(name: &str) -> bool {
    let starts_with_ignore = name
        .get(..9)
        .is_some_and(|start| start.eq_ignore_ascii_case("x-ignore-"));
    starts_with_ignore
        || ["file", "policy", "x-amz-signature"]
            .iter()
            .any(|exempt| name.eq_ignore_ascii_case(exempt))
}

/// A field of a condition in lower case, with the text that its value must have or start with.
enum Condition {
    Equals(String, String),
    StartsWith(String, String),
    Size(RangeInclusive<u64>),
}

/// Checks the policy against the fields, and returns the range of the file's size.
pub(super) fn check(
    json: &[u8],
    fields: &Fields,
    bucket: &str,
    now: SystemTime,
) -> Result<RangeInclusive<u64>, Rejection> {
    let document: Value = serde_json::from_slice(json)
        .map_err(|_| malformed("the form's policy is not JSON in base64"))?;
    if expiration(&document)? <= now {
        return Err(Kind::Expired.rejection("the form's policy has expired"));
    }
    let list = document
        .get("conditions")
        .and_then(Value::as_array)
        .ok_or_else(|| malformed("the form's policy has no conditions"))?;
    let conditions: Vec<_> = list.iter().map(parse).collect::<Result<_, _>>()?;
    let value_of = |name: &str| match name {
        "bucket" => Some(bucket.to_owned()),
        _ => fields.value(name).map(|value| fields.with_file_name(value)),
    };
    if fields.value("bucket").is_some_and(|field| field != bucket) {
        return Err(Kind::PolicyCondition
            .rejection("the form's field bucket is not the bucket that it is posted to"));
    }
    let mut size = 0..=u64::MAX;
    for condition in &conditions {
        let (field, is_met) = match condition {
            Condition::Size(range) => {
                size = *size.start().max(range.start())..=*size.end().min(range.end());
                continue;
            }
            Condition::Equals(field, text) => (field, value_of(field).as_ref() == Some(text)),
            Condition::StartsWith(field, prefix) => (
                field,
                starts_with(field, &value_of(field).unwrap_or_default(), prefix),
            ),
        };
        if !is_met {
            return Err(Kind::PolicyCondition.rejection(format!(
                "the form does not meet its policy's condition on {:?}",
                truncated(field)
            )));
        }
    }
    check_covered(fields, &conditions)?;
    Ok(size)
}

/// Compares each content type of a list (Amazon S3 API Reference, "POST Policy").
fn starts_with(field: &str, value: &str, prefix: &str) -> bool {
    if field == "content-type" {
        return value
            .split(',')
            .all(|one| one.trim_start().starts_with(prefix));
    }
    value.starts_with(prefix)
}

/// Rejects fields without a condition, and a policy for any bucket or key.
fn check_covered(fields: &Fields, conditions: &[Condition]) -> Result<(), Rejection> {
    let is_covered = |name: &str| {
        conditions.iter().any(|condition| match condition {
            Condition::Equals(field, _) | Condition::StartsWith(field, _) => {
                name.eq_ignore_ascii_case(field)
            }
            Condition::Size(_) => false,
        })
    };
    let names = fields.fields.iter().map(|(name, _)| &**name);
    let mut required = names
        .chain(["bucket", "key"])
        .filter(|name| !is_exempt(name));
    match required.find(|name| !is_covered(name)) {
        Some(name) => Err(Kind::PolicyCondition.rejection(format!(
            "the form's policy has no condition on {:?}; add one, or remove the field",
            truncated(name)
        ))),
        None => Ok(()),
    }
}

fn expiration(document: &Value) -> Result<SystemTime, Rejection> {
    let invalid =
        || malformed("the form's policy has no expiration such as 2015-12-30T12:00:00.000Z");
    let text = document.get("expiration").and_then(Value::as_str);
    let time = text
        .and_then(|date| DateTime::from_str(date, Format::DateTime).ok())
        .ok_or_else(invalid)?;
    let seconds = u64::try_from(time.secs()).map_err(|_| invalid())?;
    UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))
        .ok_or_else(invalid)
}

fn parse(condition: &Value) -> Result<Condition, Rejection> {
    let invalid = || {
        malformed(
            "a condition of the form's policy is neither {\"field\": \"value\"} nor [\"eq\", \"$field\", \"value\"], \
             [\"starts-with\", \"$field\", \"prefix\"] or [\"content-length-range\", 0, 1024]",
        )
    };
    if let Value::Object(object) = condition {
        let mut entries = object.iter();
        return match (entries.next(), entries.next()) {
            (Some((name, Value::String(value))), None) => {
                Ok(Condition::Equals(name.to_ascii_lowercase(), value.clone()))
            }
            _ => Err(invalid()),
        };
    }
    let [Value::String(operator), one, two] = condition.as_array().map_or(&[][..], Vec::as_slice)
    else {
        return Err(invalid());
    };
    let lower = operator.to_ascii_lowercase();
    if lower == "content-length-range" {
        let number = |value: &Value| match value {
            Value::String(digits) => digits.parse().ok(),
            other => other.as_u64(),
        };
        let (min, max) = number(one).zip(number(two)).ok_or_else(invalid)?;
        return Ok(Condition::Size(min..=max));
    }
    let (Some(name), Some(text)) = (
        one.as_str().and_then(|name| name.strip_prefix('$')),
        two.as_str(),
    ) else {
        return Err(invalid());
    };
    let field = name.to_ascii_lowercase();
    match &*lower {
        "eq" => Ok(Condition::Equals(field, text.to_owned())),
        "starts-with" => Ok(Condition::StartsWith(field, text.to_owned())),
        _ => Err(invalid()),
    }
}
