//! Limits on the headers and parameters that tell S3 and other services what to do.

use http::{HeaderName, request::Parts};
use percent_encoding::percent_decode_str;

use super::{OwnHeaders, headers::is_client_signing_header};
use crate::{
    error::{Error, ErrorKind, truncated},
    sigv4::{authorization::signature_parameter, is_vendor_header, scope::matches_pattern},
};

const PREFIX: &str = "x-amz-";

/// The `x-amz-*` headers, those of other vendors, and the query parameters that a rule allows.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    headers: Option<Vec<String>>,
    parameters: Option<Vec<String>>,
}

/// Checks a name or a prefix with a star, such as `x-amz-meta-*`, and returns it in lower case.
fn header_pattern(pattern: &str) -> Result<String, Error> {
    let lower = pattern.to_ascii_lowercase();
    let prefix = lower.strip_suffix('*');
    let name = prefix.unwrap_or(&lower);
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_amazon = name.starts_with(PREFIX) && (prefix.is_some() || name != PREFIX);
    if (is_amazon || is_vendor_header(name)) && name.bytes().all(legal) {
        return Ok(lower);
    }
    Err(Error::config(format!(
        "{pattern:?} is not the name of an x-amz-* header, or of another vendor's for S3; use one such as \
         \"x-amz-acl\" or \"x-amz-meta-*\""
    )))
}

impl Limits {
    pub(super) fn set_headers(
        &mut self,
        patterns: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<(), Error> {
        let parsed = patterns
            .into_iter()
            .map(|pattern| header_pattern(pattern.as_ref()));
        self.headers = Some(parsed.collect::<Result<_, _>>()?);
        Ok(())
    }

    pub(super) fn set_parameters(&mut self, names: impl IntoIterator<Item = impl Into<String>>) {
        self.parameters = Some(names.into_iter().map(Into::into).collect());
    }

    /// Rejects a request that has a header or a parameter beyond the limits. Vendors' headers count before S3.
    pub(super) fn check(&self, head: &Parts, is_s3: bool) -> Result<(), Error> {
        if self.headers.is_some() {
            let own = head.extensions.get::<OwnHeaders>();
            let is_exempt = |name: &&HeaderName| {
                is_client_signing_header(name) || own.is_some_and(|set| set.contains(name))
            };
            for name in head.headers.keys().filter(|name| !is_exempt(name)) {
                self.check_header("header", name.as_str(), is_s3)?;
            }
        }
        let query = head.uri.query().unwrap_or_default();
        // Some servers also separate parameters by semicolons.
        let pairs = query.split(['&', ';']).filter(|pair| !pair.is_empty());
        for pair in pairs.filter(|pair| signature_parameter(pair).is_none()) {
            let key = pair.split_once('=').map_or(pair, |(key, _)| key);
            let name = percent_decode_str(key).decode_utf8_lossy();
            // S3 reads such a parameter as the header of that name.
            self.check_header("query parameter", &name, is_s3)?;
            if let Some(allowed) = &self.parameters
                && !allowed.iter().any(|parameter| *parameter == name)
            {
                return Err(forbidden("query parameter", &name));
            }
        }
        Ok(())
    }

    /// Rejects a name that some server reads as a header outside of the list.
    fn check_header(&self, part: &str, name: &str, is_s3: bool) -> Result<(), Error> {
        let Some(patterns) = &self.headers else {
            return Ok(());
        };
        let canonical = name.trim().to_ascii_lowercase().replace('_', "-");
        let is_listed = patterns
            .iter()
            .any(|pattern| matches_pattern(pattern, &canonical));
        let is_limited = canonical.starts_with(PREFIX) || (is_s3 && is_vendor_header(&canonical));
        if is_limited && !is_listed {
            return Err(forbidden(part, name));
        }
        Ok(())
    }
}

fn forbidden(part: &str, name: &str) -> Error {
    let shown = truncated(name);
    Error::new(
        ErrorKind::Forbidden,
        format!("the rule for this request does not allow the {part} {shown:?}; remove it"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_names_or_prefixes_of_amz_headers() {
        for good in [
            "x-amz-acl",
            "X-Amz-Acl",
            "x-amz-meta-*",
            "x-amz-*",
            "x-object-meta-*",
            "X-Copy-From",
        ] {
            assert!(header_pattern(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "*",
            "x-amz-",
            "x-*",
            "x-obj*",
            "acl",
            "x-amz-a b",
            "x-amz-é",
            "x-amz-a*b",
            "x_amz_acl",
            "x-amz-m_*",
        ] {
            let error = header_pattern(bad).expect_err(bad);
            assert_eq!(error.kind(), ErrorKind::Config, "{bad:?}");
            assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
        }
    }
}
