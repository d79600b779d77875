//! Messages of the TOML parser, in the words of the configuration.

use super::arrays::is_array;

const ADDRESS: &str = "an IP address and a port, such as \"127.0.0.1:8080\"";

/// Returns the message of an error at this position, without the value there: it may be a misplaced secret.
pub(super) fn message(original: &str, text: &str, position: usize) -> String {
    let before = text.get(..position).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    table_message(original, line.trim())
        .or_else(|| field_message(original))
        .or_else(|| unquoted_message(original, &before[line_start..]))
        .unwrap_or_else(|| without_value(original))
}

/// Returns the message for the header of a table, such as `[origin]` in place of `[[origin]]`.
fn table_message(original: &str, line: &str) -> Option<String> {
    let (header, _) = line.strip_prefix('[')?.split_once(']')?;
    let name = header.trim_start_matches('[').trim();
    if original.starts_with("invalid type: map, expected a sequence") && is_array(name) {
        return Some(format!(
            "[{name}] is a single table, and there may be several; write [[{name}]]"
        ));
    }
    let (unknown, intended) = intended_field(original)?;
    let path = name.strip_suffix(unknown)?;
    let correct = format!("{path}{intended}");
    let remedy = if is_array(&correct) {
        format!("[[{correct}]]")
    } else {
        format!("[{correct}]")
    };
    Some(if header.starts_with('[') {
        format!("there is no [[{name}]]; write {remedy}")
    } else {
        format!("there is no [{name}]; write {remedy}")
    })
}

fn field_message(original: &str) -> Option<String> {
    let (unknown, intended) = intended_field(original)?;
    Some(format!("unknown field `{unknown}`; write `{intended}`"))
}

/// Returns the name of an unknown field, and that of the known one from which only an `s` at the end differs.
fn intended_field(original: &str) -> Option<(&str, &str)> {
    let (unknown, expected) = original
        .strip_prefix("unknown field `")?
        .split_once("`, expected ")?;
    let is_plural = |one: &str, other: &str| one.strip_suffix('s') == Some(other);
    let mut known = expected.split('`').skip(1).step_by(2);
    let intended = known.find(|name| is_plural(unknown, name) || is_plural(name, unknown))?;
    Some((unknown, intended))
}

/// Returns the message for a text without quotes, such as `header_timeout = 30s`.
fn unquoted_message(original: &str, before: &str) -> Option<String> {
    let is_unquoted = ["string values must be quoted", "invalid float"]
        .iter()
        .any(|start| original.starts_with(start));
    // An earlier value of the line may be a secret.
    if !is_unquoted || before.contains(['"', '\'', '#']) {
        return None;
    }
    let key = before.split_once('=')?.0.trim();
    let is_bare = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    if key.is_empty() || !key.chars().all(is_bare) {
        return None;
    }
    Some(format!(
        "the value of {key} is not a number, true or false; a text needs quotes, as in {key} = \"...\""
    ))
}

/// Removes the invalid value from a message.
fn without_value(original: &str) -> String {
    if original == "invalid socket address syntax" {
        return format!("invalid address; write {ADDRESS}");
    }
    let kinds = ["invalid type: ", "invalid value: ", "unknown variant "];
    if !kinds.iter().any(|kind| original.starts_with(kind)) {
        return original.to_owned();
    }
    // The names of expected values are quoted, too; they come last.
    let value = original.split(", expected ").next().unwrap_or_default();
    let before = value.split(['"', '`']).next().unwrap_or_default();
    let found = match before.trim_end() {
        "invalid type: map" => "invalid type: table",
        "invalid type: sequence" => "invalid type: list",
        other => other,
    };
    match original.rsplit_once(", expected ") {
        Some((_, expected)) => format!("{found}, expected {}", described(expected)),
        None => found.to_owned(),
    }
}

/// Describes a type that serde names.
fn described(expected: &str) -> &str {
    match expected {
        "socket address" => ADDRESS,
        "a sequence" => "a list, such as [\"a\", \"b\"]",
        "u32" | "u64" => "a number without quotes",
        _ if expected.starts_with("struct ") => "a table",
        _ => expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the message of the parser's error at the end of a text, or at the mark `@`.
    fn at_mark(original: &str, text: &str) -> String {
        let position = text.find('@').unwrap_or(text.len());
        message(original, &text.replace('@', ""), position)
    }

    #[test]
    fn messages_name_no_value_before_the_error() {
        let unquoted = "string values must be quoted, expected literal string";
        for text in [
            "a = [\"hunter2=\", @x]",
            "a = ['hunter2 = b', @x]",
            "a hunter2 = @x",
            "a = { b = \"x, hunter2 = \", c = @hunter2 }",
            "hunter2",
        ] {
            assert_eq!(at_mark(unquoted, text), unquoted, "{text}");
        }
        assert!(at_mark(unquoted, "a\nkey = @hunter2").contains("as in key = \"...\""));
        for quote in ['"', '`'] {
            let value = format!("{quote}hunter2, expected hunter2{quote}");
            let shown = without_value(&format!("invalid type: string {value}, expected u32"));
            assert_eq!(
                shown,
                "invalid type: string, expected a number without quotes"
            );
        }
    }

    #[test]
    fn similar_names_are_suggested_with_their_brackets() {
        let unknown = |name: &str| {
            format!("unknown field `{name}`, expected one of `key`, `methods`, `origin`, `server`")
        };
        for (name, text, expected) in [
            (
                "origins",
                "[[@origins]]",
                "there is no [[origins]]; write [[origin]]",
            ),
            (
                "origins",
                "[@origins] # a",
                "there is no [origins]; write [[origin]]",
            ),
            (
                "servers",
                "[[@servers]]",
                "there is no [[servers]]; write [server]",
            ),
            (
                "keys",
                "[[verify.@keys]]",
                "there is no [[verify.keys]]; write [[verify.key]]",
            ),
            (
                "method",
                "@method = []",
                "unknown field `method`; write `methods`",
            ),
        ] {
            assert_eq!(at_mark(&unknown(name), text), expected);
        }
        let other = unknown("other");
        assert_eq!(at_mark(&other, "[@other]"), other);
    }
}
