//! Query parameters of S3's operations.

use http::Method;
use percent_encoding::percent_decode_str;

use super::headers::concerns_only_object;

/// Right that a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    Object,
    /// To list the objects that start with a prefix.
    Listing,
    /// To the bucket as a whole.
    Bucket,
    /// To the objects that the body names.
    DeleteObjects,
    Everything,
}

/// Parameters of requests for one object (Amazon S3 API Reference; pages in comments).
///
/// RestoreObject and SelectObjectContent are not here: the body of a restore may name another place for the results.
const OBJECT: [&str; 17] = [
    "attributes",                   // GetObjectAttributes
    "max-parts",                    // ListParts
    "part-number-marker",           // ListParts
    "partNumber",                   // GetObject, UploadPart, UploadPartCopy
    "renameObject",                 // RenameObject
    "response-cache-control",       // GetObject
    "response-content-disposition", // GetObject
    "response-content-encoding",    // GetObject
    "response-content-language",    // GetObject
    "response-content-type",        // GetObject
    "response-expires",             // GetObject
    "tagging",                      // GetObjectTagging, PutObjectTagging, DeleteObjectTagging
    "torrent",                      // GetObjectTorrent
    "uploadId",  // UploadPart, CompleteMultipartUpload, AbortMultipartUpload, ListParts
    "uploads",   // CreateMultipartUpload
    "versionId", // GetObject, DeleteObject
    "x-id",      // name of the operation, which SDKs add
];

/// Parameters of requests for one object that need the bucket: they change who can read or delete it.
const OBJECT_PROTECTION: [&str; 3] = [
    "acl",        // GetObjectAcl, PutObjectAcl
    "legal-hold", // GetObjectLegalHold, PutObjectLegalHold
    "retention",  // GetObjectRetention, PutObjectRetention
];

/// Parameters of requests that list objects.
const LISTING: [&str; 16] = [
    "continuation-token", // ListObjectsV2
    "delimiter",          // ListObjectsV2
    "encoding-type",      // ListObjectsV2
    "fetch-owner",        // ListObjectsV2
    "key-marker",         // ListObjectVersions, ListMultipartUploads
    "list-type",          // ListObjectsV2
    "marker",             // ListObjects
    "max-keys",           // ListObjectsV2
    "max-uploads",        // ListMultipartUploads
    "prefix",             // ListObjectsV2
    "start-after",        // ListObjectsV2
    "upload-id-marker",   // ListMultipartUploads
    "uploads",            // ListMultipartUploads
    "version-id-marker",  // ListObjectVersions
    "versions",           // ListObjectVersions
    "x-id",
];

/// Parameters of requests for a bucket: GetBucket*, PutBucket*, DeleteBucket* and ListBucket*Configurations.
const BUCKET: [&str; 28] = [
    "abac",                  // GetBucketAbac
    "accelerate",            // GetBucketAccelerateConfiguration
    "acl",                   // GetBucketAcl
    "analytics",             // GetBucketAnalyticsConfiguration
    "continuation-token",    // ListBucketAnalyticsConfigurations
    "cors",                  // GetBucketCors
    "encryption",            // GetBucketEncryption
    "id",                    // GetBucketAnalyticsConfiguration
    "intelligent-tiering",   // GetBucketIntelligentTieringConfiguration
    "inventory",             // GetBucketInventoryConfiguration
    "lifecycle",             // GetBucketLifecycleConfiguration
    "location",              // GetBucketLocation
    "logging",               // GetBucketLogging
    "metadataConfiguration", // GetBucketMetadataConfiguration
    "metadataTable",         // GetBucketMetadataTableConfiguration
    "metrics",               // GetBucketMetricsConfiguration
    "notification",          // GetBucketNotificationConfiguration
    "object-lock",           // GetObjectLockConfiguration
    "ownershipControls",     // GetBucketOwnershipControls
    "policy",                // GetBucketPolicy
    "policyStatus",          // GetBucketPolicyStatus
    "publicAccessBlock",     // GetPublicAccessBlock
    "replication",           // GetBucketReplication
    "requestPayment",        // GetBucketRequestPayment
    "tagging",               // GetBucketTagging
    "versioning",            // GetBucketVersioning
    "website",               // GetBucketWebsite
    "x-id",
];

/// Decoded query parameters, each of them once.
pub(super) struct Parameters(Vec<(Vec<u8>, Vec<u8>)>);

impl Parameters {
    /// Returns `None` for a query that servers read differently: with a `;`, with a parameter twice, or with a `+` in
    /// the prefix, which is a space in forms.
    pub(super) fn parse(query: &str) -> Option<Self> {
        if query.contains(';') {
            return None;
        }
        let mut parsed: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let [key, decoded] =
                [name, value].map(|part| percent_decode_str(part).collect::<Vec<u8>>());
            let is_ambiguous = key == b"prefix" && value.contains('+');
            if is_ambiguous || parsed.iter().any(|(other, _)| *other == key) {
                return None;
            }
            parsed.push((key, decoded));
        }
        Some(Self(parsed))
    }

    /// Returns the prefix of a listing, or an empty one.
    pub(super) fn prefix(&self) -> &[u8] {
        let prefix = self.0.iter().find(|(name, _)| name == b"prefix");
        prefix.map(|(_, value)| &**value).unwrap_or_default()
    }

    pub(super) fn right(&self, method: &Method, has_key: bool) -> Right {
        if has_key {
            self.object_right(method)
        } else {
            self.bucket_right(method)
        }
    }

    fn object_right(&self, method: &Method) -> Right {
        // A POST without one of these is a form, whose body names the object (PostObject).
        let operations = ["uploads", "uploadId"];
        if method == Method::POST && !operations.iter().any(|name| self.has(name)) {
            return Right::Everything;
        }
        if self.all(|name| OBJECT.contains(&name)) {
            Right::Object
        } else if self.all(|name| OBJECT.contains(&name) || OBJECT_PROTECTION.contains(&name)) {
            Right::Bucket
        } else {
            Right::Everything
        }
    }

    fn bucket_right(&self, method: &Method) -> Right {
        if method == Method::POST {
            let is_delete =
                self.has("delete") && self.all(|name| matches!(name, "delete" | "x-id"));
            return if is_delete {
                Right::DeleteObjects
            } else if self.has("metadataConfiguration") || self.has("metadataTable") {
                self.bucket_configuration()
            } else {
                Right::Everything // PostObject
            };
        }
        if method == Method::GET && self.all(|name| LISTING.contains(&name)) {
            Right::Listing
        } else {
            self.bucket_configuration()
        }
    }

    fn bucket_configuration(&self) -> Right {
        if self.all(|name| BUCKET.contains(&name)) {
            Right::Bucket
        } else {
            Right::Everything
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other == name.as_bytes())
    }

    fn all(&self, is_known: impl Fn(&str) -> bool) -> bool {
        let mut names = self.0.iter().map(|(name, _)| str::from_utf8(name));
        names.all(|name| name.is_ok_and(|known| is_known(known) || concerns_only_object(known)))
    }
}
