//! The configuration without its secrets, for `--print-config`.

use serde_json::Value as Schema;
use toml::{Table, Value};

use super::{redacted_url::redacted_url, text::is_reference};

pub(super) const REDACTED: &str = "[redacted]";

/// Replaces the secrets in a table. Those that the file names by their place stay.
///
/// A value is a secret if the schema says that it is only written. A URL may have one in its user and its query.
pub(super) fn without_secrets(mut table: Table, schema: &Schema) -> Table {
    for (key, value) in &mut table {
        redact(value, &schema["properties"][key], schema);
    }
    table
}

fn redact(value: &mut Value, at: &Schema, root: &Schema) {
    if at["writeOnly"] == true {
        if let Value::String(text) = value
            && !is_reference(text)
        {
            REDACTED.clone_into(text);
        }
        return;
    }
    if at["format"] == "uri"
        && let Value::String(url) = value
    {
        *url = redacted_url(url);
        return;
    }
    if let Some(pointer) = at["$ref"].as_str() {
        if let Some(definition) = root.pointer(pointer.trim_start_matches('#')) {
            redact(value, definition, root);
        }
        return;
    }
    for combination in ["anyOf", "oneOf", "allOf"] {
        for alternative in at[combination].as_array().into_iter().flatten() {
            redact(value, alternative, root);
        }
    }
    match value {
        Value::Array(elements) => {
            for element in elements {
                redact(element, &at["items"], root);
            }
        }
        Value::Table(table) => {
            for (key, member) in table {
                let named = &at["properties"][key.as_str()];
                let schema = if named.is_null() {
                    &at["additionalProperties"]
                } else {
                    named
                };
                redact(member, schema, root);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_replaced_wherever_they_are() {
        let secret = json!({ "type": "string", "writeOnly": true });
        let schema = json!({
            "properties": {
                "key": secret,
                "plain": { "type": "string" },
                "url": { "type": "string", "format": "uri" },
                "list": { "anyOf": [secret, { "items": { "$ref": "#/$defs/Table" } }] },
                "values": { "additionalProperties": secret },
            },
            "$defs": { "Table": { "properties": { "inner": { "anyOf": [secret, { "type": "null" }] } } } },
        });
        let text = "key = \"hunter2\"\nplain = \"a\"\nurl = \"http://a?hunter2\"\nlist = [{ inner = \"hunter2\" }, { inner = \"env:A\" }]\n\
                    values = { a = \"hunter2\", b = \"file:/b\" }\n";
        let shown = without_secrets(toml::from_str(text).expect("TOML"), &schema);
        let expected = "key = \"[redacted]\"\nplain = \"a\"\nurl = \"http://a?[redacted]\"\n\
                        list = [{ inner = \"[redacted]\" }, { inner = \"env:A\" }]\n\
                        values = { a = \"[redacted]\", b = \"file:/b\" }\n";
        assert_eq!(shown, toml::from_str(expected).expect("TOML"));
    }
}
