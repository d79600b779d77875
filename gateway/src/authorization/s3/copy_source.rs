//! Sources of copies and renames.

use http::{HeaderMap, HeaderName, Method};
use percent_encoding::percent_decode_str;

use super::names::{Name, split_bucket, with_folded};
use crate::authorization::access::{Access, Target};

/// Returns the accesses to the source of CopyObject and UploadPartCopy.
pub(super) fn copied(headers: &HeaderMap) -> Vec<Access> {
    let names = single(headers, "x-amz-copy-source").and_then(source_names);
    accesses(names, &[Method::GET])
}

/// Returns the accesses to the source of RenameObject, which stays in its bucket.
pub(super) fn renamed(headers: &HeaderMap, bucket: &[u8]) -> Vec<Access> {
    let names = single(headers, "x-amz-rename-source").and_then(|value| {
        let mut names = Vec::new();
        for text in readings(value)? {
            let relative = text.strip_prefix(b"/").unwrap_or(&text);
            names.extend(with_folded(relative, |key| (bucket.to_vec(), key.to_vec())));
            let (named, _) = split_bucket(relative);
            if named == bucket {
                names.extend(with_folded(relative, split_bucket));
            }
        }
        Some(names)
    });
    accesses(names, &[Method::GET, Method::DELETE])
}

fn accesses(names: Option<Vec<Name>>, methods: &[Method]) -> Vec<Access> {
    let to_target = |(bucket, key): Name| Target::Object { bucket, key };
    let targets: Vec<Target> = match names {
        Some(known) => known.into_iter().map(to_target).collect(),
        None => vec![Target::Everything],
    };
    let pairs = targets
        .iter()
        .flat_map(|target| methods.iter().map(move |method| (method, target)));
    pairs
        .map(|(method, target)| Access::new(method, target.clone()))
        .collect()
}

fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<&'a str> {
    let mut values = headers.get_all(HeaderName::from_static(name)).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    value.to_str().ok()
}

/// Returns the buckets and keys that a source may name, or `None` for a source that is not judged: an ARN of an access
/// point, or a malformed one (Amazon S3 API Reference, CopyObject).
fn source_names(value: &str) -> Option<Vec<Name>> {
    let path = match value.split_once('?') {
        Some((path, version)) if is_version(version) => path,
        Some(_) => return None,
        None => value,
    };
    let mut names = Vec::new();
    for text in readings(path)? {
        let relative = text.strip_prefix(b"/").unwrap_or(&text);
        names.extend(with_folded(relative, split_bucket));
    }
    let is_object =
        |(bucket, key): &Name| !bucket.is_empty() && !key.is_empty() && !bucket.contains(&b':');
    names.iter().all(is_object).then_some(names)
}

fn is_version(text: &str) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'&' | b'/' | b'?');
    text.strip_prefix("versionId=")
        .is_some_and(|version| version.bytes().all(is_safe))
}

/// Returns the decoded text, with `+` as itself and as a space: servers differ. Returns `None` for a `%` without two hex
/// digits.
fn readings(value: &str) -> Option<Vec<Vec<u8>>> {
    if !has_valid_escapes(value) {
        return None;
    }
    let decode = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    let mut readings = vec![decode(value)];
    if value.contains('+') {
        readings.push(decode(&value.replace('+', " ")));
    }
    Some(readings)
}

fn has_valid_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit))
    })
}
