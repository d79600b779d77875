//! The schema agrees with the gateway; so do the reference and the file of `--init`.

use std::fs;

use serde_json::{Value, json};

use crate::support::{self, TempFile, gateway_command};

fn printed(arguments: &[&str]) -> String {
    let output = gateway_command().args(arguments).output().expect("output");
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Returns the schema's error for a configuration.
fn schema_error(toml: &str) -> Option<String> {
    let schema = serde_json::from_str(&printed(&["--print-schema"])).expect("JSON");
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler
        .add_resource("schema.json", schema)
        .expect("a schema");
    let index = compiler
        .compile("schema.json", &mut schemas)
        .expect("valid schema");
    let value: Value = toml::from_str(toml).expect("TOML");
    schemas
        .validate(&value, index)
        .err()
        .map(|error| format!("{error:#}"))
}

/// The reference of all settings.
fn reference() -> String {
    let path = format!("{}/../docs/gateway.md", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(path).expect("readable")
}

/// The small configuration at the top of the reference.
fn documented() -> String {
    let reference = reference();
    let (_, file) = reference.split_once("```toml\n").expect("a file");
    file.split("```").next().unwrap_or_default().to_owned()
}

/// The tables of the reference: the section's header in TOML, then keys with their default or an example.
fn tables() -> Vec<(String, Vec<(String, String)>)> {
    let reference = reference();
    let sections = reference.split("\n### `[").skip(1).map(|section| {
        let (name, rest) = section.split_once('`').expect("a heading in code");
        let rows = rest.split("\n#").next().unwrap_or_default().lines();
        let rows = rows.filter_map(|row| row.strip_prefix("| `")?.split_once("` | "));
        let rows = rows.map(|(key, cells)| {
            let value = cells.split('`').nth(1).expect("a default or an example");
            (key.to_owned(), value.to_owned())
        });
        (format!("[{name}"), rows.collect())
    });
    sections.collect()
}

/// Follows references, optional values and lists to the definition of a table.
fn table_of<'a>(schema: &'a Value, at: &'a Value) -> Option<&'a Value> {
    if at.get("properties").is_some() {
        return Some(at);
    }
    if let Some(pointer) = at.get("$ref").and_then(Value::as_str) {
        return table_of(schema, schema.pointer(pointer.trim_start_matches('#'))?);
    }
    let alternatives = at.get("anyOf").and_then(Value::as_array);
    let mut inner = alternatives.into_iter().flatten().chain(at.get("items"));
    inner.find_map(|value| table_of(schema, value))
}

/// The keys that the schema has for a section, except those of tables only.
fn keys_of_schema(schema: &Value, header: &str) -> Vec<String> {
    let path = header.trim_matches(['[', ']']).split('.');
    let table = path.fold(schema, |at, name| {
        table_of(schema, &at["properties"][name]).expect("a table")
    });
    let keys = table["properties"].as_object().expect("an object").iter();
    let is_table = |value: &Value| {
        table_of(schema, value).is_some() && !value.to_string().contains("\"string\"")
    };
    keys.filter(|(_, value)| !is_table(value))
        .map(|(key, _)| key.clone())
        .collect()
}

#[test]
fn the_reference_lists_every_key_with_a_valid_value() {
    let schema: Value = serde_json::from_str(&printed(&["--print-schema"])).expect("JSON");
    let mut whole = String::new();
    let tables = tables();
    for (header, rows) in &tables {
        let mut documented: Vec<_> = rows.iter().map(|(key, _)| key.clone()).collect();
        documented.sort();
        let mut keys = keys_of_schema(&schema, header);
        keys.sort();
        assert_eq!(documented, keys, "{header}");
        // A file has either `service` or `[[verify.service]]`.
        let is_written = |key: &str| (&**header, key) != ("[verify]", "service");
        let rows = rows.iter().filter(|(key, _)| is_written(key));
        let rows = rows.map(|(key, value)| format!("{key} = {value}\n"));
        whole += &format!("{header}\n{}", rows.collect::<String>());
    }
    assert_eq!(tables.len(), 20);
    assert_eq!(schema_error(&whole), None, "{whole}");
}

/// Returns the names of the setters in a source file of the library.
fn setters(path: &str) -> Vec<String> {
    let root = env!("CARGO_MANIFEST_DIR");
    let source = fs::read_to_string(format!("{root}/../src/{path}")).expect("readable");
    let functions = source.lines().filter_map(|line| {
        let (name, _) = line.trim_start().strip_prefix("pub fn ")?.split_once('(')?;
        Some(name.to_owned())
    });
    let prefixes = ["with_", "add_", "strip_"];
    functions
        .filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
        .collect()
}

#[test]
fn each_setting_of_the_library_has_a_key_or_a_reason() {
    let reference = reference();
    let (_, table) = reference
        .split_once("### Settings of the library\n")
        .expect("a table");
    let rows = table.split("\n#").next().unwrap_or_default();
    let mut count = 0;
    for (owner, path) in [
        ("Origin", "origin/options.rs"),
        ("Origin", "origin/origin.rs"),
        ("OriginRule", "origin/origin_rule.rs"),
        ("AsSigned", "origin/as_signed.rs"),
        ("SigningSettings", "sigv4/settings.rs"),
        ("SigningLayer", "sign/layer.rs"),
        ("VerifySettings", "verify/settings.rs"),
        ("VerifyLayer", "verify/layer.rs"),
    ] {
        for name in setters(path) {
            let setting = format!("`{owner}::{name}`");
            assert!(rows.contains(&setting), "{setting} is not in the table");
            count += 1;
        }
    }
    assert!(count > 50, "{count}");
}

#[test]
fn schema_accepts_and_rejects_what_the_gateway_does() {
    let valid = support::config("http://127.0.0.1:1", "payload = \"chunked-trailer\"");
    let init = printed(&["--init", "-"]);
    let init_s3 = printed(&["--init", "--s3", "-"]);
    for toml in [&*documented(), &init, &init_s3, &valid] {
        assert_eq!(schema_error(toml), None, "{toml}");
    }
    for (right, replacement) in [
        (
            "name = \"orders\"",
            "name = \"orders\"\nforwarded = \"none\"",
        ),
        (
            "name = \"orders\"",
            "name = \"orders\"\nforwarded = [\"for\", \"proto\"]",
        ),
        (
            "[[route]]",
            "[[route]]\namz_headers = [\"x-amz-meta-*\"]\nquery_parameters = []",
        ),
        (
            "[server]",
            "[verify]\nservice = [\"s3\", \"s3express\"]\nregion = [\"a\", \"b\"]\n[server]",
        ),
        (
            "[server]",
            "[[verify.service]]\nname = \"s3\"\nregion = \"a\"\n[[verify.service]]\nname = \"sqs\"\n[server]",
        ),
        (
            "name = \"orders\"",
            "name = \"orders\"\nsignature = \"query\"\nsigned_headers = \"all\"\nunsigned_headers = [\"a\"]\n\
             path_form = \"twice\"\nwire_form = \"canonical\"\npayload_header = false",
        ),
        (
            "name = \"orders\"",
            "name = \"orders\"\nservices = \"s3\"\nregions = [\"a\"]\nregion_set = [\"*\"]",
        ),
    ] {
        assert_eq!(
            schema_error(&valid.replacen(right, replacement, 1)),
            None,
            "{replacement}"
        );
    }
    for (right, wrong) in [
        ("[server]", "[server]\nlisten_address = \"127.0.0.1:1\""),
        ("[server]", "[servers]"),
        (
            "name = \"orders\"",
            "name = \"orders\"\nregion_sets = \"a\"",
        ),
        (
            "name = \"orders\"",
            "name = \"orders\"\nregions = [[\"a\"]]",
        ),
        ("name = \"orders\"", "name = \"orders\"\nregion_set = 1"),
        ("[server]", "[verify]\nservice = [[\"s3\"]]\n[server]"),
        ("[server]", "[[verify.service]]\nregion = \"r\"\n[server]"),
        (
            "[server]",
            "[[verify.service]]\nname = \"s3\"\nregions = []\n[server]",
        ),
        ("name = \"orders\"", ""),
        ("\"chunked-trailer\"", "\"chunky\""),
        ("[server]", "[server]\nmax_connections = \"many\""),
        ("[server]", "[server]\nmin_body_rate = \"slow\""),
        (
            "name = \"orders\"",
            "name = \"orders\"\nforwarded = \"some\"",
        ),
        (
            "name = \"orders\"",
            "name = \"orders\"\nforwarded = [\"port\"]",
        ),
        (
            "name = \"orders\"",
            "name = \"orders\"\nsession_token = \"t\"",
        ),
        ("[[route]]", "[[route]]\namz_headers = \"x-amz-acl\""),
        ("[[route]]", "[[route]]\nquery_parameters = [1]"),
        ("[[route]]", "[[route]]\nrequest_headers = { sets = {} }"),
        ("[[route]]", "[[route]]\nresponse_headers = { copy = {} }"),
        (
            "name = \"orders\"",
            "name = \"orders\"\nsignature = \"body\"",
        ),
    ] {
        assert!(
            schema_error(&valid.replacen(right, wrong, 1)).is_some(),
            "{wrong}"
        );
    }
    let schema: Value = serde_json::from_str(&printed(&["--print-schema"])).expect("JSON");
    assert_eq!(schema["properties"]["origin"]["type"], json!("array"));
}

#[test]
fn init_writes_a_valid_file_and_overwrites_nothing() {
    let free = TempFile::new("");
    for kind in [&[][..], &["--s3"]] {
        fs::remove_file(&free.path).expect("removed");
        let init = [&["--init", &free.path][..], kind].concat();
        assert!(printed(&init).contains("--check"), "{init:?}");
        let output_text = printed(&["--config", &free.path, "--check"]);
        assert_eq!(
            output_text,
            format!("{}: 1 origin(s), 1 route(s), no errors\n", free.path)
        );
        let shown = printed(&[&["--init", "-"][..], kind].concat());
        assert_eq!(fs::read_to_string(&free.path).expect("readable"), shown);
    }

    fs::write(&free.path, "mine").expect("written");
    let output = gateway_command()
        .args(["--init", &free.path])
        .output()
        .expect("output");
    assert_eq!(output.status.code(), Some(1));
    let output_text = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(
        output_text.contains("exists and was not changed; choose another"),
        "{output_text}"
    );
    assert_eq!(fs::read_to_string(&free.path).expect("readable"), "mine");
}

/// Returns a configuration of `--init` with its commented settings.
fn uncommented(template: &str) -> String {
    let is_setting = |line: &str| {
        let start = line.split(['=', ' ']).next().unwrap_or_default();
        start.starts_with('[')
            || (line.contains(" = ") && !start.contains(|c: char| c.is_uppercase()))
    };
    let lines = template.lines().map(|line| {
        let comment = line.strip_prefix("# ");
        comment.filter(|text| is_setting(text)).unwrap_or(line)
    });
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn commented_settings_of_the_s3_configuration_are_valid() {
    let whole = uncommented(&printed(&["--init", "--s3", "-"]));
    for setting in ["{bucket}", "amz_headers", "[verify]", "tls_key"] {
        let line = whole.lines().find(|line| line.contains(setting));
        assert!(line.is_some_and(|line| !line.starts_with('#')), "{setting}");
    }
    assert_eq!(schema_error(&whole), None, "{whole}");
    // Without the files that it names.
    let file = TempFile::new(&whole.replace("tls_", "# tls_"));
    let keys = "[[key]]\naccess_key_id = \"AKID\"\nsecret_access_key = \"secret\"\n";
    let keys = TempFile::new(keys);
    let mut command = gateway_command();
    let command = command
        .args(["--config", &file.path, "--check"])
        .env("CALLERS", &keys.path);
    let output = command.output().expect("output");
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
    assert!(text.ends_with("no errors\n"), "{text}");
}
