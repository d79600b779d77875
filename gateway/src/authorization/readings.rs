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

/// Headers by which some frameworks replace the path of a request.
const PATH_HEADERS: [&str; 2] = ["x-original-url", "x-rewrite-url"];

/// Number of times that a path may be percent-encoded. A request with more is rejected.
const MAX_DECODINGS: usize = 5;

/// Returns the request with each path that an origin may read in place of its own, in the path or in a header. Returns
/// `None` if there is a path that cannot be judged.
pub(super) fn all_readings(head: &Parts) -> Option<Vec<Parts>> {
    let mut readings = other_readings(head)?;
    for name in PATH_HEADERS {
        for value in head.headers.get_all(name) {
            let path = value.to_str().ok().filter(|text| text.starts_with('/'))?;
            let replaced = with_path(head, path)?;
            readings.extend(other_readings(&replaced)?);
            readings.push(replaced);
        }
    }
    Some(readings)
}

/// Returns the request with each other reading of its path: decoded until it is unchanged, with `\` as a slash, and
/// without the parameters that follow a `;` (RFC 3986, section 3.3).
fn other_readings(head: &Parts) -> Option<Vec<Parts>> {
    let path = head.uri.path();
    if !path.contains(['%', ';', '\\']) {
        return Some(Vec::new());
    }
    let mut readings: Vec<Vec<u8>> = Vec::new();
    for decoded in decodings(path)? {
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
        .map(|reading| with_path(head, &percent_encode(reading, RESERVED).to_string()))
        .collect()
}

/// Returns the path decoded once, twice and so on, until it is unchanged.
fn decodings(path: &str) -> Option<Vec<Vec<u8>>> {
    let mut decodings = vec![percent_decode(path.as_bytes()).collect::<Vec<u8>>()];
    while let Some(latest) = decodings.last() {
        let decoded: Vec<u8> = percent_decode(latest).collect();
        if decoded == *latest {
            break;
        }
        if decodings.len() == MAX_DECODINGS {
            return None;
        }
        decodings.push(decoded);
    }
    Some(decodings)
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
            ("/a/%25252e", vec!["/a/%25252e", "/a/%252e", "/a/."]),
        ] {
            let (head, ()) = Request::get(path).body(()).expect("a request").into_parts();
            let readings = all_readings(&head).expect("judged");
            let paths: Vec<_> = readings.iter().map(|it| it.uri.path()).collect();
            assert_eq!(paths, expected, "{path}");
        }
    }

    #[test]
    fn paths_in_headers_are_judged() {
        for name in PATH_HEADERS {
            for (value, expected) in [
                ("/c?d", Some(vec!["/c"])),
                ("/c/..%2fd", Some(vec!["/c/../d", "/c/..%2fd"])),
                ("c", None),
                ("", None),
                ("http://localhost/c", None),
            ] {
                let request = Request::get("/a").header(name, value).body(());
                let (head, ()) = request.expect("a request").into_parts();
                let readings = all_readings(&head);
                let paths = readings.as_ref().map(|list| {
                    let found = list.iter().map(|it| it.uri.path());
                    found.collect::<Vec<_>>()
                });
                assert_eq!(paths, expected, "{name}: {value}");
            }
        }
    }

    #[test]
    fn paths_that_are_encoded_too_often_are_rejected() {
        for (times, is_judged) in [(MAX_DECODINGS, true), (MAX_DECODINGS + 1, false)] {
            let path = format!("/a/%{}2e", "25".repeat(times - 1));
            let (head, ()) = Request::get(&path)
                .body(())
                .expect("a request")
                .into_parts();
            assert_eq!(all_readings(&head).is_some(), is_judged, "{path}");
        }
    }
}
