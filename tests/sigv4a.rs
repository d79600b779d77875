//! Signatures for several regions through the layers.
#![cfg(feature = "sigv4a")]

mod common;

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use common::{credentials, header, layer, now};
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, ErrorKind, SigningSettings, VerifyLayer,
    body::VerifiedBody,
    origin::{PayloadMode, UriOrigin},
    sigv4::{
        Checksum, ChunkSize, Identity, Payload, PayloadHash, RegionSet, Signer, SigningParams,
    },
    verify::{PayloadKind, RejectionKind, StaticKeys, Verified, Verifier, VerifySettings},
};

fn regions(text: &str) -> RegionSet {
    RegionSet::new(text).expect("regions")
}

fn settings(service: &str) -> SigningSettings {
    SigningSettings::multi_region(service, regions("us-east-1,eu-*")).expect("a service")
}

fn direct(service: &str) -> UriOrigin {
    UriOrigin::new(settings(service))
        .with_hosts(["h.example.com"])
        .expect("a host")
}

fn request() -> Request<Full<Bytes>> {
    let body = Full::from("abcd");
    Request::put("https://h.example.com/a?b=1")
        .body(body)
        .expect("a request")
}

/// Verifies a sent request.
async fn verify_request(
    service: &str,
    region: &str,
    sent: common::SentRequest,
) -> Result<Verified, RejectionKind> {
    let settings = VerifySettings::new(service, region)
        .expect("a scope")
        .with_sigv4a(true)
        .with_unsigned_payload(true);
    let layer = VerifyLayer::new(StaticKeys::new([credentials()]).expect("valid"), settings)
        .with_clock(Clock::manual(now()));
    let inner = service_fn(async |request: Request<VerifiedBody<_>>| {
        let mut response = Response::new(Full::<Bytes>::default());
        let verified = request
            .extensions()
            .get::<Verified>()
            .expect("a proof")
            .clone();
        let body = request.into_body().collect().await.expect("right");
        assert_eq!(body.to_bytes(), "abcd");
        response.extensions_mut().insert(verified);
        Ok::<_, Infallible>(response)
    });
    let Ok(response) = layer.layer(inner).oneshot(sent).await;
    match response.extensions().get::<Verified>() {
        Some(verified) => Ok(verified.clone()),
        None => Err(*response.extensions().get().expect("a kind")),
    }
}

#[tokio::test]
async fn settings_select_the_algorithm() {
    for service in ["s3", "execute-api"] {
        for (query, region, accepted) in [
            (false, "us-east-1", true),
            (false, "eu-west-1", true),
            (false, "us-west-2", false),
            (true, "us-east-1", true),
            (true, "eu-west-1", true),
            (true, "us-west-2", false),
        ] {
            let mut target = direct(service);
            if query {
                target = target
                    .with_query_signature(Duration::from_secs(60))
                    .expect("in range");
            }
            let sent = common::send(&layer(target), request())
                .await
                .expect("signed");
            let parameters = sent.uri().query().expect("a query");
            let scope = format!("AKIDEXAMPLE/20150830/{service}/aws4_request");
            if query {
                assert!(
                    parameters.contains("X-Amz-Region-Set=us-east-1%2Ceu-%2A"),
                    "{parameters}"
                );
                assert!(
                    parameters.contains(&scope.replace('/', "%2F")),
                    "{parameters}"
                );
                assert!(!sent.headers().contains_key("x-amz-region-set"));
            } else {
                assert_eq!(parameters, "b=1");
                assert_eq!(header(sent.headers(), "x-amz-region-set"), "us-east-1,eu-*");
                let start = format!("AWS4-ECDSA-P256-SHA256 Credential={scope}, ");
                assert!(header(sent.headers(), "authorization").starts_with(&start));
            }
            match verify_request(service, region, sent).await {
                Ok(verified) => {
                    assert!(accepted, "{region}");
                    assert_eq!(verified.region(), "us-east-1,eu-*");
                    assert_eq!(verified.is_presigned(), query);
                }
                Err(kind) => assert_eq!((kind, accepted), (RejectionKind::Scope, false)),
            }
        }
    }
}

#[tokio::test]
async fn host_of_several_regions_implies_sigv4a() {
    let uri = "https://abc.mrap.accesspoint.s3-global.amazonaws.com/key";
    let sent = common::send(&layer(UriOrigin::infer()), common::get(uri))
        .await
        .expect("signed");
    assert_eq!(header(sent.headers(), "x-amz-region-set"), "*");
    let start = "AWS4-ECDSA-P256-SHA256 Credential=AKIDEXAMPLE/20150830/s3/aws4_request, ";
    assert!(header(sent.headers(), "authorization").starts_with(start));
}

/// SigV4 does not add this header, and treats it like any other.
#[test]
fn policy_decides_about_region_sets_in_sigv4() {
    let identity = Identity::new(credentials()).expect("valid");
    let settings = SigningSettings::new("execute-api", "us-east-1").expect("a scope");
    for (signed, names) in [
        (
            true,
            "host;x-amz-content-sha256;x-amz-date;x-amz-region-set",
        ),
        (false, "host;x-amz-content-sha256;x-amz-date"),
    ] {
        let policy = move |name: &HeaderName| signed && name.as_str() == "x-amz-region-set";
        let settings = settings.clone().with_signed_headers(policy);
        let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, now());
        let request = common::get("https://h.example.com/");
        let (mut head, _) = request.into_parts();
        head.headers
            .insert("x-amz-region-set", HeaderValue::from_static("*"));
        Signer::new().sign(&mut head, &params).expect("signed");
        assert_eq!(header(&head.headers, "x-amz-region-set"), "*");
        let names = format!(" SignedHeaders={names}, ");
        assert!(header(&head.headers, "authorization").contains(&names));
    }
}

