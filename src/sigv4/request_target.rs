//! Construction of request targets.

use http::uri::PathAndQuery;

use crate::error::{BoxError, Error};

/// Maximum length of path and query that leaves space for scheme and host in a `Uri`. Not all versions of `http`
/// check the length.
const MAX_LEN: usize = 65_000;

/// Parses a path with an optional query.
pub(crate) fn path_and_query(target: String) -> Result<PathAndQuery, Error> {
    if target.len() > MAX_LEN {
        return Err(Error::request(
            "the request target is too long; shorten its path or query",
        ));
    }
    PathAndQuery::try_from(target).map_err(invalid)
}

/// Wraps an error of `http` for an invalid URI.
pub(crate) fn invalid(source: impl Into<BoxError>) -> Error {
    Error::request("the request target is not a valid URI").with_source(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_at_most_65_000_bytes() {
        let parse = |len: usize| path_and_query(format!("/{}", "a".repeat(len - 1)));
        assert!(parse(MAX_LEN).is_ok());
        let error = parse(MAX_LEN + 1).expect_err("too long");
        assert!(error.to_string().contains("shorten"), "{error}");
    }
}
