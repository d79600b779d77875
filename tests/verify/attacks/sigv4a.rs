//! Faults that only requests of version 4a can have.

use std::convert::Infallible;

use aws_sigv4::sign::v4a::{calculate_signature, generate_signing_key};
use bytes::Bytes;
use http::Request;
use tower_sigv4::{
    Clock, VerifyLayer,
    credentials::Credentials,
    verify::{KeyRequest, RejectionKind as Kind, VerifySettings},
};

use super::{Base, draft::*, edit::*, layer_for, layer_in, verify};
use crate::common::now;

/// Converts a draft to version 4a.
pub(super) fn draft(mut draft: Draft) -> Draft {
    draft.version = Version::V4a;
    draft.algorithm = "AWS4-ECDSA-P256-SHA256";
    if draft.presigned {
        draft.query.push(pair("X-Amz-Region-Set", ""));
    } else {
        draft.headers.push(("x-amz-region-set", String::new()));
        draft.signed.push("x-amz-region-set");
        draft.signed.sort_unstable();
    }
    draft
}

/// Moves the region from the scope to the region set, if there is one.
pub(super) fn state_regions(draft: &mut Draft) {
    let mut parts: Vec<_> = draft.scope.split('/').map(str::to_owned).collect();
    let regions = parts.remove(1);
    draft.scope = parts.join("/");
    let headers = draft.headers.iter_mut().map(|(name, value)| (*name, value));
    let parameters = draft.query.iter_mut().map(|(name, value)| (&**name, value));
    for (name, value) in headers.chain(parameters) {
        if name.eq_ignore_ascii_case("x-amz-region-set") && value.is_empty() {
            *value = regions.clone();
        }
    }
}

pub(super) fn signature(draft: &Draft, to_sign: &str) -> String {
    calculate_signature(
        generate_signing_key(draft.id, draft.secret),
        to_sign.as_bytes(),
    )
}

fn header() -> Draft {
    draft(super::header())
}

fn presigned() -> Draft {
    draft(super::presigned())
}

fn s3() -> Draft {
    draft(super::s3())
}

/// Signs for these regions.
fn regions(draft: &mut Draft, set: &str) {
    draft.scope = draft.scope.replace("us-east-1", set);
}

#[tokio::test]
async fn region_sets_with_an_accepted_region_are_accepted() {
    for set in [
        "us-east-1",
        "*",
        "us-*",
        "us-east-1*",
        "us-west-2,us-east-1",
        "us-west-2,us-e*,eu-*",
        "eu-west-1,eu-west-1,*",
    ] {
        for base in [header as Base, presigned, s3] {
            let mut draft = base();
            if draft.presigned {
                regions(&mut draft, &set.replace(',', "%2C").replace('*', "%2A"))
            } else {
                regions(&mut draft, set)
            }
            let layer = layer_for(&draft);
            assert_eq!(
                verify(&layer, draft.sign()).await,
                Ok(ID.to_owned()),
                "{set}"
            );
        }
    }
}

