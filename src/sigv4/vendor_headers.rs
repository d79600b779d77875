//! Headers of other vendors' servers for the protocol of S3.

use super::authorization::is_same_cgi_variable;

/// Beginnings of names. Some name the source of a copy: `x-copy-from`, `x-object-manifest` and `x-symlink-target` of
/// OpenStack Swift, `x-minio-source-*`, `x-goog-copy-source` of Google Cloud Storage, `x-oss-copy-source` of Alibaba
/// Cloud, `x-obs-copy-source` of Huawei Cloud and `x-cos-copy-source` of Tencent Cloud. Others of Swift publish a bucket
/// (`x-container-read`), send its objects elsewhere (`x-container-sync-to`, `x-versions-location`) or delete an object
/// (`x-delete-at`).
const PREFIXES: [&str; 13] = [
    "x-container-",
    "x-copy-",
    "x-cos-",
    "x-delete-",
    "x-goog-",
    "x-history-",
    "x-minio-",
    "x-object-",
    "x-obs-",
    "x-oss-",
    "x-rgw-",
    "x-symlink-",
    "x-versions-",
];

const COPY_SOURCE: &str = "copy-source";

/// Returns `true` for a header by which another vendor's server for the protocol of S3 may copy an object or change the
/// operation. The name is in lower case.
///
/// Amazon S3 ignores these headers. OpenStack Swift reads them in requests of S3 clients too: its middleware `s3api`
/// passes all headers on. A name with `_` in place of `-` counts, since some servers read it alike.
///
/// ```
/// use tower_sigv4::sigv4::is_vendor_header;
///
/// for name in ["x-copy-from", "x-container-read", "x-goog-copy-source", "x_oss_object_acl"] {
///     assert!(is_vendor_header(name), "{name}");
/// }
/// assert!(!is_vendor_header("x-amz-copy-source"));
/// assert!(!is_vendor_header("x-forwarded-for"));
/// ```
#[must_use]
pub fn is_vendor_header(name: &str) -> bool {
    let has = |at: usize, part: &str| {
        let text = name.get(at..at + part.len());
        text.is_some_and(|found| is_same_cgi_variable(found, part))
    };
    let names_source = || (0..name.len()).any(|at| has(at, COPY_SOURCE));
    PREFIXES.iter().any(|prefix| has(0, prefix)) || !name.starts_with("x-amz-") && names_source()
}
