//! The configuration's JSON Schema, for editors that complete and check TOML by one.

use std::{borrow::Cow, ops::Range};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::{File, Secret};

/// The schema of the file, as JSON.
pub(crate) fn schema() -> String {
    format!("{:#}", schemars::schema_for!(File).to_value())
}

/// A value and where it stands. toml's own has no schema.
#[derive(Deserialize, Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
pub(super) struct Spanned<T>(toml::Spanned<T>);

impl<T> Spanned<T> {
    pub(super) fn get_ref(&self) -> &T {
        self.0.get_ref()
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.0.span()
    }
}

/// The schema of one type is that of another.
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

same_schema!([T: JsonSchema], Spanned<T>, T);
same_schema!([], Secret, String);

/// So many bytes, which `bytesize` reads.
pub(super) struct Size;

impl JsonSchema for Size {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let text = r"^\s*[0-9]+(\.[0-9]+)?\s*([kKmMgGtTpPeE][iI]?)?[bB]?\s*$";
        json_schema!({ "type": ["string", "integer"], "pattern": text, "minimum": 0 })
    }
}
