//! The text of a configuration: a file, and those that it includes.

use std::{
    collections::HashSet,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use glob::{MatchOptions, Pattern, glob_with};
use serde::Deserialize;
use toml::{Table, Value};

use super::{
    arrays::{ARRAYS, VERIFY_ARRAYS},
    error::ConfigError,
    list::OneOrMany,
    value::Spanned,
};
use crate::regular_file;

const FILE: &str = "file:";

/// The texts of all files, one after the other: TOML appends to an array of tables wherever its next element stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ConfigText {
    text: String,
    /// Names of the files, and the positions where their texts begin.
    files: Vec<(String, usize)>,
    /// Patterns of `include` that match no file.
    unmatched: Vec<Spanned<String>>,
}

/// The key of a file that includes others.
#[derive(Deserialize)]
struct Includes {
    include: Option<OneOrMany>,
}

impl ConfigText {
    /// Creates the text of one file that includes no other.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            files: vec![("configuration".to_owned(), 0)],
            unmatched: Vec::new(),
        }
    }

    /// Reads a file and those that it includes.
    pub(crate) fn read(file: &str) -> Result<Self, ConfigError> {
        let mut all = Self {
            // Perhaps a pipe, such as /dev/stdin.
            text: decoded(file, fs::read(file))?,
            files: vec![(file.to_owned(), 0)],
            unmatched: Vec::new(),
        };
        let directory = Path::new(file).parent().unwrap_or(Path::new(""));
        // The parser of all settings reports other mistakes.
        let parsed = toml::from_str::<Includes>(&all.text).ok();
        let include = parsed.and_then(|it| it.include);
        let mut known = HashSet::from([canonical(file)]);
        for pattern in include.as_ref().map_or(&[][..], OneOrMany::as_slice) {
            let at = |message: String| all.locate(ConfigError::at(pattern.span(), message));
            let found = matching(directory, pattern.get_ref()).map_err(at)?;
            if found.is_empty() {
                all.unmatched.push(pattern.clone());
            }
            for path in found {
                // A pattern may match the file itself, and a file may have several names.
                if !known.insert(canonical(&path)) {
                    continue;
                }
                let content = decoded(&path, regular_file::read(&path))?;
                let text = content.trim_start_matches('\u{feff}'); // only the first file may begin with it
                check_included(text, file).map_err(|error| error.with_line(text).in_file(&path))?;
                all.text.push('\n');
                all.files.push((path, all.text.len()));
                all.text.push_str(text);
            }
        }
        Ok(all)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the names of the files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(name, _)| &**name)
    }

    /// Returns warnings of patterns that match no file.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = ConfigError> {
        self.unmatched.iter().map(|pattern| {
            let text = pattern.get_ref();
            pattern.error(format!(
                "include {text:?} matches no file; add one, or correct the pattern"
            ))
        })
    }

    /// Returns the table of all files, without `include`.
    pub(crate) fn table(&self) -> Table {
        let mut table: Table = toml::from_str(&self.text).unwrap_or_default();
        table.remove("include");
        table
    }

    /// Returns the files that hold values, such as `/run/secrets/key` for `"file:/run/secrets/key"`.
    pub(crate) fn value_files(&self) -> Vec<String> {
        value_files_of(&Value::Table(self.table()))
    }

    /// Returns the place of a value, such as `gateway.toml:12`.
    pub(crate) fn place<T>(&self, value: &Spanned<T>) -> String {
        self.locate(value.error("")).place()
    }

    /// Adds the file of an error and its line.
    pub(crate) fn locate(&self, error: ConfigError) -> ConfigError {
        let start = error.start();
        let mut before = self.files.iter().rev();
        let (file, begin) = before
            .find(|(_, begin)| start.is_some_and(|at| *begin <= at))
            .unwrap_or(&self.files[0]);
        let text = self.text.get(*begin..).unwrap_or_default();
        error.moved_back(*begin).with_line(text).in_file(file)
    }
}

/// Returns the files that hold values of a TOML file, or none if it is not valid.
pub(crate) fn value_files_in(content: &[u8]) -> Vec<String> {
    let table: Table = toml::from_slice(content).unwrap_or_default();
    value_files_of(&Value::Table(table))
}

/// Returns the files that hold values of a section.
pub(super) fn value_files_of(section: &Value) -> Vec<String> {
    let mut files = Vec::new();
    collect_files(section, &mut files);
    files
}

fn collect_files(value: &Value, files: &mut Vec<String>) {
    match value {
        Value::String(text) => files.extend(text.strip_prefix(FILE).map(str::to_owned)),
        Value::Array(values) => values.iter().for_each(|it| collect_files(it, files)),
        Value::Table(table) => table.values().for_each(|it| collect_files(it, files)),
        _ => {}
    }
}

/// Returns the text of a file that was read.
fn decoded(file: &str, read: io::Result<Vec<u8>>) -> Result<String, ConfigError> {
    let bytes = read.map_err(|error| {
        let remedy = match error.kind() {
            ErrorKind::NotFound => "; choose an existing file, or create one with --init",
            ErrorKind::IsADirectory => "; choose a file in this directory",
            _ => "",
        };
        ConfigError::new(format!("{error}{remedy}")).in_file(&format!("cannot read {file}"))
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        ConfigError::new("invalid UTF-8; save the file as UTF-8")
            .in_file(file)
            .in_line(line)
    })
}

fn canonical(file: &str) -> PathBuf {
    fs::canonicalize(file).unwrap_or_else(|_| file.into()) // reading it returns the error
}

