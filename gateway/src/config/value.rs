//! Values in the file: with their position, and of types that TOML does not have.

use std::{borrow::Cow, ops::Range};

use http::{HeaderName, HeaderValue};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::{error::ConfigError, print::REDACTED, text::referenced};
use crate::error::chain;

/// A value and its position in the file. Unlike that of `toml`, it has a schema.
#[derive(Deserialize, Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
pub(crate) struct Spanned<T>(toml::Spanned<T>);

impl<T> Spanned<T> {
    pub(super) fn new(span: Range<usize>, value: T) -> Self {
        Self(toml::Spanned::new(span, value))
    }

    pub(crate) fn get_ref(&self) -> &T {
        self.0.get_ref()
    }

    pub(crate) fn span(&self) -> Range<usize> {
        self.0.span()
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::at(self.span(), message)
    }
}

impl<T: Copy> Spanned<T> {
    pub(crate) fn get(&self) -> T {
        *self.0.get_ref()
    }
}

/// A value that no error message shows: the text itself, or its place, such as `"env:NAME"` or `"file:/path"`.
pub(crate) struct Secret(pub(crate) String);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) if text == REDACTED => Err(de::Error::custom(
                "\"[redacted]\" stands for a secret that --print-config omits; write the secret, or its place, such as \
                 \"env:NAME\"",
            )),
            toml::Value::String(text) => referenced(&text).map(Self).map_err(de::Error::custom),
            _ => Err(de::Error::custom("a secret has to be a string, in quotes")),
        }
    }
}

/// A public value: the text itself, or its place, as of a [`Secret`].
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Text(pub(crate) String);

impl TryFrom<String> for Text {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        referenced(&text).map(Self)
    }
}

/// Gives one type the schema of another.
macro_rules! same_schema {
    ([$($of:tt)*], $type:ty, $other:ty) => {
        impl<$($of)*> JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                <$other>::schema_name()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                <$other>::json_schema(generator)
            }
        }
    };
}

pub(super) use same_schema;

same_schema!([T: JsonSchema], Spanned<T>, T);

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A secret, or its place: \"env:NAME\" or \"file:/path\".",
            "type": "string",
            "writeOnly": true
        })
    }
}

impl JsonSchema for Text {
    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A value, or its place: \"env:NAME\" or \"file:/path\".",
            "type": "string"
        })
    }
}

/// Converts an error of the library, which names the value and the remedy.
pub(crate) fn located<T>(value: &Spanned<T>) -> impl FnOnce(tower_sigv4::Error) -> ConfigError {
    let span = value.span();
    move |error| ConfigError::at(span, chain(&error))
}

pub(crate) fn header_name(name: &Spanned<String>) -> Result<HeaderName, ConfigError> {
    HeaderName::try_from(name.get_ref())
        .map_err(|_| name.error(format!("{:?} is not a valid header name", name.get_ref())))
}

/// Returns a header value that no output shows, or `None` for characters that a header cannot have.
pub(crate) fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Rejects 0.
pub(super) fn positive(
    key: &str,
    number: &Option<Spanned<u32>>,
) -> Result<Option<u32>, ConfigError> {
    match number {
        Some(zero) if zero.get() == 0 => Err(zero.error(format!(
            "{key} is 0, so no request could pass; set it to at least 1"
        ))),
        positive => Ok(positive.as_ref().map(Spanned::get)),
    }
}
