//! Bodies that are rejected.

use std::error::Error as _;

use http::{HeaderMap, header};

use super::{BodyCheck, Rejection, RejectionKind};
use crate::error::{Error, ErrorKind};

/// True if a head announces a body.
pub(super) fn is_announced(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers
            .get_all(header::CONTENT_LENGTH)
            .iter()
            .any(|length| length != "0")
}

/// Rejects a presigned request with a body that its signature does not cover.
pub(super) fn presigned_upload() -> Rejection {
    Rejection::new(
        RejectionKind::PayloadKind,
        "UNSIGNED-PAYLOAD is accepted here only in presigned requests without a body",
    )
}

/// The error of a body that has bytes although none were announced.
pub(super) fn unannounced(_: u64, _: u64) -> Error {
    Error::new(
        ErrorKind::BodyTooLarge,
        "the request has a body that it did not announce",
    )
}

/// The rejection for a body that could not be collected.
pub(super) fn rejection(error: Error, check: BodyCheck) -> Rejection {
    // A chunk that is wrong fails the body that is collected.
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<Error>())
        .unwrap_or(&error);
    let rejection = match (cause.kind(), check) {
        (ErrorKind::PayloadMismatch, _) => {
            Rejection::new(RejectionKind::PayloadMismatch, cause.to_string())
        }
        (ErrorKind::BodyTooLarge, BodyCheck::Streamed) => Rejection::new(
            RejectionKind::PayloadHash,
            "there is no x-amz-content-sha256, which a body that streams needs",
        ),
        (ErrorKind::BudgetExhausted, _) => {
            Rejection::new(RejectionKind::BudgetExhausted, error.to_string())
        }
        (ErrorKind::BodyTooLarge, _) => {
            Rejection::new(RejectionKind::BodyTooLarge, error.to_string())
        }
        _ => Rejection::new(RejectionKind::BodyRead, error.to_string()),
    };
    rejection.with_source(error)
}
