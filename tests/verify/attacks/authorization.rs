//! The `authorization` header and the signature.

use http::{HeaderValue, Uri};
use tower_sigv4::verify::RejectionKind as Kind;

use super::{
    ChangedRow,
    draft::{EMPTY, header, presigned},
    edit::{add, edit, remove, replace, set},
};

/// Requests that are changed after they are signed.
pub(super) const CHANGED_AUTHORIZATION: &[ChangedRow] = &[
    (
        "no authorization",
        Kind::MissingAuthentication,
        header,
        |r| remove(r, "authorization"),
    ),
    (
        "an empty authorization",
        Kind::UnsupportedAlgorithm,
        header,
        |r| {
            set(r, "authorization", "");
        },
    ),
    ("Bearer", Kind::UnsupportedAlgorithm, header, |r| {
        set(r, "authorization", "Bearer x")
    }),
    ("AWS's version 2", Kind::UnsupportedAlgorithm, header, |r| {
        set(
            r,
            "authorization",
            "AWS AKIDEXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=",
        );
    }),
    (
        "the scheme in lower case",
        Kind::UnsupportedAlgorithm,
        header,
        |r| {
            replace(r, "AWS4-", "aws4-");
        },
    ),
    (
        "a second authorization, after",
        Kind::MultipleAuthentications,
        header,
        |r| {
            add(r, "authorization", "Bearer x");
        },
    ),
    (
        "a second authorization, before",
        Kind::MultipleAuthentications,
        header,
        |r| {
            let ours = r.headers_mut().remove("authorization").expect("signed");
            add(r, "authorization", "Bearer x");
            r.headers_mut().append("authorization", ours);
        },
    ),
    (
        "the authorization twice",
        Kind::MultipleAuthentications,
        header,
        |r| {
            let ours = r.headers()["authorization"].clone();
            r.headers_mut().append("authorization", ours);
        },
    ),
    (
        "a header beside a query",
        Kind::MultipleAuthentications,
        presigned,
        |r| {
            add(r, "authorization", "AWS4-HMAC-SHA256");
        },
    ),
    (
        "a query beside a header",
        Kind::MultipleAuthentications,
        header,
        |r| {
            edit(r, "a=1", "a=1&X-Amz-Credential=x");
        },
    ),
    (
        "a query beside a header, lower case",
        Kind::MultipleAuthentications,
        header,
        |r| {
            edit(r, "a=1", "a=1&x-amz-signature=x");
        },
    ),
    (
        "a query beside a header, escaped",
        Kind::MultipleAuthentications,
        header,
        |r| {
            edit(r, "a=1", "a=1&X%2dAmz-Algorithm=x");
        },
    ),
    ("a parameter repeated", Kind::Malformed, presigned, |r| {
        edit(r, "a=1", "a=1&X-Amz-Credential=AKIDOTHER");
    }),
    (
        "a parameter repeated in another case",
        Kind::Malformed,
        presigned,
        |r| {
            edit(r, "a=1", "a=1&x-amz-credential=AKIDOTHER");
        },
    ),
    (
        "a parameter in another case",
        Kind::Malformed,
        presigned,
        |r| {
            edit(r, "X-Amz-Date", "x-amz-date");
        },
    ),
    ("a parameter escaped", Kind::Malformed, presigned, |r| {
        edit(r, "X-Amz-Date", "X-Amz-D%61te");
    }),
    ("a second signature", Kind::Malformed, presigned, |r| {
        let uri = format!("{}&X-Amz-Signature={EMPTY}", r.uri());
        *r.uri_mut() = Uri::try_from(uri).expect("a URI");
    }),
    ("no signature", Kind::Malformed, presigned, |r| {
        edit(r, "X-Amz-Signature", "x")
    }),
    (
        "one signed name fewer",
        Kind::HeaderNotSigned,
        header,
        |r| {
            replace(r, ";x-amz-target", "");
        },
    ),
    (
        "one signed name more",
        Kind::SignatureMismatch,
        header,
        |r| {
            replace(r, "host;", "host;user-agent;");
        },
    ),
    (
        "the signature in upper case",
        Kind::Malformed,
        header,
        |r| {
            let value = r.headers()["authorization"]
                .to_str()
                .expect("ASCII")
                .to_owned();
            let (rest, signature) = value.rsplit_once('=').expect("a field");
            set(
                r,
                "authorization",
                &format!("{rest}={}", signature.to_ascii_uppercase()),
            );
        },
    ),
    ("a truncated signature", Kind::Malformed, header, |r| {
        let value = r.headers()["authorization"]
            .to_str()
            .expect("ASCII")
            .to_owned();
        set(r, "authorization", &value[..value.len() - 1]);
    }),
    ("an empty signature", Kind::Malformed, header, |r| {
        let value = r.headers()["authorization"]
            .to_str()
            .expect("ASCII")
            .to_owned();
        set(
            r,
            "authorization",
            value.trim_end_matches(|digit| digit != '='),
        );
    }),
    ("another signature", Kind::SignatureMismatch, header, |r| {
        let mut value = r.headers()["authorization"]
            .to_str()
            .expect("ASCII")
            .to_owned();
        let last = if value.pop() == Some('0') { '1' } else { '0' };
        value.push(last);
        set(r, "authorization", &value);
    }),
    ("bytes beyond ASCII", Kind::Malformed, header, |r| {
        let value = HeaderValue::from_bytes(b"AWS4-HMAC-SHA256 \xff").expect("legal");
        r.headers_mut().insert("authorization", value);
    }),
];
