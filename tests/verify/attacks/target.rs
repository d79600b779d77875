//! Method, path, query and request line.

use http::{Method, Uri};
use tower_sigv4::verify::RejectionKind as Kind;

use super::{
    ChangedRow, InvalidRow,
    draft::{header, presigned, s3},
    edit::edit,
};

/// Requests that are invalid before they are signed.
pub(super) const INVALID_TARGET: &[InvalidRow] = &[
    ("the path folds", Kind::Target, header, |d| {
        d.target = "/prod/../orders".to_owned()
    }),
    ("the path has an empty segment", Kind::Target, header, |d| {
        d.target = "/prod//orders".to_owned();
    }),
    ("the path has an escaped slash, S3", Kind::Target, s3, |d| {
        d.target = "/prod%2Forders".to_owned();
    }),
    (
        "the path has an escaped dot segment, S3",
        Kind::Target,
        s3,
        |d| {
            d.target = "/prod/%2E%2E/orders".to_owned();
        },
    ),
    (
        "connection would remove what is signed",
        Kind::Target,
        header,
        |d| {
            d.headers
                .push(("connection", "close, X-Amz-Target".to_owned()));
        },
    ),
    ("the path has a broken escape", Kind::Target, header, |d| {
        d.target = "/a%zz".to_owned()
    }),
    ("the query has a broken escape", Kind::Target, header, |d| {
        d.query[0].1 = "%4".to_owned()
    }),
];

/// Requests that are changed after they are signed.
pub(super) const CHANGED_TARGET: &[ChangedRow] = &[
    ("another method", Kind::SignatureMismatch, header, |r| {
        *r.method_mut() = Method::PUT
    }),
    (
        "another method, query",
        Kind::SignatureMismatch,
        presigned,
        |r| {
            *r.method_mut() = Method::DELETE;
        },
    ),
    ("another path", Kind::SignatureMismatch, header, |r| {
        edit(r, "/orders", "/admin")
    }),
    (
        "another path, query",
        Kind::SignatureMismatch,
        presigned,
        |r| {
            edit(r, "/orders", "/admin");
        },
    ),
    ("a path that folds to it", Kind::Target, header, |r| {
        edit(r, "/orders", "/admin/../orders");
    }),
    (
        "an escaped letter in the path",
        Kind::SignatureMismatch,
        header,
        |r| {
            edit(r, "/orders", "/%6Frders");
        },
    ),
    ("an escaped slash in the path, S3", Kind::Target, s3, |r| {
        edit(r, "/prod/orders", "/prod%2forders");
    }),
    (
        "another value in the query",
        Kind::SignatureMismatch,
        header,
        |r| edit(r, "a=1", "a=2"),
    ),
    ("another parameter", Kind::SignatureMismatch, header, |r| {
        edit(r, "a=1", "a=1&c=")
    }),
    (
        "one parameter fewer",
        Kind::SignatureMismatch,
        header,
        |r| edit(r, "a=1&", ""),
    ),
    (
        "another parameter, query",
        Kind::SignatureMismatch,
        presigned,
        |r| {
            edit(r, "a=1", "a=1&acl=");
        },
    ),
    (
        "another host in the request line",
        Kind::Target,
        header,
        |r| {
            let uri = format!("http://evil.example.com{}", r.uri());
            *r.uri_mut() = Uri::try_from(uri).expect("a URI");
        },
    ),
    (
        "user information in the request line",
        Kind::Target,
        header,
        |r| {
            let uri = format!("http://admin@api.example.com{}", r.uri());
            *r.uri_mut() = Uri::try_from(uri).expect("a URI");
        },
    ),
];