#[tokio::test]
async fn invalid_region_sets_are_rejected() {
    type Change = fn(&mut Draft);
    let rows: &[(&str, Kind, Base, Change)] = &[
        ("no region set", Kind::Malformed, header, |d| {
            d.drop_header("x-amz-region-set")
        }),
        ("no region set, query", Kind::Malformed, presigned, |d| {
            drop_parameter(d)
        }),
        (
            "the region set is not signed",
            Kind::HeaderNotSigned,
            header,
            |d| {
                d.leave_unsigned("x-amz-region-set");
            },
        ),
        ("two region sets", Kind::Malformed, header, |d| {
            d.headers.push(("x-amz-region-set", "us-east-1".to_owned()));
        }),
        ("two region sets, query", Kind::Malformed, presigned, |d| {
            d.query.push(pair("X-Amz-Region-Set", "us-east-1"));
        }),
        (
            "the region set in another case as well",
            Kind::Malformed,
            presigned,
            |d| {
                d.query.push(pair("x-amz-region-set", "us-east-1"));
            },
        ),
        (
            "the region set in header and query",
            Kind::Malformed,
            presigned,
            |d| {
                d.headers.push(("x-amz-region-set", "us-east-1".to_owned()));
                d.signed.push("x-amz-region-set");
            },
        ),
        (
            "the region set of a presigned URL in a header",
            Kind::Malformed,
            presigned,
            |d| {
                drop_parameter(d);
                d.headers.push(("x-amz-region-set", "us-east-1".to_owned()));
                d.signed.push("x-amz-region-set");
            },
        ),
        (
            "the region set of a header in the query",
            Kind::MultipleAuthentications,
            header,
            |d| {
                d.drop_header("x-amz-region-set");
                d.query.push(pair("X-Amz-Region-Set", "us-east-1"));
            },
        ),
        (
            "white space in the region set",
            Kind::Malformed,
            header,
            |d| {
                regions(d, "us-east-1, us-west-2");
            },
        ),
        ("an empty region", Kind::Malformed, header, |d| {
            regions(d, "us-east-1,")
        }),
        ("a star before the end", Kind::Malformed, header, |d| {
            regions(d, "us-*-1")
        }),
        ("two stars", Kind::Malformed, header, |d| regions(d, "**")),
        (
            "bytes that are no text, query",
            Kind::Malformed,
            presigned,
            |d| regions(d, "%FF%2C%2A"),
        ),
        ("other regions", Kind::Scope, header, |d| {
            regions(d, "us-west-2,eu-*")
        }),
        ("other regions, query", Kind::Scope, presigned, |d| {
            regions(d, "us-west-2%2Ceu-%2A")
        }),
        ("a longer name", Kind::Scope, header, |d| {
            regions(d, "us-east-10")
        }),
        ("a shorter name", Kind::Scope, header, |d| {
            regions(d, "us-east")
        }),
        ("another case", Kind::Scope, header, |d| {
            regions(d, "US-EAST-1")
        }),
        (
            "a region in the scope as well",
            Kind::Malformed,
            header,
            |d| {
                d.scope = d.scope.replace("/execute-api", "/us-east-1/execute-api");
            },
        ),
        ("signed chunks", Kind::PayloadKind, s3, |d| {
            payload(d, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
            d.headers
                .push(("x-amz-decoded-content-length", "8".to_owned()));
            d.signed.insert(3, "x-amz-decoded-content-length");
            d.signed.sort_unstable();
        }),
        ("chunks of its own", Kind::PayloadKind, s3, |d| {
            payload(d, "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD");
        }),
    ];
    let mut failed = Vec::new();
    for (name, kind, base, change) in rows {
        let mut draft = base();
        change(&mut draft);
        let layer = layer_for(&draft);
        let verified = verify(&layer, draft.sign()).await;
        if verified != Err(*kind) {
            failed.push(format!("{name}: {verified:?}, not {kind:?}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

fn drop_parameter(draft: &mut Draft) {
    draft.query.retain(|(name, _)| name != "X-Amz-Region-Set");
}

#[tokio::test]
async fn region_sets_changed_in_transit_are_rejected() {
    type Change = fn(&mut Request<Bytes>);
    let rows: &[(&str, Kind, Base, Change)] = &[
        ("a wider region set", Kind::SignatureMismatch, header, |r| {
            set(r, "x-amz-region-set", "*")
        }),
        (
            "a wider region set, query",
            Kind::SignatureMismatch,
            presigned,
            |r| {
                edit(r, "X-Amz-Region-Set=us-east-1", "X-Amz-Region-Set=%2A");
            },
        ),
        ("a region more", Kind::Malformed, header, |r| {
            add(r, "x-amz-region-set", "us-west-2")
        }),
        ("no region set", Kind::Malformed, header, |r| {
            remove(r, "x-amz-region-set")
        }),
        ("the algorithm alone", Kind::Malformed, header, |r| {
            replace(r, "ECDSA-P256", "HMAC");
            replace(r, "20150830", "20150830/us-east-1");
        }),
        (
            "the algorithm alone, query",
            Kind::Malformed,
            presigned,
            |r| {
                edit(r, "ECDSA-P256", "HMAC");
                edit(r, "%2F20150830", "%2F20150830%2Fus-east-1");
            },
        ),
        ("bytes behind the signature", Kind::Malformed, header, |r| {
            let value = r.headers()["authorization"]
                .to_str()
                .expect("ASCII")
                .to_owned();
            set(r, "authorization", &format!("{value}00"));
        }),
        ("a signature of HMAC", Kind::Malformed, header, |r| {
            let value = r.headers()["authorization"]
                .to_str()
                .expect("ASCII")
                .to_owned();
            let start = value.trim_end_matches(|digit| digit != '=');
            set(r, "authorization", &format!("{start}{EMPTY}"));
        }),
        (
            "the least signature there is",
            Kind::SignatureMismatch,
            header,
            |r| {
                let value = r.headers()["authorization"]
                    .to_str()
                    .expect("ASCII")
                    .to_owned();
                let start = value.trim_end_matches(|digit| digit != '=');
                set(r, "authorization", &format!("{start}3006020101020101"));
            },
        ),
    ];
    let mut failed = Vec::new();
    for (name, kind, base, change) in rows {
        let draft = base();
        let layer = layer_for(&draft);
        let mut request = draft.sign();
        change(&mut request);
        let verified = verify(&layer, request).await;
        if verified != Err(*kind) {
            failed.push(format!("{name}: {verified:?}, not {kind:?}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// A public key cached by ID only would accept the old secret.
#[tokio::test]
async fn changed_secrets_take_effect_immediately() {
    let secret = std::sync::Arc::new(std::sync::Mutex::new(SECRET));
    let held = secret.clone();
    let keys = move |request: KeyRequest<'static>| {
        let secret = *held.lock().expect("not poisoned");
        async move {
            let id = request.access_key_id();
            Ok::<_, Infallible>(Some(Credentials::new(id, secret, None, None, "test")))
        }
    };
    let settings = VerifySettings::new("execute-api", "us-east-1").expect("a scope");
    let layer = VerifyLayer::new(keys, settings.with_sigv4a(true)).with_clock(Clock::manual(now()));
    let with = |id, secret| {
        Draft {
            id,
            secret,
            ..header()
        }
        .sign()
    };
    for (current, other) in [(SECRET, "new"), ("new", SECRET), (SECRET, "new")] {
        *secret.lock().expect("not poisoned") = current;
        for id in [ID, "AKIDOTHER", ID] {
            assert_eq!(verify(&layer, with(id, current)).await, Ok(id.to_owned()));
            assert_eq!(
                verify(&layer, with(id, other)).await,
                Err(Kind::SignatureMismatch)
            );
        }
    }
}

/// Requests of version 4 may have the header.
#[tokio::test]
async fn region_sets_are_ignored_in_version_4() {
    for version in [Version::V4, Version::V4a] {
        for (text, signed) in [
            ("eu-west-1", true),
            ("no region", true),
            ("us-east-1", false),
        ] {
            let mut draft = super::header();
            draft.headers.push(("x-amz-region-set", text.to_owned()));
            if signed {
                draft.signed.insert(4, "x-amz-region-set");
            }
            let expected = if signed {
                Ok(ID.to_owned())
            } else {
                Err(Kind::HeaderNotSigned)
            };
            let verified = verify(&layer_in(version, "execute-api"), draft.sign()).await;
            assert_eq!(verified, expected, "{text}");
        }
        let mut draft = super::header();
        draft.scope = draft.scope.replace("us-east-1", "us-west-2");
        draft.headers.push(("x-amz-region-set", "*".to_owned()));
        draft.signed.insert(4, "x-amz-region-set");
        let verified = verify(&layer_in(version, "execute-api"), draft.sign()).await;
        assert_eq!(verified, Err(Kind::Scope));
    }
}

#[tokio::test]
async fn clock_windows_are_those_of_version_4() {
    for (base, date, expected) in [
        (header as Base, "20150830T123100Z", Ok(ID.to_owned())),
        (header, "20150830T124100Z", Ok(ID.to_owned())),
        (header, "20150830T123059Z", Err(Kind::Expired)),
        (header, "20150830T124101Z", Err(Kind::NotYetValid)),
        (presigned, "20150830T113600Z", Ok(ID.to_owned())),
        (presigned, "20150830T113559Z", Err(Kind::Expired)),
    ] {
        let mut draft = base();
        draft.date(date);
        assert_eq!(
            verify(&layer_for(&draft), draft.sign()).await,
            expected,
            "{date}"
        );
    }
}