/// Returns the files that match a pattern, sorted by name. A name without wildcards must exist.
fn matching(directory: &Path, pattern: &str) -> Result<Vec<String>, String> {
    let invalid = |reason: String| {
        format!("include {pattern:?}: {reason}; write a path such as \"routes.d/*.toml\"")
    };
    let in_directory = if Path::new(pattern).is_absolute() || directory.as_os_str().is_empty() {
        pattern.to_owned()
    } else {
        let escaped = Pattern::escape(&directory.to_string_lossy());
        format!("{escaped}/{pattern}")
    };
    // `*` skips hidden files, as those of editors.
    let options = MatchOptions {
        require_literal_leading_dot: true,
        require_literal_separator: true,
        ..MatchOptions::new()
    };
    let mut found = Vec::new();
    for path in glob_with(&in_directory, options).map_err(|error| invalid(error.to_string()))? {
        let name = path.map_err(|error| invalid(error.to_string()))?;
        found.push(name.to_string_lossy().into_owned());
    }
    if found.is_empty() && !pattern.contains(['*', '?', '[']) {
        return Err(invalid("there is no such file".to_owned()));
    }
    Ok(found)
}

/// Rejects an included file with anything but arrays of tables: settings of `file` would depend on the order of files.
fn check_included(text: &str, file: &str) -> Result<(), ConfigError> {
    let table: Table =
        toml::from_str(text).map_err(|error| ConfigError::from_toml(&error, text))?;
    let first = text
        .lines()
        .map(str::trim_start)
        .find(|line| !line.is_empty() && !line.starts_with('#'));
    let misplaced = |name: &str| {
        Err(ConfigError::new(format!(
            "an included file may have [[route]], [[origin]], [[identity]], [[caller]], [[verify.key]], [[verify.jwt]] \
             and [[verify.service]]; move {name} to {file}"
        )))
    };
    if first.is_some_and(|line| !line.starts_with('[')) {
        return misplaced("the keys before the first table");
    }
    let is_array = |value: &Value| value.is_array();
    for (name, value) in &table {
        match value {
            Value::Table(verify) if name == "verify" => {
                let other = verify
                    .iter()
                    .find(|(key, it)| !VERIFY_ARRAYS.contains(&key.as_str()) || !is_array(it));
                if let Some((key, _)) = other {
                    return misplaced(&format!("verify.{key}"));
                }
            }
            other if ARRAYS.contains(&name.as_str()) && is_array(other) => {}
            _ => return misplaced(name),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{env, process};

    use super::*;

    fn error_of(included: &str) -> Option<String> {
        let checked = check_included(included, "gateway.toml");
        checked.err().map(|error| error.to_string())
    }

    #[test]
    fn included_files_have_arrays_of_tables_only() {
        for valid in [
            "",
            "# nothing\n",
            "[[route]]\npath = \"/\"\n[route.cors]\norigins = []\n[[origin]]\n",
            "[[verify.key]]\naccess_key_id = \"a\"\n[[identity]]\n[[caller]]\n",
        ] {
            assert_eq!(error_of(valid), None, "{valid}");
        }
        for (invalid, name) in [
            ("include = \"a\"\n", "the keys before"),
            ("route = []\n", "the keys before"),
            ("[server]\n", "move server to gateway.toml"),
            ("[verify]\nservice = \"s3\"\n", "verify.service"),
            ("[verify.iam]\n", "verify.iam"),
            ("[route]\n", "move route"),
            ("[[route]]\n[server]\n", "move server"),
        ] {
            let error = error_of(invalid).expect(invalid);
            assert!(error.contains(name), "{invalid}: {error}");
        }
    }

    #[test]
    fn errors_have_the_line_of_their_file() {
        let text = ConfigText {
            text: "a\nb\n\nc\nd".to_owned(),
            files: vec![("one".to_owned(), 0), ("two".to_owned(), 5)],
            unmatched: Vec::new(),
        };
        for (at, place) in [(0, "one:1"), (2, "one:2"), (5, "two:1"), (7, "two:2")] {
            let error = text.locate(ConfigError::at(at..at + 1, "wrong"));
            assert_eq!(error.to_string(), format!("{place}: wrong"));
        }
        let without_place = text.locate(ConfigError::new("wrong"));
        assert_eq!(without_place.to_string(), "one: wrong");
    }

    #[test]
    fn each_file_is_read_once_whatever_its_name() {
        let name = format!("sigv4-gateway-source-{}", process::id());
        let directory = env::temp_dir().join(&name);
        fs::create_dir_all(&directory).expect("created");
        let file = directory.join("gateway.toml");
        let include = format!("include = [\"*.toml\", \"../{name}/a.toml\"]\n");
        fs::write(&file, include).expect("written");
        fs::write(directory.join("a.toml"), "\u{feff}[[route]]\n").expect("written");
        for path in [file, directory.join("./gateway.toml")] {
            let text = ConfigText::read(&path.to_string_lossy()).expect("readable");
            assert_eq!(text.files().count(), 2, "{path:?}");
            assert_eq!(text.table()["route"].as_array().map(Vec::len), Some(1));
        }
        fs::remove_dir_all(&directory).expect("removed");
    }

    #[test]
    fn files_of_values_are_found() {
        let text = "a = \"file:/a\"\n[[b]]\nc = [\"env:A\", \"file:/c\"]\n";
        assert_eq!(ConfigText::new(text).value_files(), ["/a", "/c"]);
    }
}
