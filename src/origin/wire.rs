//! The request line as it goes over the wire.

use std::borrow::Cow;

use super::options::Options;
use crate::{
    error::Error,
    sigv4::{PathForm, authorization::signature_parameter, canonical, encode},
};

/// How path and query are sent. What is signed is what servers derive from either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WireForm {
    /// The caller's bytes and order, but for what would be ambiguous; see the
    /// [module's documentation](crate::origin).
    #[default]
    Preserve,
    /// Each segment of the path, each key and each value of the query decoded and encoded anew, and
    /// the query sorted: for intermediaries that would otherwise do it themselves.
    Canonical,
}

/// The path as it goes over the wire.
pub(crate) fn path<'a>(path: &'a str, options: &Options) -> Result<Cow<'a, str>, Error> {
    check_escapes("path", path)?;
    let form = options.settings.path_form();
    let folded = match form.folds() {
        true => encode::fold_escaped(path),
        false => Cow::Borrowed(path),
    };
    let preserve = options.wire == WireForm::Preserve && form.encodes_twice();
    Ok(match folded {
        Cow::Borrowed(path) => encode_path(path, form, preserve),
        Cow::Owned(path) => Cow::Owned(encode_path(&path, form, preserve).into_owned()),
    })
}

fn encode_path(path: &str, form: PathForm, preserve: bool) -> Cow<'_, str> {
    if preserve {
        return encode::escape(path, encode::ILLEGAL_IN_PATH);
    }
    let escaped_slash = form.escaped_slash();
    if encode::is_path_reencoded(path, escaped_slash) {
        return Cow::Borrowed(path);
    }
    Cow::Owned(written(path, |out| {
        encode::reencode_path(out, path, escaped_slash)
    }))
}

/// The query as it goes over the wire, without credentials of a presigned URL if `signs`.
pub(crate) fn query<'a>(
    query: &'a str,
    options: &Options,
    signs: bool,
) -> Result<Cow<'a, str>, Error> {
    check_escapes("query", query)?;
    let query = match signs && query.split('&').any(is_credential) {
        true => {
            let kept: Vec<_> = query
                .split('&')
                .filter(|pair| !is_credential(pair))
                .collect();
            Cow::Owned(kept.join("&"))
        }
        false => Cow::Borrowed(query),
    };
    Ok(match (options.wire, query) {
        (WireForm::Canonical, query) => Cow::Owned(written(&query, |out| {
            canonical::write_query(out, &query, &[])
        })),
        (WireForm::Preserve, Cow::Borrowed(query)) => repair_query(query),
        (WireForm::Preserve, Cow::Owned(query)) => Cow::Owned(repair_query(&query).into_owned()),
    })
}

fn repair_query(query: &str) -> Cow<'_, str> {
    let query = encode::escape(query, encode::ILLEGAL_IN_QUERY);
    match query.contains('+') {
        true => Cow::Owned(query.replace('+', "%20")),
        false => query,
    }
}

/// True for a query that carries a signature.
pub(crate) fn is_presigned(query: &str) -> bool {
    query
        .split('&')
        .any(|pair| signature_parameter(pair) == Some("X-Amz-Signature"))
}

fn is_credential(pair: &str) -> bool {
    signature_parameter(pair).is_some()
}

fn check_escapes(what: &str, text: &str) -> Result<(), Error> {
    if encode::has_whole_escapes(text.as_bytes()) {
        return Ok(());
    }
    Err(Error::request(format!(
        "the {what} holds a \"%\" that is not followed by two hex digits; send a literal one as %25"
    )))
}

fn written(from: &str, write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::with_capacity(from.len() + from.len() / 2);
    write(&mut out);
    String::from_utf8(out).expect("percent-encoded text is ASCII")
}
