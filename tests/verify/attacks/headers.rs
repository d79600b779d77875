//! Headers and the list of signed headers.

use tower_sigv4::verify::RejectionKind as Kind;

use super::{
    ChangedRow, InvalidRow,
    draft::{
        EMPTY, TOKEN, header, pair, presigned, presigned_s3, presigned_temporary, s3, temporary,
        tenant, underscored, unhashed,
    },
    edit::{add, remove, set},
};

/// Requests that are invalid before they are signed.
pub(super) const INVALID_HEADERS: &[InvalidRow] = &[
    ("host is not signed", Kind::HeaderNotSigned, header, |d| {
        d.leave_unsigned("host")
    }),
    (
        "host is not signed, query",
        Kind::HeaderNotSigned,
        presigned,
        |d| {
            d.signed = vec!["x-a"];
            d.headers.push(("x-a", "1".to_owned()));
        },
    ),
    (
        "x-amz-date is not signed",
        Kind::HeaderNotSigned,
        header,
        |d| {
            d.leave_unsigned("x-amz-date");
        },
    ),
    (
        "content-type is not signed",
        Kind::HeaderNotSigned,
        header,
        |d| {
            d.leave_unsigned("content-type");
        },
    ),
    (
        "x-amz-target is not signed",
        Kind::HeaderNotSigned,
        header,
        |d| {
            d.leave_unsigned("x-amz-target");
        },
    ),
    (
        "the hash is not signed",
        Kind::HeaderNotSigned,
        header,
        |d| {
            d.leave_unsigned("x-amz-content-sha256");
        },
    ),
    (
        "the hash is not signed and picks the mode",
        Kind::HeaderNotSigned,
        header,
        |d| {
            d.leave_unsigned("x-amz-content-sha256");
            *d.header("x-amz-content-sha256") = "UNSIGNED-PAYLOAD".to_owned();
        },
    ),
    (
        "the token is not signed",
        Kind::HeaderNotSigned,
        temporary,
        |d| {
            d.leave_unsigned("x-amz-security-token");
        },
    ),
    ("two dates", Kind::Malformed, presigned, |d| {
        d.headers
            .push(("x-amz-date", "20150830T123600Z".to_owned()));
        d.signed.push("x-amz-date");
    }),
    ("two values of x-amz-date", Kind::Malformed, header, |d| {
        d.headers
            .push(("x-amz-date", "20150830T123600Z".to_owned()));
    }),
    ("two values of host", Kind::Malformed, header, |d| {
        d.headers.push(("host", "api.example.com".to_owned()));
    }),
    ("two hashes", Kind::Malformed, header, |d| {
        d.headers.push(("x-amz-content-sha256", EMPTY.to_owned()));
    }),
    (
        "two hashes, header and query",
        Kind::Malformed,
        presigned,
        |d| {
            d.query.push(pair("X-Amz-Content-Sha256", EMPTY));
            d.headers.push(("x-amz-content-sha256", EMPTY.to_owned()));
            d.signed.push("x-amz-content-sha256");
        },
    ),
    (
        "two tokens, query",
        Kind::Malformed,
        presigned_temporary,
        |d| {
            d.query.push(pair("X-Amz-S3session-Token", "x"));
        },
    ),
    ("signed names are unsorted", Kind::Malformed, header, |d| {
        d.signed.reverse()
    }),
    ("a signed name is repeated", Kind::Malformed, header, |d| {
        d.signed.insert(1, "host")
    }),
    (
        "a signed name is in upper case",
        Kind::Malformed,
        header,
        |d| d.signed[1] = "Host",
    ),
    ("a signed name is empty", Kind::Malformed, header, |d| {
        d.signed.insert(0, "")
    }),
    (
        "more signed names than the maximum",
        Kind::Malformed,
        header,
        |d| d.sign_headers(1025),
    ),
    (
        "more signed names than the maximum, query",
        Kind::Malformed,
        presigned,
        |d| {
            d.sign_headers(1025);
        },
    ),
    (
        "more parameters than the maximum",
        Kind::Target,
        header,
        |d| d.add_parameters(4097),
    ),
    (
        "more parameters than the maximum, query",
        Kind::Target,
        presigned,
        |d| {
            d.add_parameters(4097);
        },
    ),
    ("x_amz_acl is not signed", Kind::HeaderNotSigned, s3, |d| {
        d.headers.push(("x_amz_acl", "public-read".to_owned()));
    }),
    (
        "x-copy-from is not signed",
        Kind::HeaderNotSigned,
        s3,
        |d| {
            d.headers.push(("x-copy-from", "/private/key".to_owned()));
        },
    ),
    (
        "a vendor's header is not signed, query",
        Kind::HeaderNotSigned,
        presigned_s3,
        |d| {
            let source = "private/key".to_owned();
            d.headers.push(("x_goog_copy_source", source));
        },
    ),
    (
        "content_type is signed and content-type is not",
        Kind::HeaderNotSigned,
        header,
        |d| {
            d.leave_unsigned("content-type");
            d.sign_header("content_type", "application/json");
        },
    ),
    (
        "x_amz_date instead of x-amz-date",
        Kind::Date,
        header,
        |d| {
            d.drop_header("x-amz-date");
            d.sign_header("x_amz_date", "20150830T123600Z");
        },
    ),
    (
        "x_amz_date is signed and x-amz-date is not",
        Kind::HeaderNotSigned,
        header,
        |d| {
            d.leave_unsigned("x-amz-date");
            d.sign_header("x_amz_date", "20150830T123600Z");
        },
    ),
    (
        "a signed header is missing",
        Kind::SignedHeaderMissing,
        header,
        |d| {
            d.signed.push("x-other");
        },
    ),
];

