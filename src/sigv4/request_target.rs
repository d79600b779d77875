//! Request targets that are put together anew.

use http::uri::PathAndQuery;

use crate::error::{BoxError, Error};

/// What a `Uri` can hold beside a scheme and a host; `http` has not always checked that.
const LONGEST: usize = 65_000;

/// A path, and maybe a query, as a `Uri` takes it.
pub(crate) fn path_and_query(target: String) -> Result<PathAndQuery, Error> {
    if target.len() > LONGEST {
        return Err(Error::request(
            "the request target is too long to be sent; shorten its path or query",
        ));
    }
    PathAndQuery::try_from(target).map_err(invalid)
}

/// An error of `http` about what cannot be a URI.
pub(crate) fn invalid(source: impl Into<BoxError>) -> Error {
    Error::request("the request target cannot be sent").with_source(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_65_000_bytes_at_most() {
        let of = |len: usize| path_and_query(format!("/{}", "a".repeat(len - 1)));
        assert!(of(LONGEST).is_ok());
        let error = of(LONGEST + 1).expect_err("too long");
        assert!(error.to_string().contains("shorten"), "{error}");
    }
}
