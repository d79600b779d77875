//! Buckets in host names: `bucket.s3.us-east-1.amazonaws.com`.

use std::sync::Arc;

use super::{ResolvedOrigin, options::Options};
use crate::{
    error::{Error, ErrorKind, truncated},
    sigv4::encode,
};

/// Place of a bucket's name in requests to an origin (Amazon S3 User Guide, "Virtual hosting of general purpose
/// buckets").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressingStyle {
    /// The first segment of the path, after those of the origin and of the rule: `/bucket/key`.
    #[default]
    Path,
    /// The first label of the host: `bucket.s3.us-east-1.amazonaws.com`. The name must not have dots, since a
    /// certificate for `*.s3.us-east-1.amazonaws.com` does not cover two labels.
    VirtualHosted,
}

impl AddressingStyle {
    /// Puts the bucket of a request's host into the request to the origin.
    pub(super) fn apply(
        self,
        resolved: ResolvedOrigin,
        bucket: &str,
        path: &str,
    ) -> Result<ResolvedOrigin, Error> {
        if !is_bucket_name(bucket) {
            return Err(Error::request(format!(
                "{:?} in the host is not a name of a bucket; use 3 to 63 lower-case letters, digits, dots and hyphens",
                truncated(bucket),
            )));
        }
        match self {
            Self::Path => {
                let prefix = [resolved.prefix.as_deref().unwrap_or_default(), "/", bucket].concat();
                check_path_stays_in_bucket(&prefix, path, resolved.origin.options())?;
                Ok(ResolvedOrigin {
                    prefix: Some(Arc::from(prefix)),
                    ..resolved
                })
            }
            Self::VirtualHosted if bucket.contains('.') => Err(Error::request(format!(
                "bucket {bucket:?} has a dot, and the origin has buckets in its host; use path-style addressing for \
                 it (`AddressingStyle::Path`)"
            ))),
            Self::VirtualHosted => {
                let origin = resolved.origin.with_bucket(bucket).ok_or_else(|| {
                    Error::config(format!(
                        "host {:?} is an address and has no host for bucket {bucket:?}; use \
                         `AddressingStyle::Path`",
                        resolved.origin.host(),
                    ))
                })?;
                Ok(ResolvedOrigin { origin, ..resolved })
            }
        }
    }
}

/// Rejects a path that leaves the bucket for a server that folds dot segments, which S3 does not.
fn check_path_stays_in_bucket(prefix: &str, path: &str, options: &Options) -> Result<(), Error> {
    let sent = [prefix, &*options.wire_path(path)?].concat();
    let folded = encode::fold_escaped(&sent);
    let stays = folded
        .strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if stays {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Request,
        format!(
            "path {:?} leaves the bucket by its dot segments; send a key without them",
            truncated(path)
        ),
    ))
}

/// Returns `true` for the name of a bucket (Amazon S3 User Guide, "General purpose bucket naming rules").
pub(super) fn is_bucket_name(name: &str) -> bool {
    let is_edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    let is_address = name.split('.').count() == 4
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'.');
    (3..=63).contains(&bytes.len())
        && bytes
            .iter()
            .all(|byte| is_edge(byte) || matches!(byte, b'-' | b'.'))
        && bytes.first().is_some_and(is_edge)
        && bytes.last().is_some_and(is_edge)
        && !name.contains("..")
        && !name.contains(".-")
        && !name.contains("-.")
        && !is_address
}
