//! Requests that are valid, some of them with a setting only.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Request};
use tower_sigv4::{
    Clock, VerifyLayer,
    credentials::Credentials,
    verify::{RejectionKind as Kind, StaticKeys, VerifySettings},
};

use super::{
    Base,
    draft::{
        Draft, ID, SECRET, TEMPORARY, TOKEN, VERSIONS, dated, hash, header, pair, payload,
        presigned, presigned_s3, s3, temporary, tenant,
    },
    edit::{add, set},
    layer, layer_for, verify,
};
use crate::common::now;

/// Each row changes the request before signing, within the rules.
#[tokio::test]
async fn valid_requests_are_accepted() {
    type Change = fn(&mut Draft);
    let rows: &[(&str, Base, Change)] = &[
        ("as many signed names as the maximum", header, |d| {
            d.sign_headers(1024)
        }),
        (
            "as many signed names as the maximum, query",
            presigned,
            |d| d.sign_headers(1024),
        ),
        ("as many parameters as the maximum", header, |d| {
            d.add_parameters(4096)
        }),
        ("as many parameters as the maximum, query", presigned, |d| {
            d.add_parameters(4096)
        }),
        ("x_amz_acl is signed", s3, |d| {
            d.sign_header("x_amz_acl", "private")
        }),
        ("x_amz_acl and x-amz-acl are signed", s3, |d| {
            d.sign_header("x_amz_acl", "private");
            d.sign_header("x-amz-acl", "private");
        }),
        ("date instead of x-amz-date", dated, |_| {}),
        ("date beside x-amz-date", header, |d| {
            d.sign_header("date", "Mon, 31 Aug 2015 00:00:00 GMT");
            d.headers.push(("date", "tomorrow".to_owned()));
        }),
        ("date unsigned beside x-amz-date", header, |d| {
            d.headers.push(("date", "tomorrow".to_owned()));
        }),
        ("date beside X-Amz-Date", presigned, |d| {
            d.sign_header("date", "tomorrow")
        }),
        ("a presigned download", presigned_s3, |_| {}),
        (
            "a presigned download that states its payload",
            presigned_s3,
            |d| {
                d.query
                    .push(pair("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"));
            },
        ),
        (
            "a presigned download that states its payload, header",
            presigned_s3,
            |d| {
                d.sign_header("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
            },
        ),
        (
            "a presigned download that states its length",
            presigned_s3,
            |d| {
                d.headers.push(("content-length", "0".to_owned()));
            },
        ),
        ("a presigned PUT without a body", presigned_s3, |d| {
            d.method = "PUT"
        }),
        ("a presigned upload with a hash", presigned_s3, |d| {
            d.method = "PUT";
            d.body = "x";
            d.payload = hash("x");
            let payload = d.payload.clone();
            d.sign_header("x-amz-content-sha256", &payload);
        }),
        ("user_agent beside user-agent, both unsigned", header, |d| {
            d.headers.push(("user_agent", "test".to_owned()));
        }),
        (
            "a name with an underscore beside signed names",
            tenant,
            |d| {
                d.headers.push(("x_tenants", "2".to_owned()));
            },
        ),
        ("content-length and its framing are unsigned", header, |d| {
            d.headers.push(("content-length", "8".to_owned()));
        }),
    ];
    let mut failed = Vec::new();
    for (name, base, change) in rows {
        for &version in VERSIONS {
            let mut draft = version.of(base());
            change(&mut draft);
            let (layer, id) = (layer_for(&draft), draft.id);
            let verified = verify(&layer, draft.sign()).await;
            if verified != Ok(id.to_owned()) {
                failed.push(format!("{version:?}, {name}: {verified:?}"));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// S3 Express has another name for session tokens.
#[tokio::test]
async fn s3_express_session_tokens_are_compared() {
    let express = || {
        let mut draft = temporary();
        draft.scope = "20150830/us-east-1/s3express/aws4_request".to_owned();
        draft
    };
    let renamed = |mut draft: Draft, token: &str| {
        draft.drop_header("x-amz-security-token");
        draft
            .headers
            .push(("x-amz-s3session-token", token.to_owned()));
        draft.signed.insert(3, "x-amz-s3session-token");
        draft.signed.sort_unstable();
        draft
    };
    let layer = layer("s3express");
    assert_eq!(
        verify(&layer, express().sign()).await,
        Ok(TEMPORARY.to_owned())
    );
    let accepted = verify(&layer, renamed(express(), TOKEN).sign()).await;
    assert_eq!(accepted, Ok(TEMPORARY.to_owned()));
    let another = verify(&layer, renamed(express(), "another").sign()).await;
    assert_eq!(another, Err(Kind::SessionToken));
    let mut needless = renamed(express(), TOKEN);
    needless.id = ID;
    assert_eq!(
        verify(&layer, needless.sign()).await,
        Err(Kind::SessionToken)
    );
    let mut both = renamed(express(), TOKEN);
    both.headers
        .push(("x-amz-security-token", TOKEN.to_owned()));
    both.signed.push("x-amz-security-token");
    both.signed.sort_unstable();
    assert_eq!(verify(&layer, both.sign()).await, Err(Kind::Malformed));
}

#[tokio::test]
async fn requests_allowed_by_a_setting_are_accepted() {
    let unsigned = |mut draft: Draft| {
        payload(&mut draft, "UNSIGNED-PAYLOAD");
        draft
    };
    let settings = VerifySettings::new("execute-api", "us-east-1")
        .and_then(|settings| settings.add_region("eu-west-1"))
        .and_then(|settings| settings.add_service("lambda"))
        .and_then(|settings| settings.add_unsigned_header(HeaderName::from_static("x-amz-cf-id")))
        .expect("valid")
        .with_unsigned_payload(true)
        .with_required_headers([HeaderName::from_static("x-tenant")])
        .with_clock_window(Duration::from_secs(3600));
    let keys = StaticKeys::new([Credentials::new(ID, SECRET, None, None, "test")]);
    let layer = VerifyLayer::new(keys.expect("valid"), settings).with_clock(Clock::manual(now()));

    let mut elsewhere = header();
    elsewhere.scope = "20150830/eu-west-1/lambda/aws4_request".to_owned();
    let mut old = header();
    old.date("20150830T113600Z");
    let mut unsigned_type = header();
    unsigned_type.leave_unsigned("content-type");
    let mut through_cloudfront = header().sign();
    add(&mut through_cloudfront, "x-amz-cf-id", "abc");
    for request in [
        unsigned(header()).sign(),
        elsewhere.sign(),
        old.sign(),
        unsigned_type.sign(),
        through_cloudfront,
    ] {
        assert_eq!(verify(&layer, request).await, Ok(ID.to_owned()));
    }
    let mut request = header().sign();
    add(&mut request, "x-tenant", "1");
    assert_eq!(verify(&layer, request).await, Err(Kind::HeaderNotSigned));
}

#[tokio::test]
async fn presigned_uploads_have_their_own_setting() {
    let uploads = |service| {
        let settings = VerifySettings::new(service, "us-east-1").expect("a scope");
        let keys = StaticKeys::new([Credentials::new(ID, SECRET, None, None, "test")]);
        VerifyLayer::new(keys.expect("valid"), settings.with_presigned_uploads(true))
            .with_clock(Clock::manual(now()))
    };
    let mut upload = presigned_s3();
    upload.method = "PUT";
    upload.body = "x";
    let mut elsewhere = presigned();
    elsewhere
        .query
        .push(pair("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"));
    elsewhere.payload = "UNSIGNED-PAYLOAD".to_owned();
    elsewhere.body = "x";
    for draft in [upload, presigned_s3(), elsewhere] {
        let layer = uploads(if draft.scope.contains("/s3/") {
            "s3"
        } else {
            "execute-api"
        });
        assert_eq!(verify(&layer, draft.sign()).await, Ok(ID.to_owned()));
    }
    let mut in_header = s3();
    payload(&mut in_header, "UNSIGNED-PAYLOAD");
    let mut in_header_without_body = in_header.clone();
    in_header_without_body.body = "";
    let mut chunks = s3();
    payload(&mut chunks, "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    chunks.sign_header("x-amz-trailer", "x-amz-checksum-crc32");
    for draft in [in_header, in_header_without_body, chunks] {
        assert_eq!(
            verify(&uploads("s3"), draft.sign()).await,
            Err(Kind::PayloadKind)
        );
    }
}

/// A version 4a request of AWS's suite is rejected without the feature, and with it unless the settings accept it.
#[tokio::test]
async fn version_4a_is_rejected_unless_enabled() {
    let request = Request::get("/")
        .header("host", "example.amazonaws.com")
        .header("x-amz-date", "20150830T123600Z")
        .header("x-amz-region-set", "us-east-1")
        .header(
            "authorization",
            "AWS4-ECDSA-P256-SHA256 Credential=AKIDEXAMPLE/20150830/service/aws4_request, \
             SignedHeaders=host;x-amz-date;x-amz-region-set, \
             Signature=3046022100fddaaf816a31e30d04973875b13bc27b98da10907a3a1872fd5819a221334abc\
             022100de2ee81d83b54f31efc82834de07e6cd4d5c6f25bfa08e0f29a15bb0977c343e",
        );
    let request = request.body(Bytes::new()).expect("a request");
    let verified = verify(&layer("service"), request.clone()).await;
    assert_eq!(verified, Err(Kind::UnsupportedAlgorithm));
    let mut malformed = request.clone();
    set(
        &mut malformed,
        "authorization",
        "AWS4-ECDSA-P256-SHA256 Credential=",
    );
    let verified = verify(&layer("service"), malformed).await;
    assert_eq!(verified, Err(Kind::UnsupportedAlgorithm));
    #[cfg(feature = "sigv4a")]
    {
        let verified = verify(
            &super::layer_in(super::draft::Version::V4a, "service"),
            request,
        )
        .await;
        assert_eq!(verified, Ok(ID.to_owned()));
    }
}

#[tokio::test]
async fn headers_of_vendors_are_accepted_if_signed_allowed_or_for_another_service() {
    let name = "x-goog-copy-source";
    let add = |mut draft: Draft| {
        draft.headers.push((name, "private/key".to_owned()));
        draft
    };
    let mut signed = s3();
    signed.sign_header(name, "private/key");
    let layer = |service, allowed: Option<&'static str>| {
        let settings = VerifySettings::new(service, "us-east-1");
        let settings = allowed
            .into_iter()
            .try_fold(settings.expect("valid"), |it, name| {
                it.add_unsigned_header(HeaderName::from_static(name))
            });
        let keys = StaticKeys::new([Credentials::new(ID, SECRET, None, None, "test")]);
        VerifyLayer::new(keys.expect("valid"), settings.expect("valid"))
            .with_clock(Clock::manual(now()))
    };
    for (service, allowed, draft, is_accepted) in [
        ("s3", None, signed, true),
        ("s3", None, add(s3()), false),
        ("s3", Some(name), add(s3()), true),
        ("s3", Some("x-goog-other"), add(s3()), false),
        ("execute-api", None, add(header()), true),
    ] {
        let result = verify(&layer(service, allowed), draft.sign()).await;
        let expected = if is_accepted {
            Ok(())
        } else {
            Err(Kind::HeaderNotSigned)
        };
        assert_eq!(result.map(drop), expected, "{service} {allowed:?}");
    }
}
