use std::borrow::Cow;

use http::{HeaderValue, Uri, Version, header, request::Parts, uri::Authority};
use memchr::{memchr, memchr_iter};

use super::{Rejection, RejectionKind as Kind};
use crate::{
    origin::remove_aws_chunked,
    sigv4::{
        PathForm,
        cookies::join_cookies,
        encode, request_target,
        signed_headers::{
            X_AMZ_CONTENT_SHA256, X_AMZ_DECODED_CONTENT_LENGTH, X_AMZ_SDK_CHECKSUM_ALGORITHM,
            X_AMZ_TRAILER, host_header, host_str,
        },
    },
};

/// Maximum number of query parameters, which are sorted to verify a signature. Rack has the same limit; those of
/// Django and PHP are lower.
const MAX_QUERY_PARAMETERS: usize = 4096;

/// Restores a head as the client signed it.
///
/// Adds the `host` that HTTP/2 and HTTP/3 send as `:authority` (RFC 9113, section 8.3.1), and joins the `cookie`
/// lines that they split.
pub(super) fn restore_signed_form(head: &mut Parts) {
    if !head.headers.contains_key(header::HOST)
        && let Some(host) = host_header(&head.uri)
        && head.headers.try_reserve(1).is_ok()
    {
        head.headers.insert(header::HOST, host);
    }
    // HTTP/1.1 does not split cookies: two lines are two values, and signed as such.
    if head.version >= Version::HTTP_2 {
        join_cookies(&mut head.headers);
    }
}

/// Replaces each `+` in a path of the S3 family by `%20`, which S3 reads alike and other servers do not. With
/// `rewrites`, replaces the path by its canonical form.
pub(super) fn rewrite_path(head: &mut Parts, form: PathForm, rewrites: bool) {
    let path = head.uri.path();
    if form == PathForm::Once
        && memchr(b'+', path.as_bytes()).is_some()
        && let Some(uri) = with_path(&head.uri, &path.replace('+', "%20"))
    {
        head.uri = uri;
    }
    if rewrites && let Some(uri) = canonical_uri(&head.uri, form) {
        head.uri = uri;
    }
}

/// Removes the headers that describe `aws-chunked` framing, and sets `content-length` to the decoded length. Returns
/// the name of the checksum in the removed trailer.
pub(super) fn remove_framing(head: &mut Parts, decoded_length: u64) -> Option<HeaderValue> {
    let headers = &mut head.headers;
    remove_aws_chunked(headers);
    headers.remove(X_AMZ_CONTENT_SHA256);
    headers.remove(X_AMZ_DECODED_CONTENT_LENGTH);
    let trailer = headers.remove(X_AMZ_TRAILER);
    // S3 would look for the removed trailer.
    let algorithm = trailer.and_then(|_| headers.remove(X_AMZ_SDK_CHECKSUM_ALGORITHM));
    headers.remove(header::TRANSFER_ENCODING);
    headers.insert(header::CONTENT_LENGTH, decoded_length.into());
    algorithm
}

/// Returns the URI with its path in canonical form, or `None` if the path is unambiguous or malformed.
fn canonical_uri(uri: &Uri, form: PathForm) -> Option<Uri> {
    let path = uri.path();
    if is_unambiguous(path, form) || !encode::has_valid_escapes(path.as_bytes()) {
        return None;
    }
    let canonical = if form.folds() {
        encode::fold(path)
    } else {
        let mut reencoded = Vec::new();
        encode::reencode_path(&mut reencoded, path, form.escaped_slash());
        Cow::Owned(String::from_utf8(reencoded).ok()?)
    };
    with_path(uri, &canonical)
}

/// Returns the URI with another path.
fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let target = match uri.query() {
        Some(query) => [path, "?", query].concat(),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(request_target::path_and_query(target).ok()?);
    Uri::from_parts(parts).ok()
}

/// Rejects a path that has the canonical form of another one: a router would see a path that was not signed.
pub(super) fn check_target(head: &Parts, form: PathForm) -> Result<(), Rejection> {
    let reject = |message| Err(Kind::Target.rejection(message));
    let path = head.uri.path();
    let query = head.uri.query().unwrap_or_default().as_bytes();
    if !encode::has_valid_escapes(path.as_bytes()) || !encode::has_valid_escapes(query) {
        return reject("the path or the query has a % without two hex digits");
    }
    if query.len() >= MAX_QUERY_PARAMETERS
        && memchr_iter(b'&', query).count() >= MAX_QUERY_PARAMETERS
    {
        return reject("the query has more than 4096 parameters");
    }
    if !is_unambiguous(path, form) {
        return reject(
            "the path has dot segments, empty segments, or an escaped slash or dot; another path has \
             the same signature",
        );
    }
    Ok(())
}

/// Returns `true` if no path with other segments has the same canonical form.
fn is_unambiguous(path: &str, form: PathForm) -> bool {
    let has = |escape: &[u8]| {
        path.as_bytes()
            .windows(3)
            .any(|at| at.eq_ignore_ascii_case(escape))
    };
    let folds = form.folds() && matches!(encode::fold(path), Cow::Owned(_));
    let decodes =
        !form.encodes_twice() && (has(b"%2e") || form.escaped_slash() == "/" && has(b"%2f"));
    !folds && !decodes
}

/// Rejects a request line with another host than the signed one, or with user information, which is never
/// signed. Servers may route by the request line (RFC 9112, section 3.2.2).
pub(super) fn check_host(uri: &Uri, host: Option<&HeaderValue>) -> Result<(), Rejection> {
    let (Some(signed), Some(authority)) = (host, uri.authority().map(Authority::as_str)) else {
        return Ok(()); // the check of signed headers rejects a request without a host
    };
    let is_signed = |name: &str| signed.as_bytes().eq_ignore_ascii_case(name.as_bytes());
    if !authority.contains('@') && (is_signed(authority) || host_str(uri).is_some_and(is_signed)) {
        return Ok(());
    }
    Err(Kind::Target.rejection("host and the request line name different hosts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambiguous_paths_are_replaced_by_their_canonical_form() {
        for (form, path, canonical) in [
            (PathForm::TwiceFolded, "/a/b", None),
            (PathForm::TwiceFolded, "/a%2Fb/%2e%2e", None),
            (PathForm::TwiceFolded, "/a//b?x=//", Some("/a/b?x=//")),
            (PathForm::TwiceFolded, "/x/../a/./b/", Some("/a/b/")),
            (PathForm::TwiceFolded, "/..", Some("/")),
            (PathForm::OnceFolded, "/a//b%2F", Some("/a/b%2F")),
            (PathForm::Twice, "/a//b/..", None),
            (PathForm::Once, "/a//b/..", None),
            (PathForm::Once, "/a%2fb%41", Some("/a/bA")),
            (PathForm::Once, "/a%2fb%zz", None),
        ] {
            let uri = Uri::try_from(path).expect("a path");
            let rewritten = canonical_uri(&uri, form).map(|found| found.to_string());
            assert_eq!(rewritten.as_deref(), canonical, "{path}");
        }
        let uri = Uri::from_static("http://h:1//a");
        let rewritten = canonical_uri(&uri, PathForm::TwiceFolded).expect("a canonical form");
        assert_eq!(rewritten, "http://h:1/a");
    }
}
