//! Errors of forms whose policy is valid.

use std::{error::Error, fmt};

use http::StatusCode;

/// A form that cannot become a request of PutObject.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FormError {
    /// The key is empty, or has a zero byte or a segment that servers resolve.
    Key,
    /// A field that no header of PutObject stands for.
    UnknownField(String),
    /// A field whose value is not that of a header.
    Value(String),
    /// The tags are not the XML of S3.
    Tagging,
    /// The host names the bucket, and the route does not read it there.
    OtherBucket,
    /// The route of the object is not that of its bucket, or does not accept PUT.
    OtherRoute,
}

impl FormError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::OtherBucket | Self::OtherRoute => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str(
                "the form's key is empty, or has a zero byte or a segment \".\" or \"..\"; upload to another key",
            ),
            Self::UnknownField(name) => write!(
                f,
                "the form's field {name:?} is not supported; remove it, or upload with PutObject"
            ),
            Self::Value(name) => write!(
                f,
                "the form's field {name:?} has a value that no header can have; send ASCII without line breaks"
            ),
            Self::Tagging => f.write_str(
                "the form's field \"tagging\" is not a document such as <Tagging><TagSet><Tag><Key>k</Key>\
                 <Value>v</Value></Tag></TagSet></Tagging>",
            ),
            Self::OtherBucket => f.write_str(
                "the host of the form's request names another bucket than its policy, or one that is not read here; post \
                 to the bucket in the path, or give the route a host such as \"{bucket}.s3.example.com\"",
            ),
            Self::OtherRoute => f.write_str(
                "forms for this key are not accepted here; let the route of the bucket accept POST and PUT for all keys",
            ),
        }
    }
}

impl Error for FormError {}
