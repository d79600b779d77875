//! Other readings of an ambiguous path.

use http::{Uri, request::Parts};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

/// All bytes except `/` and the unreserved ones of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Returns the request with each path that an origin may read in place of its own: decoded twice, with `\` as a slash,
/// and without the parameters that follow a `;` (RFC 3986, section 3.3).
pub(super) fn other_readings(head: &Parts) -> Vec<Parts> {
    let path = head.uri.path();
    if !path.contains(['%', ';', '\\']) {
        return Vec::new();
    }
    let once: Vec<u8> = percent_decode(path.as_bytes()).collect();
    let twice: Vec<u8> = percent_decode(&once).collect();
    let mut readings: Vec<Vec<u8>> = Vec::new();
    for decoded in [once, twice] {
        let slashes: Vec<u8> = decoded
            .into_iter()
            .map(|byte| if byte == b'\\' { b'/' } else { byte })
            .collect();
        let bare = without_parameters(&slashes);
        for reading in [slashes, bare] {
            if !readings.contains(&reading) {
                readings.push(reading);
            }
        }
    }
    readings
        .iter()
        .filter_map(|reading| with_path(head, &percent_encode(reading, RESERVED).to_string()))
        .collect()
}

fn without_parameters(path: &[u8]) -> Vec<u8> {
    let segments = path.split(|&byte| byte == b'/');
    let bare: Vec<&[u8]> = segments
        .map(|segment| {
            segment
                .split(|&byte| byte == b';')
                .next()
                .unwrap_or_default()
        })
        .collect();
    bare.join(&b'/')
}

fn with_path(head: &Parts, path: &str) -> Option<Parts> {
    let mut uri = head.uri.clone().into_parts();
    uri.path_and_query = Some(path.parse().ok()?);
    let mut reading = head.clone();
    reading.uri = Uri::from_parts(uri).ok()?;
    Some(reading)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn ambiguous_paths_have_other_readings() {
        for (path, expected) in [
            ("/a/b", vec![]),
            ("/a/..%2fb", vec!["/a/../b"]),
            ("/a/%252e%252e/b", vec!["/a/%252e%252e/b", "/a/../b"]),
            ("/a/..;x/b", vec!["/a/..%3Bx/b", "/a/../b"]),
            ("/a/..%5Cb", vec!["/a/../b"]),
            ("/a/%C3%A9", vec!["/a/%C3%A9"]),
            ("/a/50%25", vec!["/a/50%25"]),
        ] {
            let (head, ()) = Request::get(path).body(()).expect("a request").into_parts();
            let readings = other_readings(&head);
            let paths: Vec<_> = readings.iter().map(|it| it.uri.path()).collect();
            assert_eq!(paths, expected, "{path}");
        }
    }
}