/// Requests that are changed after they are signed.
pub(super) const CHANGED_HEADERS: &[ChangedRow] = &[
    ("another host", Kind::SignatureMismatch, header, |r| {
        set(r, "host", "evil.example.com")
    }),
    (
        "another host, query",
        Kind::SignatureMismatch,
        presigned,
        |r| {
            set(r, "host", "evil.example.com");
        },
    ),
    (
        "a connection option that is signed",
        Kind::Target,
        header,
        |r| {
            add(r, "connection", "x-amz-target");
        },
    ),
    (
        "a connection option with a parameter",
        Kind::Target,
        header,
        |r| {
            add(r, "connection", "close, X-Amz-Target;a=b");
        },
    ),
    ("no host", Kind::SignedHeaderMissing, header, |r| {
        remove(r, "host")
    }),
    (
        "another content-type",
        Kind::SignatureMismatch,
        header,
        |r| {
            set(r, "content-type", "text/xml");
        },
    ),
    (
        "another value of a signed header",
        Kind::SignatureMismatch,
        header,
        |r| {
            set(r, "x-amz-target", "Orders.Delete");
        },
    ),
    (
        "a second value of a signed header",
        Kind::SignatureMismatch,
        header,
        |r| {
            add(r, "x-amz-target", "Orders.Delete");
        },
    ),
    (
        "one signed header fewer",
        Kind::SignedHeaderMissing,
        header,
        |r| remove(r, "x-amz-target"),
    ),
    ("x-amz-copy-source", Kind::HeaderNotSigned, header, |r| {
        add(r, "x-amz-copy-source", "/other/secret");
    }),
    (
        "x-amz-copy-source, query",
        Kind::HeaderNotSigned,
        presigned,
        |r| {
            add(r, "x-amz-copy-source", "/other/secret");
        },
    ),
    ("x-amz-acl, S3", Kind::HeaderNotSigned, s3, |r| {
        add(r, "x-amz-acl", "public-read")
    }),
    ("x_amz_acl, S3", Kind::HeaderNotSigned, s3, |r| {
        add(r, "x_amz_acl", "public-read")
    }),
    ("x-amz_acl, S3", Kind::HeaderNotSigned, s3, |r| {
        add(r, "x-amz_acl", "public-read")
    }),
    ("x_amz-acl, S3", Kind::HeaderNotSigned, s3, |r| {
        add(r, "x_amz-acl", "public-read")
    }),
    ("x.amz.acl, S3", Kind::HeaderNotSigned, s3, |r| {
        add(r, "x.amz.acl", "public-read")
    }),
    (
        "x_amz_copy_source, query",
        Kind::HeaderNotSigned,
        presigned,
        |r| {
            add(r, "x_amz_copy_source", "/other/secret");
        },
    ),
    (
        "x_amz_date beside x-amz-date",
        Kind::HeaderNotSigned,
        header,
        |r| {
            add(r, "x_amz_date", "20150831T123600Z");
        },
    ),
    ("x-amz-security_token", Kind::HeaderNotSigned, header, |r| {
        add(r, "x-amz-security_token", TOKEN);
    }),
    (
        "x_amz_target beside x-amz-target",
        Kind::HeaderNotSigned,
        header,
        |r| {
            add(r, "x_amz_target", "Orders.Delete");
        },
    ),
    (
        "content_type beside content-type",
        Kind::HeaderNotSigned,
        header,
        |r| {
            add(r, "content_type", "text/html");
        },
    ),
    (
        "content_type that was not there, query",
        Kind::HeaderNotSigned,
        presigned,
        |r| {
            add(r, "content_type", "text/html");
        },
    ),
    ("content_length", Kind::HeaderNotSigned, header, |r| {
        add(r, "content_length", "0")
    }),
    ("transfer_encoding", Kind::HeaderNotSigned, header, |r| {
        add(r, "transfer_encoding", "chunked");
    }),
    (
        "x_tenant beside x-tenant",
        Kind::HeaderNotSigned,
        tenant,
        |r| add(r, "x_tenant", "2"),
    ),
    (
        "x.tenant beside x-tenant",
        Kind::HeaderNotSigned,
        tenant,
        |r| add(r, "x.tenant", "2"),
    ),
    (
        "x-tenant beside x_tenant",
        Kind::HeaderNotSigned,
        underscored,
        |r| {
            add(r, "x-tenant", "2");
        },
    ),
    (
        "content-type that was not there",
        Kind::HeaderNotSigned,
        presigned,
        |r| {
            add(r, "content-type", "text/html");
        },
    ),
    (
        "a hash that was not there",
        Kind::HeaderNotSigned,
        unhashed,
        |r| {
            add(r, "x-amz-content-sha256", "UNSIGNED-PAYLOAD");
        },
    ),
];
