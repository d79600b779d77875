//! Error of a request that is not allowed.

use std::{error::Error, fmt};

use http::Method;

/// A request that its caller is not allowed to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessDenied {
    pub(super) caller: String,
    pub(super) mechanism: &'static str,
    pub(super) method: Method,
    pub(super) route: Option<String>,
}

impl fmt::Display for AccessDenied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            caller,
            mechanism: _,
            method,
            route,
        } = self;
        write!(f, "caller {caller} is not allowed to {method} ")?;
        match route {
            Some(name) => write!(f, "on route {name:?}"),
            None => f.write_str("on this route"),
        }
    }
}

impl Error for AccessDenied {}

impl AccessDenied {
    /// Returns the name of the mechanism that has verified the caller.
    pub(crate) fn mechanism(&self) -> &'static str {
        self.mechanism
    }
}
