//! A request's head: made ready to be verified, and held to what its signature covers.

use std::borrow::Cow;

use http::{HeaderValue, Uri, Version, header, request::Parts};
use memchr::memchr_iter;

use super::{Rejection, RejectionKind, layer::Shared};
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

/// Limits the parameters of a query, which are sorted to verify a signature. Rack's limit is the same; those of
/// Django and PHP are lower.
const MAX_QUERY_PARAMETERS: usize = 4096;

/// Undoes what HTTP/2 and HTTP/3 do to a head that was signed: adds the `host` that they send as
/// `:authority` (RFC 9113, section 8.3.1), and joins split `cookie` lines. Replaces the path by the one
/// that was signed if the layer is set to.
pub(super) fn prepare(head: &mut Parts, shared: &Shared) {
    if !head.headers.contains_key(header::HOST)
        && let Some(host) = host_header(&head.uri)
        && head.headers.try_reserve(1).is_ok()
    {
        head.headers.insert(header::HOST, host);
    }
    // HTTP/1.1 does not split cookies; there two lines are two values to a signature.
    if head.version >= Version::HTTP_2 {
        join_cookies(&mut head.headers);
    }
    if shared.rewrites_path
        && let Some(uri) = rewritten(&head.uri, shared.verifier.settings().path_form)
    {
        head.uri = uri;
    }
}

/// Takes out of a head what it says of the frames around the payload, for one who is handed the payload
/// alone; `decoded` is its length in bytes.
pub(super) fn decode(head: &mut Parts, decoded: u64) {
    let headers = &mut head.headers;
    remove_aws_chunked(headers);
    headers.remove(X_AMZ_CONTENT_SHA256);
    headers.remove(X_AMZ_DECODED_CONTENT_LENGTH);
    if headers.remove(X_AMZ_TRAILER).is_some() {
        headers.remove(X_AMZ_SDK_CHECKSUM_ALGORITHM); // the one in the trailer, which S3 would look for
    }
    headers.remove(header::TRANSFER_ENCODING);
    headers.insert(header::CONTENT_LENGTH, decoded.into());
}

/// The URI with the path that was signed, if another one may be meant; `None` as well if it cannot be
/// written, so that it is refused.
fn rewritten(uri: &Uri, form: PathForm) -> Option<Uri> {
    let path = uri.path();
    if is_exact(path, form) || !encode::has_valid_escapes(path.as_bytes()) {
        return None;
    }
    let path = match form.folds() {
        true => encode::fold(path),
        false => {
            let mut recoded = Vec::new();
            encode::reencode_path(&mut recoded, path, form.escaped_slash());
            Cow::Owned(String::from_utf8(recoded).ok()?)
        }
    };
    let target = match uri.query() {
        Some(query) => [&*path, "?", query].concat(),
        None => path.into_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(request_target::path_and_query(target).ok()?);
    Uri::from_parts(parts).ok()
}

/// The path that was signed has to be the path that is received, segment by segment: a router would
/// see another one otherwise.
pub(super) fn check_target(head: &Parts, form: PathForm) -> Result<(), Rejection> {
    let target = |detail| Err(Rejection::new(RejectionKind::Target, detail));
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
    if ![path, query]
        .iter()
        .all(|text| encode::has_valid_escapes(text.as_bytes()))
    {
        return target("the path or the query holds a % without two hex digits");
    }
    if query.len() >= MAX_QUERY_PARAMETERS
        && memchr_iter(b'&', query.as_bytes()).count() >= MAX_QUERY_PARAMETERS
    {
        return target("the query holds more than 4096 parameters");
    }
    if !is_exact(path, form) {
        return target(
            "the path holds dot segments, empty segments, or a slash or a dot that is escaped, which \
             the signature does not tell from what they stand for",
        );
    }
    Ok(())
}

/// True if no other path, differing in its segments, has the same canonical form.
fn is_exact(path: &str, form: PathForm) -> bool {
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

/// Who routes by the request line's authority (RFC 9112, section 3.2.2) must see the host that was
/// signed, and no user information, which no one signed.
pub(super) fn check_host(uri: &Uri, host: Option<&HeaderValue>) -> Result<(), Rejection> {
    let (Some(host), Some(authority)) = (host, uri.authority()) else {
        return Ok(()); // without one there is nothing to sign, which the names tell
    };
    let same = |text: &str| host.as_bytes().eq_ignore_ascii_case(text.as_bytes());
    let authority = authority.as_str();
    if !authority.contains('@') && (same(authority) || host_str(uri).is_some_and(same)) {
        return Ok(());
    }
    Err(Rejection::new(
        RejectionKind::Target,
        "host and the request line name different hosts",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_replaced_by_those_that_were_signed() {
        for (form, from, to) in [
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
            let uri = Uri::try_from(from).expect("a path");
            let new = rewritten(&uri, form).map(|uri| uri.to_string());
            assert_eq!(new.as_deref(), to, "{from}");
        }
        let uri = Uri::from_static("http://h:1//a");
        let new = rewritten(&uri, PathForm::TwiceFolded).expect("replaced");
        assert_eq!(new, "http://h:1/a");
    }
}
