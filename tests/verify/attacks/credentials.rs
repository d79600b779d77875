//! Credential scope, access keys and session tokens.

use tower_sigv4::verify::RejectionKind as Kind;

use super::{
    ChangedRow, InvalidRow,
    draft::{
        ID, TEMPORARY, TOKEN, header, percent_encoded, presigned, presigned_temporary, temporary,
    },
    edit::{add, remove, replace, set},
};

/// Requests that are invalid before they are signed.
pub(super) const INVALID_CREDENTIALS: &[InvalidRow] = &[
    ("the scope has another day", Kind::Scope, header, |d| {
        d.scope = d.scope.replace("20150830", "20150829");
    }),
    (
        "the scope has another day, query",
        Kind::Scope,
        presigned,
        |d| {
            d.scope = d.scope.replace("20150830", "20150831");
        },
    ),
    ("another region", Kind::Scope, header, |d| {
        d.scope = d.scope.replace("us-east-1", "us-east-2");
    }),
    ("another service", Kind::Scope, header, |d| {
        d.scope = d.scope.replace("execute-api", "lambda");
    }),
    ("another service, query", Kind::Scope, presigned, |d| {
        d.scope = d.scope.replace("execute-api", "lambda");
    }),
    ("another terminator", Kind::Scope, header, |d| {
        d.scope = d.scope.replace("aws4_request", "aws4_requesu");
    }),
    ("no terminator", Kind::Malformed, header, |d| {
        d.scope = d.scope.replace("/aws4_request", "");
    }),
    (
        "another algorithm",
        Kind::UnsupportedAlgorithm,
        header,
        |d| {
            d.algorithm = "AWS4-ECDSA-P384-SHA384";
        },
    ),
    (
        "another algorithm, query",
        Kind::UnsupportedAlgorithm,
        presigned,
        |d| {
            d.algorithm = "AWS4-HMAC-SHA1";
        },
    ),
    ("no access key id", Kind::Malformed, header, |d| d.id = ""),
    ("an unknown access key id", Kind::UnknownKey, header, |d| {
        d.id = "AKIDOTHER"
    }),
    ("the id in another case", Kind::UnknownKey, header, |d| {
        d.id = "akidexample"
    }),
    ("another secret", Kind::SignatureMismatch, header, |d| {
        d.secret = "another"
    }),
    ("no secret", Kind::SignatureMismatch, header, |d| {
        d.secret = ""
    }),
    ("no token", Kind::SessionToken, temporary, |d| {
        d.drop_header("x-amz-security-token")
    }),
    ("another token", Kind::SessionToken, temporary, |d| {
        *d.header("x-amz-security-token") = TOKEN.replace('Z', "z");
    }),
    ("a truncated token", Kind::SessionToken, temporary, |d| {
        d.header("x-amz-security-token").pop();
    }),
    ("an empty token", Kind::SessionToken, temporary, |d| {
        d.header("x-amz-security-token").clear();
    }),
    (
        "a token for a key that has none",
        Kind::SessionToken,
        temporary,
        |d| d.id = ID,
    ),
    (
        "no token, query",
        Kind::SessionToken,
        presigned_temporary,
        |d| {
            d.query.retain(|(name, _)| name != "X-Amz-Security-Token");
        },
    ),
    (
        "another token, query",
        Kind::SessionToken,
        presigned_temporary,
        |d| {
            d.query[3].1.push('a');
        },
    ),
    (
        "another token of the same length, query",
        Kind::SessionToken,
        presigned_temporary,
        |d| {
            d.query[3].1 = d.query[3].1.replace('Z', "z");
        },
    ),
    (
        "a token with another end, query",
        Kind::SessionToken,
        presigned_temporary,
        |d| {
            d.query[3].1 = d.query[3].1.replace("j%3D", "k%3D");
        },
    ),
    (
        "the first 64 bytes of a token, query",
        Kind::SessionToken,
        presigned_temporary,
        |d| {
            d.query[3].1 = percent_encoded(&TOKEN[..64]);
        },
    ),
    (
        "a truncated token, query",
        Kind::SessionToken,
        presigned_temporary,
        |d| {
            d.query[3].1 = d.query[3].1.replace("%3D", "");
        },
    ),
    (
        "the token in a header of a presigned URL",
        Kind::Malformed,
        presigned_temporary,
        |d| {
            d.query.retain(|(name, _)| name != "X-Amz-Security-Token");
            d.headers.push(("x-amz-security-token", TOKEN.to_owned()));
            d.signed.push("x-amz-security-token");
        },
    ),
];

/// Requests that are changed after they are signed.
pub(super) const CHANGED_CREDENTIALS: &[ChangedRow] = &[
    ("another token", Kind::SessionToken, temporary, |r| {
        set(r, "x-amz-security-token", "x")
    }),
    ("no token", Kind::SignedHeaderMissing, temporary, |r| {
        remove(r, "x-amz-security-token")
    }),
    (
        "a token that was not there",
        Kind::HeaderNotSigned,
        header,
        |r| {
            add(r, "x-amz-security-token", TOKEN);
        },
    ),
    ("another region", Kind::Scope, header, |r| {
        if r.headers().contains_key("x-amz-region-set") {
            set(r, "x-amz-region-set", "us-west-2")
        } else {
            replace(r, "us-east-1", "us-west-2")
        }
    }),
    ("another id", Kind::UnknownKey, header, |r| {
        replace(r, ID, "AKIDOTHER")
    }),
    (
        "another id with the same secret",
        Kind::SessionToken,
        header,
        |r| {
            replace(r, ID, TEMPORARY);
        },
    ),
];
