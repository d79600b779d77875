//! Durations, rates and sizes: numbers with a unit.

use std::{borrow::Cow, fmt, num::NonZeroU32, time::Duration};

use bytesize::ByteSize;
use governor::Quota;
use humantime::DurationError;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Visitor},
};

use super::{
    error::ConfigError,
    value::{Spanned, same_schema},
};

/// Maximum duration in the file. hyper adds it to an `Instant`, which panics past its own maximum.
const MAX_DURATION: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Text of a duration or of a rate.
pub(crate) enum Quantity {
    Text(String),
    /// A number without quotes, which lacks its unit.
    Number(u64),
}

same_schema!([], Quantity, String);

impl Spanned<Quantity> {
    /// Returns the text. `unit` is an example for the error of a number.
    fn text(&self, unit: &str) -> Result<&str, ConfigError> {
        match self.get_ref() {
            Quantity::Text(text) => Ok(text),
            Quantity::Number(number) => Err(self.error(format!(
                "{number} has no unit; write one in quotes, such as \"{number}{unit}\""
            ))),
        }
    }
}

/// Parses a duration such as `30s`.
pub(crate) fn duration(value: &Spanned<Quantity>) -> Result<Duration, ConfigError> {
    if let Quantity::Number(0) = value.get_ref() {
        return Err(invalid_duration(value, "0")); // "0s" would be rejected, too
    }
    match delay(value)? {
        Duration::ZERO => Err(invalid_duration(value, value.text("s")?)),
        parsed => Ok(parsed),
    }
}

/// Parses a duration that may be zero.
fn delay(value: &Spanned<Quantity>) -> Result<Duration, ConfigError> {
    let written = value.text("s")?;
    match humantime::parse_duration(written) {
        Ok(parsed) if parsed <= MAX_DURATION => Ok(parsed),
        Ok(_) | Err(DurationError::NumberOverflow) => Err(value.error(format!(
            "{written:?} is too long; write \"3650days\" or less"
        ))),
        Err(_) => Err(invalid_duration(value, written)),
    }
}

fn invalid_duration(value: &Spanned<Quantity>, written: &str) -> ConfigError {
    value.error(format!(
        "{written:?} is not a valid duration; write one such as \"30s\""
    ))
}

/// Parses an optional duration that may be zero.
pub(super) fn optional_delay(
    value: &Option<Spanned<Quantity>>,
) -> Result<Option<Duration>, ConfigError> {
    value.as_ref().map(delay).transpose()
}

/// Parses an optional duration.
pub(super) fn optional_duration(
    value: &Option<Spanned<Quantity>>,
) -> Result<Option<Duration>, ConfigError> {
    value.as_ref().map(duration).transpose()
}

/// Parses a rate such as `100/s` or `5/min`. Bursts may be as large as the count.
pub(super) fn quota(rate: &Spanned<Quantity>) -> Result<Quota, ConfigError> {
    let written = match rate.get_ref() {
        Quantity::Number(0) => "0", // "0/s" would be rejected, too
        _ => rate.text("/s")?,
    };
    let parse = || {
        let (number, unit) = written.split_once('/')?;
        let count: NonZeroU32 = number.trim().parse().ok()?;
        match unit.trim() {
            "s" => Some(Quota::per_second(count)),
            "min" => Some(Quota::per_minute(count)),
            "h" => Some(Quota::per_hour(count)),
            _ => None,
        }
    };
    parse().ok_or_else(|| {
        rate.error(format!(
            "{written:?} is not a valid rate; write one such as \"100/s\", \"100/min\" or \"100/h\""
        ))
    })
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QuantityVisitor)
    }
}

struct QuantityVisitor;

impl Visitor<'_> for QuantityVisitor {
    type Value = Quantity;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number with its unit, in quotes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
        Ok(Quantity::Text(text.to_owned()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Quantity, E> {
        Ok(Quantity::Number(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Quantity, E> {
        let positive = u64::try_from(number).ok();
        positive
            .map(Quantity::Number)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Signed(number), &self))
    }
}

/// A number of bytes.
#[derive(Serialize, Clone, Copy)]
#[serde(transparent)]
pub(crate) struct Size(pub(crate) ByteSize);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as \"64KiB\", or a number of bytes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
        let parsed = text.parse().map(Size);
        parsed.map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Size, E> {
        Ok(Size(ByteSize(number)))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Size, E> {
        let bytes = u64::try_from(number).ok();
        bytes.map(|count| Size(ByteSize(count))).ok_or_else(|| {
            E::custom(format!(
                "{number} is not a size; write one such as \"64KiB\""
            ))
        })
    }
}

impl JsonSchema for Size {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = r"^\s*[0-9]+(\.[0-9]+)?\s*([kKmMgGtTpPeE][iI]?)?[bB]?\s*$";
        json_schema!({ "type": ["string", "integer"], "pattern": pattern, "minimum": 0 })
    }
}