#[tokio::test]
async fn existing_region_sets_are_replaced() {
    let mut before = request();
    for value in ["ap-south-1", "*"] {
        before
            .headers_mut()
            .append("x-amz-region-set", HeaderValue::from_static(value));
    }
    let identity = Identity::new(credentials()).expect("valid");
    // A policy that does not sign it.
    let settings = settings("execute-api").with_signed_headers(|_: &HeaderName| false);
    let params = SigningParams::new(&settings, &identity, PayloadHash::of(b"abcd"), now());
    for query in [false, true] {
        let (mut head, _) = before.clone().into_parts();
        let signer = Signer::new();
        if !query {
            signer.sign(&mut head, &params).expect("signed")
        } else {
            let expires = Duration::from_secs(60);
            signer.presign(&mut head, &params, expires).expect("signed");
            signer
                .presign(&mut head, &params, expires)
                .expect("signed again");
            assert_eq!(
                head.uri
                    .query()
                    .expect("one")
                    .matches("-Region-Set=")
                    .count(),
                1
            );
        }
        let values: Vec<_> = head.headers.get_all("x-amz-region-set").iter().collect();
        assert_eq!(
            values,
            if query {
                vec![]
            } else {
                vec!["us-east-1,eu-*"]
            }
        );
        let verifier = Verifier::new(
            VerifySettings::new("execute-api", "eu-west-1")
                .expect("a scope")
                .with_sigv4a(true),
        );
        let claim = verifier.parse(&head, now()).expect("in order");
        let accepted = verifier.verify(claim, &credentials(), &PayloadHash::of(b"abcd"));
        assert_eq!(
            accepted.expect("right").to_verified().region(),
            "us-east-1,eu-*"
        );
    }
}

/// Signatures of chunks form a chain that starts with an HMAC.
#[tokio::test]
async fn signed_chunks_do_not_support_several_regions() {
    let size = ChunkSize::default();
    for mode in [
        PayloadMode::Chunked(size),
        PayloadMode::ChunkedTrailer(size, Checksum::Crc32),
    ] {
        let target = direct("s3").with_payload(mode);
        let error = common::send(&layer(target), request())
            .await
            .expect_err("rejected");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(
            error
                .to_string()
                .contains(r#""us-east-1,eu-*"; choose another"#),
            "{error}"
        );
    }
    let auto = |limit| {
        direct("s3")
            .with_payload(PayloadMode::Auto)
            .with_body_limit(limit)
    };
    let sent = common::send(&layer(auto(4)), request())
        .await
        .expect("buffered");
    let hash = PayloadHash::of(b"abcd").to_string();
    assert_eq!(header(sent.headers(), "x-amz-content-sha256"), hash);
    assert!(verify_request("s3", "us-east-1", sent).await.is_ok());
    let error = common::send(&layer(auto(3)), request())
        .await
        .expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::BodyTooLarge);
}

#[tokio::test]
async fn unsigned_bodies_stream_for_several_regions() {
    for (mode, payload) in [
        (PayloadMode::Unsigned, "UNSIGNED-PAYLOAD"),
        (
            PayloadMode::UnsignedTrailer(Checksum::Crc32),
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        ),
    ] {
        let target = direct("s3").with_payload(mode);
        let sent = common::send(&layer(target), request()).await.expect("sent");
        assert_eq!(header(sent.headers(), "x-amz-content-sha256"), payload);
        let verified = verify_request("s3", "us-east-1", sent)
            .await
            .expect("accepted");
        assert_eq!(verified.payload(), PayloadKind::Unsigned, "{payload}");
    }
}

#[test]
fn invalid_service_names_are_rejected() {
    for bad in ["", " ", "a/b", "a,b", "*"] {
        let error = SigningSettings::multi_region(bad, regions("*")).expect_err(bad);
        assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
    }
    assert!(SigningSettings::new("s3", "us-east-1,us-west-2").is_err());
    assert!(SigningSettings::new("s3", "*").is_err());
}

/// SigV4a adds `x-amz-region-set` to the headers of SigV4.
#[test]
fn maximum_number_of_headers_is_an_error() {
    let identity =
        Identity::new(common::credentials_with_token(Some("token".to_owned()))).expect("valid");
    let settings = settings("s3");
    let params = SigningParams::new(&settings, &identity, Payload::Unsigned, now());
    let (mut head, ()) = Request::get("https://h/")
        .body(())
        .expect("a request")
        .into_parts();
    let name = |n: usize| HeaderName::try_from(format!("x-{n}")).expect("a name");
    let most = (0..)
        .find(|&n| {
            head.headers
                .try_insert(name(n), HeaderValue::from_static("1"))
                .is_err()
        })
        .expect("there is an end");
    let [mut signed, mut rejected] = [0; 2];
    for n in 0..10 {
        match Signer::new().sign(&mut head.clone(), &params) {
            Ok(()) => signed += 1,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Request);
                rejected += 1;
            }
        }
        head.headers.remove(name(n));
    }
    assert_eq!((signed, rejected), (4, 6), "{most}");
}

#[test]
fn region_sets_can_be_shared() {
    fn is<T: Send + Sync + Clone + std::fmt::Debug>() {}
    is::<RegionSet>();
}
