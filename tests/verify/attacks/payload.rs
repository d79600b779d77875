//! The body and its hash.

use tower_sigv4::verify::RejectionKind as Kind;

use super::{
    ChangedRow, InvalidRow,
    draft::{EMPTY, hash, header, pair, payload, presigned, presigned_s3, s3, unhashed},
    edit::{body, set},
};

/// Requests that are invalid before they are signed.
pub(super) const INVALID_PAYLOAD: &[InvalidRow] = &[
    ("no hash, S3", Kind::PayloadHash, s3, |d| {
        d.drop_header("x-amz-content-sha256")
    }),
    ("the hash is malformed", Kind::PayloadHash, header, |d| {
        payload(d, "abc")
    }),
    ("the hash is upper-case", Kind::PayloadHash, header, |d| {
        let upper = d.payload.to_ascii_uppercase();
        payload(d, &upper);
    }),
    ("the hash is empty", Kind::PayloadHash, header, |d| {
        payload(d, "")
    }),
    (
        "the hash is of another body",
        Kind::PayloadMismatch,
        header,
        |d| payload(d, EMPTY),
    ),
    (
        "the hash is of another body, S3",
        Kind::PayloadMismatch,
        s3,
        |d| payload(d, EMPTY),
    ),
    ("an unsigned payload", Kind::PayloadKind, header, |d| {
        payload(d, "UNSIGNED-PAYLOAD")
    }),
    (
        "an unsigned payload, query",
        Kind::PayloadKind,
        presigned,
        |d| {
            d.query
                .push(pair("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"));
            d.payload = "UNSIGNED-PAYLOAD".to_owned();
        },
    ),
    ("an unsigned payload, S3", Kind::PayloadKind, s3, |d| {
        payload(d, "UNSIGNED-PAYLOAD")
    }),
    (
        "an unsigned payload without a body, S3",
        Kind::PayloadKind,
        s3,
        |d| {
            payload(d, "UNSIGNED-PAYLOAD");
            d.body = "";
        },
    ),
    ("a presigned upload", Kind::PayloadKind, presigned_s3, |d| {
        d.method = "PUT";
        d.body = "x";
    }),
    (
        "a presigned upload that states its payload",
        Kind::PayloadKind,
        presigned_s3,
        |d| {
            d.query
                .push(pair("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"));
            d.body = "x";
        },
    ),
    (
        "a presigned upload that states its payload, header",
        Kind::PayloadKind,
        presigned_s3,
        |d| {
            d.sign_header("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
            d.body = "x";
        },
    ),
    (
        "a presigned upload in unsigned chunks",
        Kind::PayloadKind,
        presigned_s3,
        |d| {
            d.sign_header("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
            d.payload = "STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned();
        },
    ),
    (
        "a presigned upload that is declared",
        Kind::PayloadKind,
        presigned_s3,
        |d| {
            d.headers.push(("content-length", "1".to_owned()));
        },
    ),
    (
        "a presigned upload of two lengths",
        Kind::PayloadKind,
        presigned_s3,
        |d| {
            d.headers.push(("content-length", "0".to_owned()));
            d.headers.push(("content-length", "1".to_owned()));
        },
    ),
    (
        "a presigned upload of unknown length",
        Kind::PayloadKind,
        presigned_s3,
        |d| {
            d.headers.push(("transfer-encoding", "chunked".to_owned()));
        },
    ),
    (
        "an unsigned payload in lower case",
        Kind::PayloadHash,
        header,
        |d| {
            payload(d, "unsigned-payload");
        },
    ),
    (
        "a payload signed in chunks, off S3",
        Kind::PayloadKind,
        header,
        |d| {
            payload(d, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
        },
    ),
    (
        "chunks without the decoded length",
        Kind::PayloadHash,
        s3,
        |d| {
            payload(d, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
        },
    ),
    (
        "unsigned chunks with a trailer",
        Kind::PayloadKind,
        s3,
        |d| {
            payload(d, "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
        },
    ),
];

/// Requests that are changed after they are signed.
pub(super) const CHANGED_PAYLOAD: &[ChangedRow] = &[
    ("another body", Kind::PayloadMismatch, header, |r| {
        body(r, r#"{"id":8}"#)
    }),
    ("another body, S3", Kind::PayloadMismatch, s3, |r| {
        body(r, r#"{"id":8}"#)
    }),
    (
        "another body, no hash in the head",
        Kind::SignatureMismatch,
        unhashed,
        |r| {
            body(r, r#"{"id":8}"#);
        },
    ),
    ("a longer body", Kind::PayloadMismatch, header, |r| {
        body(r, r#"{"id":7} "#)
    }),
    ("no body", Kind::PayloadMismatch, header, |r| body(r, "")),
    (
        "a body that was not there",
        Kind::SignatureMismatch,
        presigned,
        |r| body(r, "x"),
    ),
    (
        "a body that was not there, S3",
        Kind::PayloadKind,
        presigned_s3,
        |r| body(r, "x"),
    ),
    (
        "another body and its hash",
        Kind::SignatureMismatch,
        header,
        |r| {
            body(r, "x");
            set(r, "x-amz-content-sha256", &hash("x"));
        },
    ),
    (
        "a hash turned into UNSIGNED-PAYLOAD",
        Kind::PayloadKind,
        header,
        |r| {
            set(r, "x-amz-content-sha256", "UNSIGNED-PAYLOAD");
        },
    ),
    (
        "a hash turned into unsigned chunks",
        Kind::PayloadKind,
        header,
        |r| {
            set(
                r,
                "x-amz-content-sha256",
                "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            );
        },
    ),
];
