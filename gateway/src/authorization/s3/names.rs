//! Names of objects in paths.

use percent_encoding::percent_decode_str;

/// Bucket and key, which is empty for the bucket itself.
pub(crate) type Name = (Vec<u8>, Vec<u8>);

/// Returns the bucket and key of a path: as S3 reads it, and as a server that folds dot segments and empty segments.
pub(super) fn names(bucket_in_host: Option<&str>, path: &str) -> Vec<Name> {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let relative = decoded.strip_prefix(b"/").unwrap_or(&decoded);
    let name = |reading: &[u8]| match bucket_in_host {
        Some(bucket) => (bucket.as_bytes().to_vec(), reading.to_vec()),
        None => split_bucket(reading),
    };
    with_folded(relative, name)
}

/// Returns the bucket and key of an object, and those that a server reads that folds its path.
pub(crate) fn object_names(bucket: &[u8], key: &[u8]) -> Vec<Name> {
    let path = [bucket, b"/", key].concat();
    with_folded(&path, split_bucket)
}

/// Returns the names of a text and of its folded form, if they differ.
pub(super) fn with_folded(relative: &[u8], name: impl Fn(&[u8]) -> Name) -> Vec<Name> {
    let literal = name(relative);
    let folded = name(&fold(relative));
    if folded == literal {
        vec![literal]
    } else {
        vec![literal, folded]
    }
}

pub(super) fn split_bucket(relative: &[u8]) -> Name {
    match relative.iter().position(|&byte| byte == b'/') {
        Some(at) => (relative[..at].to_vec(), relative[at + 1..].to_vec()),
        None => (relative.to_vec(), Vec::new()),
    }
}

/// Removes dot segments (RFC 3986, section 5.2.4) and empty segments of a decoded path without its first slash.
fn fold(relative: &[u8]) -> Vec<u8> {
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut names_directory = true;
    for segment in relative.split(|&byte| byte == b'/') {
        names_directory = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    let mut folded = segments.join(&b'/');
    if names_directory && !segments.is_empty() {
        folded.push(b'/');
    }
    folded
}
