//! Accesses that a request asks for.

use http::Method;

/// One access. A request is allowed if each of its accesses is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) method: Method,
    pub(crate) target: Target,
}

/// Target of an access to an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Anything on the route, as for services other than S3, and for requests whose objects are not known.
    Everything,
    /// A bucket as a whole.
    Bucket(Vec<u8>),
    /// The names of all objects that start with a prefix.
    Listing {
        bucket: Vec<u8>,
        prefix: Vec<u8>,
    },
    Object {
        bucket: Vec<u8>,
        key: Vec<u8>,
    },
}

impl Access {
    pub(super) fn new(method: &Method, target: Target) -> Self {
        Self {
            method: method.clone(),
            target,
        }
    }
}
