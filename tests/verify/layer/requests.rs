//! Requests and the proof that the inner service receives.

use std::time::Duration;

use http::{HeaderMap, Request, Version, request::Parts};
use http_body::SizeHint;
use http_body_util::BodyExt;
use tower_sigv4::{
    Clock, VerifyLayer,
    sigv4::{AllExcept, Identity, Payload, PayloadHash, Signer, SigningParams},
    verify::{
        BodyCheck, PayloadKind, RejectionKind as Kind, StaticKeys, Verified, Verifier,
        VerifySettings,
    },
};

use super::{accepted, data, head, layer, post, unsigned};
use crate::common::{self, ScriptedBody, Step, credentials, now, signed};

#[tokio::test]
async fn verified_describes_the_signed_request() {
    let mut head = head();
    head.headers
        .insert("content-type", "text/plain".parse().expect("a value"));
    let request = Request::from_parts(signed(head, b"body"), ScriptedBody::new([data("body")]));
    let accepted = accepted(&layer(), request).await.expect("accepted");
    let verified = accepted.extensions().get::<Verified>().expect("a proof");
    assert_eq!(
        (verified.region(), verified.service()),
        ("us-east-1", "execute-api")
    );
    assert_eq!(verified.signed_at(), now());
    assert_eq!(verified.payload(), PayloadKind::Signed);
    assert!(!verified.is_presigned());
    let names: Vec<_> = verified.signed_headers().collect();
    assert_eq!(
        names,
        ["content-type", "host", "x-amz-content-sha256", "x-amz-date"]
    );
}

fn s3_layer() -> VerifyLayer {
    let settings = VerifySettings::new("s3", "us-east-1").expect("a scope");
    VerifyLayer::new(StaticKeys::new([credentials()]).expect("valid"), settings)
        .with_clock(Clock::manual(now()))
}

/// Builds a head that is presigned for S3.
fn presigned_s3() -> Parts {
    let identity = Identity::new(credentials()).expect("valid");
    let settings = common::settings("s3");
    let params = SigningParams::new(&settings, &identity, Payload::Unsigned, now());
    let mut head = head();
    Signer::new()
        .presign(&mut head, &params, Duration::from_secs(60))
        .expect("presigned");
    head
}

#[tokio::test]
async fn presigned_requests_pass_once_their_body_is_known_to_be_empty() {
    let trailers = HeaderMap::from_iter([(http::header::ETAG, "1".parse().unwrap())]);
    for check in [BodyCheck::default(), BodyCheck::Streamed] {
        let layer = s3_layer().with_body_check(check);
        for (steps, size, expected) in [
            (vec![], None, Ok(())),
            (vec![Step::Yield], None, Ok(())),
            (vec![data(""), Step::Yield, data("")], None, Ok(())),
            (vec![Step::Trailers(trailers.clone())], None, Ok(())),
            (vec![], Some(SizeHint::with_exact(0)), Ok(())),
            (vec![data("x")], None, Err(Kind::PayloadKind)),
            (
                vec![data(""), Step::Yield, data("x"), Step::Hang],
                None,
                Err(Kind::PayloadKind),
            ),
            (
                vec![data("x")],
                Some(SizeHint::with_exact(0)),
                Err(Kind::PayloadKind),
            ),
            (
                vec![Step::Hang],
                Some(SizeHint::with_exact(1)),
                Err(Kind::PayloadKind),
            ),
            (vec![Step::Yield, Step::Fail], None, Err(Kind::BodyRead)),
        ] {
            let shown = format!("{check:?} {steps:?} {size:?}");
            let mut body = ScriptedBody::new(steps);
            if let Some(size) = size {
                body = body.with_size(size);
            }
            let accepted = accepted(&layer, Request::from_parts(presigned_s3(), body)).await;
            let verified = accepted.as_ref().map(|_| ()).map_err(|kind| *kind);
            assert_eq!(verified, expected, "{shown}");
            if let Ok(request) = accepted {
                let verified = request.extensions().get::<Verified>().expect("a proof");
                assert_eq!(verified.payload(), PayloadKind::Unsigned);
                let collected = request.into_body().collect().await.expect("a body");
                assert!(collected.trailers().is_none(), "{shown}");
                assert!(collected.to_bytes().is_empty(), "{shown}");
            }
        }
    }
}

#[test]
fn a_verifier_accepts_presigned_requests_without_a_body() {
    let verifier = Verifier::new(VerifySettings::new("s3", "us-east-1").expect("a scope"));
    let head = presigned_s3();
    let verify = |payload| {
        let claim = verifier.parse(&head, now())?;
        verifier
            .verify(claim, &credentials(), &payload)
            .map(|accepted| accepted.to_verified())
    };
    let verified = verify(PayloadHash::EMPTY).expect("accepted");
    assert!(verified.is_presigned() && verified.payload() == PayloadKind::Unsigned);
    let rejection = verify(PayloadHash::of(b"x")).expect_err("a body");
    assert_eq!(rejection.kind(), Kind::PayloadKind);
}

