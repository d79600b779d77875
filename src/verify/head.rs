//! A request's head, made ready to be verified.

use std::borrow::Cow;

use http::{Uri, header, request::Parts, uri::PathAndQuery};

use super::{claim::is_exact, layer::Shared};
use crate::sigv4::{PathForm, encode, headers::host_of};

/// Gives the head a `host`, which HTTP/2 sends as `:authority` (RFC 9113, section 8.3.1), and replaces
/// its path by the one that was signed if that is wanted.
pub(super) fn prepare(head: &mut Parts, shared: &Shared) {
    if !head.headers.contains_key(header::HOST)
        && let Some(host) = host_of(&head.uri)
        && head.headers.try_reserve(1).is_ok()
    {
        head.headers.insert(header::HOST, host);
    }
    if shared.rewrites_path
        && let Some(uri) = rewritten(&head.uri, shared.verifier.settings().path_form)
    {
        head.uri = uri;
    }
}

/// The URI with the path that was signed, if another one may be meant; `None` as well if it cannot be
/// written, so that it is refused.
fn rewritten(uri: &Uri, form: PathForm) -> Option<Uri> {
    let path = uri.path();
    if is_exact(path, form) || !encode::has_whole_escapes(path.as_bytes()) {
        return None;
    }
    let path = match form.folds() {
        true => encode::fold(path),
        false => {
            let mut recoded = Vec::new();
            encode::recode_path(&mut recoded, path, form.escaped_slash());
            Cow::Owned(String::from_utf8(recoded).ok()?)
        }
    };
    let target = match uri.query() {
        Some(query) => [&*path, "?", query].concat(),
        None => path.into_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
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
