//! Files of the suite.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use http::{HeaderName, HeaderValue, Request, request::Parts};
use serde_json::Value;

use super::version::Version;

/// Cases that only have a canonical path, without context and signature.
pub(super) const PATH_ONLY: [&str; 2] = ["double-encode-path", "double-url-encode"];

pub(super) const MIN_CASES: usize = 38;

/// Returns the folders of the suite with their names.
pub(super) fn cases(version: Version) -> Vec<(PathBuf, String)> {
    let suite = suite().join(version.folder());
    let mut cases: Vec<_> = fs::read_dir(&suite)
        .expect("the suite is a folder")
        .map(|entry| entry.expect("a readable entry"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| {
            (
                entry.path(),
                entry.file_name().into_string().expect("an ASCII name"),
            )
        })
        .collect();
    cases.sort();
    assert!(
        cases.len() >= MIN_CASES,
        "only {} cases found in {}",
        cases.len(),
        suite.display(),
    );
    cases
}

pub(super) fn request(text: &str) -> (Parts, String) {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let request_line = lines.next().expect("a request line");
    let (method, target) = request_line.split_once(' ').expect("a method");
    let target = target
        .strip_suffix(" HTTP/1.1")
        .unwrap_or(target)
        .replace(' ', "%20");
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        match line.split_once(':') {
            Some((name, value)) if !line.starts_with(' ') => {
                headers.push((name.to_owned(), value.to_owned()));
            }
            // A folded line continues the previous one.
            _ => headers
                .last_mut()
                .expect("a previous line")
                .1
                .push_str(line),
        }
    }
    let mut parts = Request::builder()
        .method(method)
        .uri(target)
        .body(())
        .expect("a request")
        .into_parts()
        .0;
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        parts
            .headers
            .append(name, HeaderValue::from_str(&value).expect("a value"));
    }
    (parts, body.to_owned())
}

pub(super) fn read(case: &Path, file: &str) -> String {
    let path = case.join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the suite's folder in the source of `aws-sigv4`.
///
/// `cargo metadata` needs all packages of the workspace, and by default of every platform. The filter avoids downloads
/// that a build does not need. It is not offline, since a build of one package downloads less than the workspace.
fn suite() -> PathBuf {
    let host = cargo(&["--version", "--verbose"]);
    let host = host
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .expect("a host");
    let arguments = [
        "metadata",
        "--format-version=1",
        "--locked",
        "--filter-platform",
        host,
    ];
    let metadata: Value = serde_json::from_str(&cargo(&arguments)).expect("JSON");
    let manifest = metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .find(|package| package["name"] == "aws-sigv4")
        .and_then(|package| package["manifest_path"].as_str())
        .expect("aws-sigv4 is a dependency");
    Path::new(manifest).with_file_name("aws-signing-test-suite")
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}
