use std::error::Error as _;

use http::{HeaderMap, header};

use super::rejection::{Rejection, RejectionKind as Kind};
use crate::error::{Error, ErrorKind};

/// Time at which a body is compared with the signed hash.
///
/// | | memory | a wrong body, as the inner service sees it | hash in the headers |
/// |---|---|---|---|
/// | [`Collected`](BodyCheck::Collected) | up to the limit per request | not at all: the service is not called | optional |
/// | [`Streamed`](BodyCheck::Streamed) | two frames | all but its end, then an error | optional: a body without one is collected |
///
/// Use `Collected` unless bodies are too large for it. With `Streamed`, do not act on a body before it has
/// ended without an error: write to a temporary file and rename it at the end, for example.
///
/// If the headers have no hash, the body is collected before the signature is verified. Anyone who knows an
/// access key ID can then make the server hold the limit's bytes per connection:
/// [`with_unhashed_limit`](crate::VerifyLayer::with_unhashed_limit) sets it for `Streamed`. Clients of the S3 family
/// always send the hash. The SDKs send none to other services, such as DynamoDB, SQS, SNS, STS and IAM.
///
/// The chunks of an `aws-chunked` body (S3) are decoded. In a streamed body each chunk is passed on once its
/// own signature and that of the next one are verified; two chunks of at most 16 MiB are held. Unsigned chunks
/// with a checksum in a trailer are passed on as they arrive, except for the last bytes, which wait for the
/// checksum.
///
/// Other bodies that no signature covers are neither collected nor limited: `UNSIGNED-PAYLOAD`, and those of
/// anonymous requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyCheck {
    /// Before the inner service is called.
    Collected {
        /// Maximum size of a body, in bytes.
        limit: u64,
    },
    /// While the inner service reads the body.
    Streamed,
}

/// Maximum size of a collected body, in bytes.
pub(super) const DEFAULT_LIMIT: u64 = 16 * 1024 * 1024;

impl Default for BodyCheck {
    /// Collects bodies of up to 16 MiB.
    fn default() -> Self {
        Self::Collected {
            limit: DEFAULT_LIMIT,
        }
    }
}

/// Rejects a request whose body could not be collected.
pub(super) fn collect_rejection(error: Error) -> Rejection {
    // An invalid chunk fails the body that is collected.
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<Error>())
        .unwrap_or(&error);
    let kind = match cause.kind() {
        ErrorKind::PayloadMismatch => Kind::PayloadMismatch,
        ErrorKind::BudgetExhausted => Kind::BudgetExhausted,
        ErrorKind::BodyTooLarge => Kind::BodyTooLarge,
        ErrorKind::BodyTooSmall => Kind::BodyTooSmall,
        _ => Kind::BodyRead,
    };
    let message = match kind {
        Kind::PayloadMismatch | Kind::BodyTooSmall => cause.to_string(),
        _ => error.to_string(),
    };
    kind.rejection(message).with_source(error)
}

/// Returns `true` if the headers declare a body.
pub(super) fn declares_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers
            .get_all(header::CONTENT_LENGTH)
            .iter()
            .any(|length| length != "0")
}

/// Rejects a presigned request with a body that its signature does not cover.
pub(super) fn presigned_upload() -> Rejection {
    Kind::PayloadKind
        .rejection(
            "UNSIGNED-PAYLOAD is accepted only in presigned requests without a body; allow uploads with \
             `VerifySettings::with_presigned_uploads`",
        )
}

/// Rejects a body whose hash is not the signed one. The doctor knows this message.
pub(super) fn payload_mismatch() -> Rejection {
    Kind::PayloadMismatch.rejection("the body's hash is not that in x-amz-content-sha256")
}

/// Error of a body that has bytes although it declared none.
pub(super) fn undeclared_body(_: u64, _: u64) -> Error {
    Error::new(
        ErrorKind::BodyTooLarge,
        "the request has a body that it did not declare",
    )
}
