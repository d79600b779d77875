//! JSON as Python's `json.dumps` writes it, so that a policy equals that of botocore.

/// Appends a string literal in ASCII.
pub(super) fn push_string(json: &mut String, text: &str) {
    json.push('"');
    for unit in text.encode_utf16() {
        match char::from_u32(unit.into()) {
            Some('"') => json.push_str("\\\""),
            Some('\\') => json.push_str("\\\\"),
            Some('\u{8}') => json.push_str("\\b"),
            Some('\t') => json.push_str("\\t"),
            Some('\n') => json.push_str("\\n"),
            Some('\u{c}') => json.push_str("\\f"),
            Some('\r') => json.push_str("\\r"),
            Some(ascii @ ' '..='~') => json.push(ascii),
            _ => json.push_str(&format!("\\u{unit:04x}")),
        }
    }
    json.push('"');
}
