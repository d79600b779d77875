use std::{fmt, sync::Arc};

use super::scope::{is_scope_part, matches_pattern};
use crate::error::Error;

/// Regions in which a SigV4a signature is valid: the value of `x-amz-region-set`.
///
/// The names are separated by commas, without white space. A name that ends in `*` is a prefix, and `*` alone
/// matches every region. See the AWS IAM User Guide, "Elements of an AWS API request signature".
///
/// ```
/// use tower_sigv4::sigv4::RegionSet;
///
/// let regions = RegionSet::new("us-east-1,eu-*")?;
/// assert!(regions.contains("us-east-1"));
/// assert!(regions.contains("eu-west-1"));
/// assert!(!regions.contains("us-west-2"));
/// assert_eq!(regions.to_string(), "us-east-1,eu-*");
///
/// let error = RegionSet::new("us-east-1, us-west-2").unwrap_err();
/// assert!(error.to_string().contains(r#"" us-west-2""#));
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RegionSet(Arc<str>);

impl RegionSet {
    /// Parses a set such as `us-east-1,us-west-2`, `us-*` or `*`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if a name is empty or contains a character other than
    /// letters, digits, `-`, `_`, `.` and one `*` at its end.
    pub fn new(text: &str) -> Result<Self, Error> {
        match text.split(',').find(|region| !is_region(region)) {
            None => Ok(Self(text.into())),
            Some(region) => Err(Error::config(format!(
                "region {region:?} is invalid; give names or prefixes, such as \"us-east-1,us-west-2\", \"us-*\" or \
                 \"*\""
            ))),
        }
    }

    /// Returns `true` if the set contains this region, by name or by prefix.
    #[must_use]
    pub fn contains(&self, region: &str) -> bool {
        let mut names = self.0.split(',');
        names.any(|name| matches_pattern(name, region))
    }

    pub(crate) fn into_inner(self) -> Arc<str> {
        self.0
    }
}

fn is_region(text: &str) -> bool {
    text == "*" || is_scope_part(text.strip_suffix('*').unwrap_or(text))
}

impl fmt::Display for RegionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_region_sets_are_rejected() {
        for (text, offending) in [
            ("", ""),
            (",", ""),
            ("us-east-1,", ""),
            (",us-east-1", ""),
            (" us-east-1", " us-east-1"),
            ("us-east-1 ", "us-east-1 "),
            ("us-east-1, us-west-2", " us-west-2"),
            ("us east", "us east"),
            ("us-east-1;us-west-2", "us-east-1;us-west-2"),
            ("us/east", "us/east"),
            ("**", "**"),
            ("us-*-1", "us-*-1"),
            ("*-1", "*-1"),
            ("*,us-?", "us-?"),
            ("us-east-1\n", "us-east-1\n"),
            ("é", "é"),
        ] {
            let error = RegionSet::new(text).expect_err(text).to_string();
            assert!(
                error.starts_with(&format!("region {offending:?} is invalid")),
                "{error}"
            );
            assert!(error.contains(r#""us-*""#), "{error}");
        }
    }

    #[test]
    fn set_contains_names_and_prefixes() {
        for (set, region, contained) in [
            ("us-east-1", "us-east-1", true),
            ("us-east-1", "us-east-10", false),
            ("us-east-10", "us-east-1", false),
            ("us-east-1", "US-EAST-1", false),
            ("us-east-1,us-west-2", "us-west-2", true),
            ("us-east-1,us-west-2", "us-east-1,us-west-2", false),
            ("us-east-1,us-west-2", "eu-west-1", false),
            ("us-east-1,us-west-2", "", false),
            ("us-*", "us-east-1", true),
            ("us-*", "us-", true),
            ("us-*", "eu-us-1", false),
            ("us-*", "us", false),
            ("eu-*,us-east-1*", "us-east-1", true),
            ("*", "us-east-1", true),
            ("eu-west-1,*", "us-east-1", true),
        ] {
            let set = RegionSet::new(set).expect("valid");
            assert_eq!(set.contains(region), contained, "{set} {region}");
        }
    }
}
