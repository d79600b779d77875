//! The request of PutObject for a form.

use http::{HeaderName, HeaderValue, Method, Uri, header, request::Parts};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tower_sigv4::{sigv4::is_vendor_header, verify::VerifiedForm};

use super::{FormError, tagging::tags_in_query_form};
use crate::headers;

/// Bytes of a key that are encoded in a path (Amazon S3 API Reference, "Authenticating Requests", `UriEncode`).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// Fields with the name of their header (Amazon S3 API Reference, "POST Object" and PutObject).
const SAME_NAME: [&str; 10] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-md5",
    "content-type",
    "expires",
    "x-amz-request-payer",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
];

/// Beginnings of such names.
const SAME_PREFIX: [&str; 5] = [
    "x-amz-checksum-",
    "x-amz-grant-",
    "x-amz-meta-",
    "x-amz-object-lock-",
    "x-amz-server-side-encryption",
];

/// Turns the head of a form into that of PutObject.
pub(super) fn object_head(form: &VerifiedForm, mut head: Parts) -> Result<Parts, FormError> {
    head.method = Method::PUT;
    head.uri = object_uri(form.key(), &head.uri)?;
    // It could name a field, whose header would then be removed (RFC 9110, section 7.6.1).
    head.headers.remove(header::CONNECTION);
    // Those of the form, not of the file: no condition of the policy covers them.
    headers::remove_where(&mut head.headers, |name| describes_object(name.as_str()));
    for (name, value) in form.fields() {
        if let Some((header, text)) = header_of(name, value)? {
            let valid =
                HeaderValue::from_str(&text).map_err(|_| FormError::Value(name.to_owned()))?;
            head.headers.insert(header, valid);
        }
    }
    Ok(head)
}

/// Returns `true` for a header that would describe the object, or change the operation.
fn describes_object(name: &str) -> bool {
    name.starts_with("content-")
        || SAME_NAME.contains(&name)
        || matches!(name, "digest" | "repr-digest")
        || is_vendor_header(name)
}

fn object_uri(key: &str, form: &Uri) -> Result<Uri, FormError> {
    let is_resolved = |segment: &str| matches!(segment, "." | "..");
    // Some servers end a path at a zero byte.
    if key.is_empty() || key.contains('\0') || key.split('/').any(is_resolved) {
        return Err(FormError::Key);
    }
    let bucket = form.path().trim_end_matches('/');
    let path = format!("{bucket}/{}", utf8_percent_encode(key, ENCODED));
    let mut parts = form.clone().into_parts();
    parts.path_and_query = Some(path.parse().map_err(|_| FormError::Key)?);
    Uri::from_parts(parts).map_err(|_| FormError::Key)
}

/// Returns the header of a field and its value, or `None` for a field that PutObject does not need.
fn header_of(name: &str, value: &str) -> Result<Option<(HeaderName, String)>, FormError> {
    let unknown = || FormError::UnknownField(name.to_owned());
    let header = match name {
        "acl" => "x-amz-acl",
        "tagging" => {
            let tags = tags_in_query_form(value).ok_or(FormError::Tagging)?;
            return Ok(Some((HeaderName::from_static("x-amz-tagging"), tags)));
        }
        _ if SAME_NAME.contains(&name) || SAME_PREFIX.iter().any(|it| name.starts_with(it)) => name,
        // Another header could change the operation, as `x-amz-copy-source` does.
        _ if name.starts_with("x-") && !name.starts_with("x-ignore-") => return Err(unknown()),
        // `key`, `bucket`, those of the response, and names such as that of a button, which S3 ignores.
        _ => return Ok(None),
    };
    let parsed = header.parse().map_err(|_| unknown())?;
    Ok(Some((parsed, value.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_encoded_in_the_path_or_rejected() {
        for (form, key, expected) in [
            ("/bucket", "a/b.png", Some("/bucket/a/b.png")),
            (
                "/bucket/",
                "a b+c%2F?d#é",
                Some("/bucket/a%20b%2Bc%252F%3Fd%23%C3%A9"),
            ),
            (
                "http://bucket.example.com/",
                "/a//b",
                Some("http://bucket.example.com//a//b"),
            ),
            ("/bucket", "...", Some("/bucket/...")),
            ("/bucket", "a\\..\\b\r\n", Some("/bucket/a%5C..%5Cb%0D%0A")),
            ("/bucket", "", None),
            ("/bucket", "a/../b", None),
            ("/bucket", "a.html\0.png", None),
            ("/bucket", ".", None),
        ] {
            let uri = object_uri(key, &form.parse().expect("valid"));
            assert_eq!(
                uri.ok().map(|it| it.to_string()).as_deref(),
                expected,
                "{key:?}"
            );
        }
    }

    #[test]
    fn fields_become_headers_of_put_object() {
        for (name, header) in [
            ("acl", Some("x-amz-acl")),
            ("content-type", Some("content-type")),
            ("content-md5", Some("content-md5")),
            ("x-amz-meta-owner", Some("x-amz-meta-owner")),
            ("x-amz-checksum-sha256", Some("x-amz-checksum-sha256")),
            ("key", None),
            ("bucket", None),
            ("success_action_status", None),
            ("submit", None),
            ("host", None),
            ("x-ignore-button", None),
        ] {
            let found = header_of(name, "v").expect(name);
            assert_eq!(found.as_ref().map(|(it, _)| it.as_str()), header, "{name}");
        }
        for name in [
            "x-amz-copy-source",
            "x-amz-acl",
            "x-forwarded-for",
            "x-amz-meta-é",
        ] {
            let error = FormError::UnknownField(name.to_owned());
            assert_eq!(header_of(name, "v"), Err(error));
        }
    }
}
