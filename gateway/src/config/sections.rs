//! Sections of the file, to compare them with those of another configuration.

use std::collections::BTreeMap;

use toml::Table;

use super::{
    source::{ConfigText, value_files_of},
    text::value_hash,
};

/// The sections of all files. The text `"file:/path"` stays the same when the value changes, so each section has hashes
/// of such values, too.
#[derive(Clone)]
pub(crate) struct Sections {
    pub(crate) table: Table,
    values: BTreeMap<String, Vec<Option<String>>>,
}

impl Sections {
    /// Reads the values. Read them before those that are used, so that a change between is one of the next reload.
    pub(crate) fn new(text: &ConfigText) -> Self {
        let table = text.table();
        let values = table.iter().map(|(name, section)| {
            let files = value_files_of(section);
            let hashes = files.iter().map(|path| value_hash(path)).collect();
            (name.clone(), hashes)
        });
        Self {
            values: values.collect(),
            table,
        }
    }

    /// Returns `true` if another configuration has the same section.
    pub(crate) fn has_same(&self, other: &Self, name: &str) -> bool {
        self.table.get(name) == other.table.get(name)
            && self.values.get(name) == other.values.get(name)
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;

    #[test]
    fn sections_differ_if_the_content_of_a_file_differs() {
        let path = env::temp_dir().join(format!("sigv4-gateway-sections-{}", process::id()));
        let text = format!(
            "[cache]\nredis = [\"file:{}\"]\n[telemetry]\nendpoint = \"http://a\"\n",
            path.display()
        );
        let read = |content: &str| {
            fs::write(&path, content).expect("written");
            Sections::new(&ConfigText::new(&*text))
        };
        let (first, second, third) = (read("redis://a"), read("redis://b"), read("redis://b"));
        fs::remove_file(&path).expect("removed");
        assert!(!first.has_same(&second, "cache"));
        assert!(second.has_same(&third, "cache"));
        assert!(first.has_same(&second, "telemetry"));
        assert!(first.has_same(&second, "admin"));
    }
}