#[tokio::test]
async fn allowed_anonymous_requests_pass_without_a_proof() {
    let layer = layer().with_anonymous(true);
    let mut request = unsigned();
    let other = accepted(&self::layer(), post("", []))
        .await
        .expect("accepted");
    let proof = other
        .extensions()
        .get::<Verified>()
        .expect("a proof")
        .clone();
    request.extensions_mut().insert(proof);
    let accepted_request = accepted(&layer, request).await.expect("passed");
    assert!(
        accepted_request.extensions().get::<Verified>().is_none(),
        "another layer's proof"
    );
    let body = accepted_request
        .into_body()
        .collect()
        .await
        .expect("a body");
    assert_eq!(body.to_bytes(), "body");

    for (name, value) in [("authorization", "Bearer x"), ("authorization", "")] {
        let mut request = unsigned();
        request
            .headers_mut()
            .insert(name, value.parse().expect("a value"));
        assert_eq!(
            accepted(&layer, request).await.err(),
            Some(Kind::UnsupportedAlgorithm)
        );
    }
    let mut request = unsigned();
    *request.uri_mut() = "/?X-Amz-Credential=x".parse().expect("a URI");
    assert_eq!(accepted(&layer, request).await.err(), Some(Kind::Malformed));
}

#[tokio::test]
async fn ambiguous_paths_are_rewritten_if_enabled() {
    let mut request = post("", []);
    *request.uri_mut() = "/x/..//orders".parse().expect("a URI");
    let request_again = || {
        let (head, _) = post("", []).into_parts();
        let mut request = Request::from_parts(head, ScriptedBody::new([]));
        *request.uri_mut() = "/x/..//orders".parse().expect("a URI");
        request
    };
    assert_eq!(accepted(&layer(), request).await.err(), Some(Kind::Target));
    let rewriting = layer().with_path_rewrite(true);
    let accepted = accepted(&rewriting, request_again())
        .await
        .expect("accepted");
    assert_eq!(
        accepted.uri(),
        "/orders",
        "the inner service sees what was signed"
    );
}

/// The `:authority` of HTTP/2 arrives in the URI.
#[tokio::test]
async fn http2_requests_get_a_host_header() {
    for (uri, refused) in [
        ("https://api.example.com/orders", None),
        ("https://api.example.com:443/orders", None),
        (
            "https://API.example.com/orders",
            Some(Kind::SignatureMismatch),
        ),
        (
            "https://api.example.com:8443/orders",
            Some(Kind::SignatureMismatch),
        ),
        (
            "https://evil.example.com/orders",
            Some(Kind::SignatureMismatch),
        ),
    ] {
        let mut request = post("", []);
        request.headers_mut().remove("host");
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = uri.parse().expect("a URI");
        let verified = accepted(&layer(), request).await;
        assert_eq!(verified.as_ref().err().copied(), refused, "{uri}");
        if let Ok(accepted) = verified {
            assert_eq!(accepted.headers()["host"], "api.example.com");
        }
    }
    // Both, which have to agree (RFC 9113, section 8.3.1).
    for (uri, refused) in [
        ("https://api.example.com/orders", None),
        ("https://api.example.com:443/orders", None),
        ("https://evil.example.com/orders", Some(Kind::Target)),
        (
            "https://api.example.com@evil.example.com/orders",
            Some(Kind::Target),
        ),
    ] {
        let mut request = post("", []);
        *request.uri_mut() = uri.parse().expect("a URI");
        assert_eq!(accepted(&layer(), request).await.err(), refused, "{uri}");
    }
}

/// HTTP/2 and HTTP/3 may split `cookie` (RFC 9113, section 8.2.3; RFC 9114, section 4.2.1).
#[tokio::test]
async fn split_cookies_are_joined_before_verification() {
    for (version, lines, expected) in [
        (Version::HTTP_2, &["a=1; b=2; c=3"][..], Ok(())),
        (Version::HTTP_2, &["a=1", "b=2; c=3"], Ok(())),
        (Version::HTTP_2, &["a=1", "b=2", "c=3"], Ok(())),
        (Version::HTTP_3, &["a=1", "b=2", "c=3"], Ok(())),
        (
            Version::HTTP_2,
            &["b=2", "a=1", "c=3"],
            Err(Kind::SignatureMismatch),
        ),
        (
            Version::HTTP_2,
            &["a=1", "b=2"],
            Err(Kind::SignatureMismatch),
        ),
        (
            Version::HTTP_2,
            &["a=1", "b=2", "c=3", "admin=1"],
            Err(Kind::SignatureMismatch),
        ),
        (
            Version::HTTP_2,
            &["a=1", "", "b=2; c=3"],
            Err(Kind::SignatureMismatch),
        ),
        // HTTP/1.1 does not split it (RFC 6265, section 5.4).
        (
            Version::HTTP_11,
            &["a=1", "b=2", "c=3"],
            Err(Kind::SignatureMismatch),
        ),
    ] {
        let mut head = head();
        head.headers
            .insert("cookie", "a=1; b=2; c=3".parse().expect("a value"));
        let identity = Identity::new(credentials()).expect("valid");
        let settings = common::settings("execute-api").with_signed_headers(AllExcept::default());
        let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, now());
        Signer::new().sign(&mut head, &params).expect("signed");
        head.headers.remove("cookie");
        for line in lines {
            head.headers
                .append("cookie", line.parse().expect("a value"));
        }
        head.version = version;
        let request = Request::from_parts(head, ScriptedBody::new([]));
        let accepted = accepted(&layer(), request).await;
        let verified = accepted.as_ref().map(|_| ()).map_err(|kind| *kind);
        assert_eq!(verified, expected, "{version:?} {lines:?}");
        if let Ok(request) = accepted {
            let received: Vec<_> = request.headers().get_all("cookie").iter().collect();
            assert_eq!(received, ["a=1; b=2; c=3"]);
        }
    }
}
