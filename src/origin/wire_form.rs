//! Path and query as they go over the wire.

use std::borrow::Cow;

use crate::{
    error::Error,
    sigv4::{
        PathForm,
        authorization::{is_signed_in_version_2, signature_parameter, version_2_parameter},
        canonical, encode,
    },
};

/// Form in which path and query are sent. The signature covers what servers derive from either form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WireForm {
    /// Preserves the caller's bytes and order, except where they would be ambiguous; see the
    /// [module's documentation](crate::origin).
    #[default]
    Preserve,
    /// Decodes and encodes each path segment, query key and query value, and sorts the query. Use it
    /// where an intermediary would otherwise do so.
    Canonical,
}

impl WireForm {
    /// Returns the path as it goes over the wire.
    pub(super) fn path(self, path: &str, form: PathForm) -> Result<Cow<'_, str>, Error> {
        check_escapes("path", path)?;
        let preserve = self == Self::Preserve && form.encodes_twice();
        let folded = if form.folds() {
            encode::fold_escaped(path)
        } else {
            Cow::Borrowed(path)
        };
        Ok(match folded {
            Cow::Borrowed(unchanged) => encode_path(unchanged, form, preserve),
            Cow::Owned(changed) => Cow::Owned(encode_path(&changed, form, preserve).into_owned()),
        })
    }

    /// Returns the query as it goes over the wire, without the parameters of a presigned URL if
    /// `signs`.
    pub(super) fn query(self, query: &str, signs: bool) -> Result<Cow<'_, str>, Error> {
        check_escapes("query", query)?;
        let is_version_2 = signs && is_signed_in_version_2(query);
        let is_own = |pair: &&str| {
            signature_parameter(pair).is_none()
                && !(is_version_2 && version_2_parameter(pair).is_some())
        };
        if signs && !query.split('&').all(|pair| is_own(&pair)) {
            let pairs: Vec<_> = query.split('&').filter(is_own).collect();
            let unsigned = pairs.join("&");
            return Ok(Cow::Owned(self.encode_query(&unsigned).into_owned()));
        }
        Ok(self.encode_query(query))
    }

    fn encode_query(self, query: &str) -> Cow<'_, str> {
        if self == Self::Canonical {
            let write = |out: &mut _| canonical::write_query(out, query, &[]);
            return Cow::Owned(encoded_string(query.len(), write));
        }
        let repaired = encode::escape(query, encode::ILLEGAL_IN_QUERY);
        if repaired.contains('+') {
            Cow::Owned(repaired.replace('+', "%20"))
        } else {
            repaired
        }
    }
}

fn encode_path(path: &str, form: PathForm, preserve: bool) -> Cow<'_, str> {
    if preserve {
        return encode::escape(path, encode::ILLEGAL_IN_PATH);
    }
    let escaped_slash = form.escaped_slash();
    if encode::is_path_reencoded(path, escaped_slash) {
        return Cow::Borrowed(path);
    }
    let write = |out: &mut _| encode::reencode_path(out, path, escaped_slash);
    Cow::Owned(encoded_string(path.len(), write))
}

/// Returns `true` for the query of a presigned URL, of either version.
pub(crate) fn is_presigned(query: &str) -> bool {
    is_presigned_in_version_4(query) || is_signed_in_version_2(query)
}

/// Returns `true` for the query of a URL that is presigned in version 4 or 4a.
pub(super) fn is_presigned_in_version_4(query: &str) -> bool {
    query
        .split('&')
        .any(|pair| signature_parameter(pair) == Some("X-Amz-Signature"))
}

fn check_escapes(part: &str, value: &str) -> Result<(), Error> {
    if encode::has_valid_escapes(value.as_bytes()) {
        return Ok(());
    }
    Err(Error::request(format!(
        "the {part} holds a \"%\" that is not followed by two hex digits; send a literal one as %25"
    )))
}

fn encoded_string(len: usize, write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::with_capacity(len + len / 2);
    write(&mut out);
    String::from_utf8(out).expect("percent-encoded text is ASCII")
}
