use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::*;

/// Sources of the messages: the library, and the crates for callers and for the cache.
const SOURCES: [&str; 3] = [
    "../src",
    "../crates/tower-sigv4-callers/src",
    "../crates/http-cache-layer/src",
];

/// Files of features that the gateway does not use, and `cause.rs`, whose texts `explain::remedies` replaces and tests.
const OTHER_FILES: [&str; 3] = ["src/cloudfront/", "src/reqwest/", "src/doctor/cause.rs"];

/// Names in messages that the gateway does not show, because it does not use the setting.
const UNUSED: [&str; 9] = [
    "PresignExpiry::Ignore",
    "PresignExpiry::Shorten",
    "UriOrigin::add_host",
    "UriOrigin::as_signed",
    "UriOrigin::new",
    "UriOrigin::with_hosts",
    "VerifyLayer",
    "redirect::Policy::none",
    "with_identity",
];

/// Words of the AWS protocol that are also types of the library.
const PROTOCOL: [&str; 1] = ["SignedHeaders"];

#[test]
fn each_rust_name_in_a_message_has_a_name_in_the_configuration() {
    let texts = texts();
    let types = types();
    assert!(texts.len() > 500, "{} texts", texts.len());
    assert!(types.contains("SigningLayer"), "{types:?}");
    let mut unknown = BTreeSet::new();
    for text in &texts {
        let renamed: String = text
            .split('`')
            .map(|part| setting_name(part).map_or(part, |_| ""))
            .collect();
        unknown.extend(rust_names(&renamed, &types).map(|name| format!("{name} in {text:?}")));
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn each_name_is_quoted_by_a_message() {
    let texts = texts();
    for (library, _) in NAMES {
        let quoted = format!("`{library}`");
        let is_used = |text: &String| text.contains(&quoted) || text == library;
        assert!(texts.iter().any(is_used), "{library}");
    }
}

#[test]
fn names_of_the_configuration_are_no_rust_names() {
    let types = types();
    for (_, own) in NAMES {
        assert_eq!(rust_names(own, &types).collect::<Vec<_>>(), [""; 0]);
    }
}

#[test]
fn rust_names_are_found_in_texts() {
    let types = BTreeSet::from(["SigningLayer".to_owned()]);
    let found = |text| rust_names(text, &types).collect::<Vec<_>>();
    assert_eq!(found("use Origin::infer, or nothing"), ["Origin::infer"]);
    assert_eq!(found("remove with_path_form"), ["with_path_form"]);
    assert_eq!(found("add SigningLayer"), ["SigningLayer"]);
    assert_eq!(found("as nest_service does"), ["nest_service"]);
    assert_eq!(found("set AWS_REGION: with x-amz-date, add one"), [""; 0]);
    let source = "let a = \"b \\\"c\\\" \\\n   d\"; // \"e\"\nlet f = ['\"', '\\'']; r#\"g \"h\"#;";
    assert_eq!(literals(source), ["b \"c\" d", "g \"h"]);
}

/// Returns the names of methods, variants and types that a text contains.
fn rust_names<'a>(text: &'a str, types: &BTreeSet<String>) -> impl Iterator<Item = &'a str> {
    let is_part = |symbol: char| symbol.is_ascii_alphanumeric() || symbol == '_' || symbol == ':';
    let words = text.split(move |symbol| !is_part(symbol));
    words
        .map(|word| word.trim_matches(':'))
        .filter(|word| {
            word.contains("::")
                || ["with_", "add_"].iter().any(|verb| word.starts_with(verb))
                || *word == "nest_service"
                || types.contains(*word)
        })
        .filter(|word| {
            !UNUSED.contains(word) && !PROTOCOL.contains(word) && !word.starts_with("arn:")
        })
}

/// Returns the library's public types with names of two words, such as `SigningLayer`.
fn types() -> BTreeSet<String> {
    let sources = sources();
    let words = sources.iter().flat_map(|source| source.lines());
    let declared = words.filter_map(|line| {
        let rest = line.trim_start().strip_prefix("pub ")?;
        let (kind, name) = rest.split_once(' ')?;
        let end = name.find(|symbol: char| !symbol.is_ascii_alphanumeric());
        ["struct", "enum", "trait"]
            .contains(&kind)
            .then(|| name[..end.unwrap_or(name.len())].to_owned())
    });
    let is_compound = |name: &String| {
        let capitals = name.bytes().filter(u8::is_ascii_uppercase).count();
        capitals > 1 && name.bytes().any(|byte| byte.is_ascii_lowercase())
    };
    declared.filter(is_compound).collect()
}

/// Returns the string literals that have several words, or that are the name of a setting.
fn texts() -> Vec<String> {
    let sources = sources();
    let all = sources.iter().flat_map(|source| literals(source));
    all.filter(|text| text.contains(' ') || text.contains("::"))
        .collect()
}

/// Returns the sources without their tests.
fn sources() -> Vec<String> {
    let mut files = Vec::new();
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in SOURCES {
        collect(&manifest.join(folder), &mut files);
    }
    let is_other = |path: &Path| {
        let name = path.to_str().expect("UTF-8").replace('\\', "/");
        name.contains("tests") || OTHER_FILES.iter().any(|other| name.contains(other))
    };
    files.retain(|path| !is_other(path.strip_prefix(manifest).expect("below the manifest")));
    let read = |path: &PathBuf| fs::read_to_string(path).expect("a source");
    let sources = files.iter().map(read);
    sources
        .map(
            |source| match source.split_once("#[cfg(test)]\nmod tests {") {
                Some((before, _)) => before.to_owned(),
                None => source,
            },
        )
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}

/// Returns the string literals of a source, with their escapes of quotes and line ends decoded.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find(['"', '\'', '/', 'r']) {
        let (before, from) = rest.split_at(at);
        rest = if let Some(comment) = from.strip_prefix("//") {
            comment.split_once('\n').map_or("", |(_, next)| next)
        } else if let Some(text) = from.strip_prefix('"') {
            let mut end = 0;
            while !text[end..].starts_with('"') {
                let symbol = text[end..].chars().next().expect("a closed literal");
                end += symbol.len_utf8() + usize::from(symbol == '\\');
            }
            let lines = text[..end].replace("\\\"", "\"");
            let joined = lines.split("\\\n").enumerate();
            let parts = joined.map(|(i, line)| if i > 0 { line.trim_start() } else { line });
            found.push(parts.collect());
            &text[end + 1..]
        } else if let Some((text, next)) = raw_literal(before, from) {
            found.push(text.to_owned());
            next
        } else {
            let symbol = ["'\"'", "'\\''", "'\\\\'"]
                .iter()
                .find(|symbol| from.starts_with(**symbol));
            &from[symbol.map_or(1, |symbol| symbol.len())..]
        };
    }
    found
}

fn raw_literal<'a>(before: &str, from: &'a str) -> Option<(&'a str, &'a str)> {
    if before.ends_with(|last: char| last.is_ascii_alphanumeric() || last == '_') {
        return None;
    }
    let marks = from.strip_prefix('r')?;
    let text = marks.trim_start_matches('#').strip_prefix('"')?;
    let hashes = &marks[..marks.len() - text.len() - 1];
    text.split_once(&format!("\"{hashes}"))
}
