//! Headers through which a request reaches more than its own object.

use http::HeaderMap;
use tower_sigv4::sigv4::is_vendor_header;

/// Right that a header needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderRight {
    /// No more than the request's own.
    Object,
    /// To the bucket as a whole.
    Bucket,
    CopySource,
    RenameSource,
    Everything,
}

/// Headers of `x-amz-` that concern only the object of the request (Amazon S3 API Reference: PutObject, CopyObject,
/// CreateMultipartUpload, UploadPart, GetObject, GetObjectAttributes, ListObjectsV2, and "Common request headers").
const OBJECT: [&str; 29] = [
    "x-amz-client-token",
    "x-amz-content-sha256",
    "x-amz-copy-source-range",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-expected-bucket-owner",
    "x-amz-expires",
    "x-amz-id-2",
    "x-amz-max-parts",
    "x-amz-metadata-directive",
    "x-amz-mfa",
    "x-amz-mp-object-size",
    "x-amz-object-attributes",
    "x-amz-optional-object-attributes",
    "x-amz-part-number-marker",
    "x-amz-region-set",
    "x-amz-request-payer",
    "x-amz-s3session-token",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-source-expected-bucket-owner",
    "x-amz-storage-class",
    "x-amz-tagging",
    "x-amz-tagging-directive",
    "x-amz-te",
    "x-amz-trailer",
    "x-amz-user-agent",
    "x-amz-website-redirect-location",
    "x-amz-write-offset-bytes",
];

/// Beginnings of names of further such headers.
const OBJECT_PREFIXES: [&str; 7] = [
    "x-amz-meta-",
    "x-amz-checksum-",
    "x-amz-server-side-encryption",
    "x-amz-copy-source-if-",
    "x-amz-copy-source-server-side-encryption-customer-",
    "x-amz-if-match-",
    "x-amz-rename-source-if-",
];

/// Beginnings of names of headers that change who can read or delete the object (PutObjectAcl, PutObjectRetention), or
/// that make MinIO and AWS Snowball unpack an archive into other objects of the bucket.
const BUCKET_PREFIXES: [&str; 6] = [
    "x-amz-grant-",
    "x-amz-object-lock-",
    "x-amz-bypass-governance-retention",
    "x-amz-object-ownership",
    "x-amz-meta-snowball-",
    "x-amz-meta-minio-snowball-",
];

/// Access control lists that give nobody access besides the owner of the bucket.
const OWNERS_ACLS: [&str; 3] = ["private", "bucket-owner-read", "bucket-owner-full-control"];

/// Returns the right that a header needs, by its name in lower case.
pub(super) fn right(name: &str, headers: &HeaderMap) -> HeaderRight {
    let starts_with_one_of = |prefixes: &[&str]| prefixes.iter().any(|it| name.starts_with(it));
    if is_vendor_header(name) {
        return HeaderRight::Everything;
    }
    if !name.starts_with("x-amz-") {
        return HeaderRight::Object;
    }
    match name {
        "x-amz-copy-source" => HeaderRight::CopySource,
        "x-amz-rename-source" => HeaderRight::RenameSource,
        "x-amz-acl" => {
            let mut values = headers.get_all(name).iter();
            if values.all(|value| OWNERS_ACLS.iter().any(|acl| value == acl)) {
                HeaderRight::Object
            } else {
                HeaderRight::Bucket
            }
        }
        _ if starts_with_one_of(&BUCKET_PREFIXES) => HeaderRight::Bucket,
        _ if concerns_only_object(name) => HeaderRight::Object,
        _ => HeaderRight::Everything,
    }
}

/// Returns `true` for a header that concerns only the object of the request. In a presigned URL it may be a parameter.
pub(super) fn concerns_only_object(name: &str) -> bool {
    let starts_with_one_of = |prefixes: &[&str]| prefixes.iter().any(|it| name.starts_with(it));
    (OBJECT.contains(&name) || starts_with_one_of(&OBJECT_PREFIXES))
        && !starts_with_one_of(&BUCKET_PREFIXES)
}
