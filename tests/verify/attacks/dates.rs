//! Dates and expiry.

use tower_sigv4::verify::RejectionKind as Kind;

use super::{
    ChangedRow, InvalidRow,
    draft::{dated, header, pair, presigned, s3},
    edit::{add, edit, remove, set},
};

/// Requests that are invalid before they are signed.
pub(super) const INVALID_DATES: &[InvalidRow] = &[
    ("no x-amz-date", Kind::Date, header, |d| {
        d.drop_header("x-amz-date")
    }),
    ("date in the format of x-amz-date", Kind::Date, dated, |d| {
        *d.header("date") = "20150830T123600Z".to_owned();
    }),
    (
        "date instead of x-amz-date, in an obsolete form",
        Kind::Date,
        dated,
        |d| {
            *d.header("date") = "Sunday, 30-Aug-15 12:36:00 GMT".to_owned();
        },
    ),
    (
        "date instead of x-amz-date, on another day of the week",
        Kind::Date,
        dated,
        |d| {
            *d.header("date") = "Mon, 30 Aug 2015 12:36:00 GMT".to_owned();
        },
    ),
    (
        "date instead of x-amz-date, not signed",
        Kind::Date,
        dated,
        |d| d.leave_unsigned("date"),
    ),
    (
        "date instead of x-amz-date, twice",
        Kind::Malformed,
        dated,
        |d| {
            d.headers
                .push(("date", "Sun, 30 Aug 2015 12:36:00 GMT".to_owned()));
        },
    ),
    (
        "date instead of x-amz-date, of another day",
        Kind::Scope,
        dated,
        |d| {
            *d.header("date") = "Mon, 31 Aug 2015 12:36:00 GMT".to_owned();
        },
    ),
    (
        "date instead of x-amz-date, too old",
        Kind::Expired,
        dated,
        |d| {
            *d.header("date") = "Sun, 30 Aug 2015 12:30:59 GMT".to_owned();
        },
    ),
    (
        "date instead of x-amz-date, from the future",
        Kind::NotYetValid,
        dated,
        |d| {
            *d.header("date") = "Sun, 30 Aug 2015 12:41:01 GMT".to_owned();
        },
    ),
    (
        "date instead of x-amz-date, not that of the string to sign",
        Kind::SignatureMismatch,
        dated,
        |d| {
            *d.header("date") = "Sun, 30 Aug 2015 12:36:01 GMT".to_owned();
        },
    ),
    (
        "date beside an x-amz-date that is not a time",
        Kind::Date,
        dated,
        |d| {
            d.sign_header("x-amz-date", "now");
        },
    ),
    (
        "date beside an x-amz-date that is too old",
        Kind::Expired,
        dated,
        |d| {
            d.sign_header("x-amz-date", "20150830T123059Z");
        },
    ),
    ("date instead of X-Amz-Date", Kind::Date, presigned, |d| {
        d.date.clear();
        d.sign_header("date", "Sun, 30 Aug 2015 12:36:00 GMT");
    }),
    ("x-amz-date is not a time", Kind::Date, header, |d| {
        d.date("20150830T123660Z")
    }),
    ("x-amz-date has another format", Kind::Date, header, |d| {
        d.date("Sun, 30 Aug 2015 12:36:00 GMT");
    }),
    ("too old", Kind::Expired, header, |d| {
        d.date("20150830T123059Z")
    }),
    ("too old by years", Kind::Expired, header, |d| {
        d.date("20140830T123600Z");
        d.scope = d.scope.replace("2015", "2014");
    }),
    ("from the future", Kind::NotYetValid, header, |d| {
        d.date("20150830T124101Z")
    }),
    ("too old, S3", Kind::Expired, s3, |d| {
        d.date("20150830T122059Z")
    }),
    ("from the future, S3", Kind::NotYetValid, s3, |d| {
        d.date("20150830T125101Z")
    }),
    (
        "a presigned URL has expired",
        Kind::Expired,
        presigned,
        |d| d.date("20150830T113559Z"),
    ),
    (
        "a presigned URL from the future",
        Kind::NotYetValid,
        presigned,
        |d| {
            d.date("20150830T124101Z");
        },
    ),
    ("no X-Amz-Expires", Kind::Malformed, presigned, |d| {
        d.query.retain(|(name, _)| name != "X-Amz-Expires");
    }),
    (
        "X-Amz-Expires is negative",
        Kind::Malformed,
        presigned,
        |d| d.query[2].1 = "-1".into(),
    ),
    ("X-Amz-Expires is zero", Kind::Malformed, presigned, |d| {
        d.query[2].1 = "0".into()
    }),
    (
        "X-Amz-Expires is over a week",
        Kind::Malformed,
        presigned,
        |d| {
            d.query[2].1 = "604801".into();
        },
    ),
    ("X-Amz-Expires overflows", Kind::Malformed, presigned, |d| {
        d.query[2].1 = "18446744073709551617".into();
    }),
    (
        "X-Amz-Expires is repeated",
        Kind::Malformed,
        presigned,
        |d| {
            d.query.push(pair("X-Amz-Expires", "604800"));
        },
    ),
    (
        "X-Amz-Expires in another case as well",
        Kind::Malformed,
        presigned,
        |d| {
            d.query.push(pair("x-amz-expires", "604800"));
        },
    ),
];

/// Requests that are changed after they are signed.
pub(super) const CHANGED_DATES: &[ChangedRow] = &[
    ("a later date", Kind::SignatureMismatch, header, |r| {
        set(r, "x-amz-date", "20150830T123601Z");
    }),
    (
        "a later date, query",
        Kind::SignatureMismatch,
        presigned,
        |r| {
            edit(r, "T123600Z", "T123601Z");
        },
    ),
    ("no date", Kind::Date, header, |r| remove(r, "x-amz-date")),
    ("a longer expiry", Kind::SignatureMismatch, presigned, |r| {
        edit(r, "=3600", "=36000")
    }),
    ("a later date header", Kind::SignatureMismatch, dated, |r| {
        set(r, "date", "Sun, 30 Aug 2015 12:36:01 GMT");
    }),
    (
        "an x-amz-date beside date",
        Kind::HeaderNotSigned,
        dated,
        |r| {
            add(r, "x-amz-date", "20150830T123600Z");
        },
    ),
];
