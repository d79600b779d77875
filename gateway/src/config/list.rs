//! Values that are one string, or a list of strings or tables.

use std::{borrow::Cow, fmt, marker::PhantomData, ops::Range};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use super::{error::ConfigError, value::Spanned};

/// One string, such as `"us-east-1"`, or a list. An element is a string or, if `T` has fields, a table.
pub(crate) struct OneOrMany<T = Spanned<String>> {
    span: Range<usize>,
    values: Vec<T>,
}

impl<T> OneOrMany<T> {
    pub(crate) fn as_slice(&self) -> &[T] {
        &self.values
    }

    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::at(self.span(), message)
    }
}

impl OneOrMany {
    pub(crate) fn names(&self) -> Vec<&str> {
        self.values.iter().map(|name| &**name.get_ref()).collect()
    }
}

impl<'de, T> Deserialize<'de> for OneOrMany<T>
where
    T: Deserialize<'de> + From<Spanned<String>>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = toml::Spanned::<Value<T>>::deserialize(deserializer)?;
        let span = value.span();
        let values = match value.into_inner() {
            Value::Text(text) => vec![Spanned::new(span.clone(), text).into()],
            Value::Table(table) => vec![table],
            Value::List(list) => list,
        };
        Ok(Self { span, values })
    }
}

enum Value<T> {
    Text(String),
    List(Vec<T>),
    Table(T),
}

impl<'de, T> Deserialize<'de> for Value<T>
where
    T: Deserialize<'de> + From<Spanned<String>>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor(PhantomData))
    }
}

struct ValueVisitor<T>(PhantomData<T>);

impl<'de, T> Visitor<'de> for ValueVisitor<T>
where
    T: Deserialize<'de> + From<Spanned<String>>,
{
    type Value = Value<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Value::Table)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element::<toml::Spanned<Value<T>>>()? {
            let span = element.span();
            list.push(match element.into_inner() {
                Value::Text(text) => Spanned::new(span, text).into(),
                Value::Table(table) => table,
                Value::List(_) => return Err(de::Error::custom("a list in a list")),
            });
        }
        Ok(Value::List(list))
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let text = generator.subschema_for::<String>();
        let table = generator.subschema_for::<T>();
        let element = if table == text {
            text
        } else {
            json_schema!({ "anyOf": [text, table] })
        };
        json_schema!({ "anyOf": [element, { "type": "array", "items": element }] })
    }
}
