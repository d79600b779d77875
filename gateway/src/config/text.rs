//! Values that the file holds, or that it names by their place in the environment or in a file.

use std::{
    env,
    io::{self, Read},
};

use tower_sigv4::sigv4::PayloadHash;

use crate::regular_file;

const ENVIRONMENT: &str = "env:";
const FILE: &str = "file:";
/// Maximum size of a file with a value, in bytes. Files are read again each second.
const MAX_FILE_LEN: u64 = 1 << 20;

/// Returns `true` if the file holds the place of the value, so that the value may be a secret.
pub(super) fn is_reference(text: &str) -> bool {
    [ENVIRONMENT, FILE]
        .iter()
        .any(|scheme| text.starts_with(scheme))
}

/// Returns the value of `"env:NAME"`, the content of `"file:/path"` without its last line break, or the text itself.
///
/// No error contains the value, which may be a secret.
pub(super) fn referenced(text: &str) -> Result<String, String> {
    if let Some(name) = text.strip_prefix(ENVIRONMENT) {
        return match env::var(name) {
            Ok(value) if value.is_empty() => Err(format!(
                "the environment variable {name:?} is empty; set it"
            )),
            Ok(value) => Ok(value),
            Err(_) => Err(format!(
                "the environment variable {name:?} is not set, or is not UTF-8; set it"
            )),
        };
    }
    if let Some(path) = text.strip_prefix(FILE) {
        let content =
            read(path).map_err(|error| format!("cannot read the file {path:?}: {error}"))?;
        let line = content.strip_suffix('\n').unwrap_or(&content);
        return match line.strip_suffix('\r').unwrap_or(line) {
            "" => Err(format!(
                "the file {path:?} is empty; write the value into it"
            )),
            value => Ok(value.to_owned()),
        };
    }
    Ok(text.to_owned())
}

/// Returns a hash of the value in a file, or `None` if there is none.
pub(crate) fn value_hash(path: &str) -> Option<String> {
    let value = referenced(&format!("{FILE}{path}")).ok()?;
    Some(PayloadHash::of(value.as_bytes()).to_string())
}

fn read(path: &str) -> io::Result<String> {
    let mut content = String::new();
    let len = regular_file::open(path)?
        .take(MAX_FILE_LEN + 1)
        .read_to_string(&mut content)?;
    if len as u64 > MAX_FILE_LEN {
        return Err(io::Error::other(
            "it is larger than 1 MiB; choose a file that holds the value alone",
        ));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn references_are_replaced_by_their_values() {
        let directory = env::temp_dir();
        let path = directory.join(format!("sigv4-gateway-text-{}", std::process::id()));
        for (content, expected) in [("secret\n", "secret"), ("a\r\n", "a"), ("a\n\n", "a\n")] {
            fs::write(&path, content).expect("written");
            let text = format!("file:{}", path.display());
            assert_eq!(referenced(&text).expect("readable"), expected);
        }
        fs::remove_file(&path).expect("removed");
        assert_eq!(referenced("a:b").expect("a text"), "a:b");
        assert_eq!(
            referenced("env:CARGO_PKG_NAME").expect("set by cargo"),
            env!("CARGO_PKG_NAME")
        );
    }

    #[test]
    fn missing_references_are_errors() {
        for text in [
            "env:SIGV4_GATEWAY_UNSET",
            "env:",
            "file:/nonexistent/secret",
            #[cfg(target_os = "linux")]
            "file:/dev/zero",
        ] {
            assert!(referenced(text).is_err(), "{text}");
        }
    }
}
