//! Bodies that are not buffered, and signatures in the query.

mod chunked;

use std::{convert::Infallible, sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, request::Parts};
use http_body::{Body, SizeHint};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, Error, ErrorKind, Origin, SigningLayer, VerifyLayer,
    body::{SignedBody, VerifiedBody},
    origin::{PayloadMode, UriOrigin},
    sigv4::PayloadHash,
    verify::{PayloadKind, RejectionKind, StaticKeys, Verified, Verifier, VerifySettings},
};

use crate::common::{
    self, HOST, ScriptedBody, Step, api, credentials, header, layer, now, send_any,
};

pub(crate) type SentRequest = Request<SignedBody<ScriptedBody>>;

fn origin() -> Origin {
    api(&format!("https://{HOST}"))
}

fn data(text: &'static str) -> Step {
    Step::Data(Bytes::from_static(text.as_bytes()))
}

fn put(body: ScriptedBody) -> Request<ScriptedBody> {
    Request::put("/orders?b=2&a=1")
        .body(body)
        .expect("a request")
}

async fn sent(layer: &SigningLayer, request: Request<ScriptedBody>) -> Result<SentRequest, Error> {
    send_any(layer, request).await
}

fn head_of(sent: &SentRequest) -> Parts {
    let mut request = Request::builder().method(sent.method()).uri(sent.uri());
    for (name, value) in sent.headers() {
        request = request.header(name, value);
    }
    request.body(()).expect("a request").into_parts().0
}

/// Verifies a request that was sent.
pub(crate) async fn verify(service: &str, request: SentRequest) -> Result<Verified, RejectionKind> {
    let settings = VerifySettings::new(service, "us-east-1")
        .expect("a scope")
        .with_unsigned_payload(true);
    let keys = StaticKeys::new([credentials()]).expect("valid");
    let layer = VerifyLayer::new(keys, settings).with_clock(Clock::manual(now()));
    let inner = service_fn(
        async |request: Request<VerifiedBody<SignedBody<ScriptedBody>>>| {
            let verified = request
                .extensions()
                .get::<Verified>()
                .expect("a proof")
                .clone();
            let mut response = Response::new(http_body_util::Empty::<Bytes>::new());
            response.extensions_mut().insert(verified);
            Ok::<_, Infallible>(response)
        },
    );
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    match response.extensions().get::<Verified>() {
        Some(verified) => Ok(verified.clone()),
        None => Err(*response.extensions().get().expect("a kind")),
    }
}

#[tokio::test]
async fn unsigned_bodies_stream_unchanged() {
    let trailers = HeaderMap::from_iter([(http::header::ETAG, "1".parse().expect("a value"))]);
    let body = ScriptedBody::new([
        data("a"),
        Step::Yield,
        data("bc"),
        Step::Trailers(trailers.clone()),
    ]);
    let polls = body.polls.clone();
    // The limit applies only to buffered bodies.
    let layer = layer(
        origin()
            .with_payload(PayloadMode::Unsigned)
            .with_body_limit(1),
    );
    let sent = sent(&layer, put(body)).await.expect("sent");
    assert_eq!(polls.load(Ordering::SeqCst), 0, "nothing is read ahead");
    assert_eq!(
        header(sent.headers(), "x-amz-content-sha256"),
        "UNSIGNED-PAYLOAD"
    );
    assert!(!sent.headers().contains_key("content-length"));
    assert_eq!(sent.body().size_hint().exact(), None);

    let mut body = sent.into_body();
    let frame = body.frame().await.expect("a frame").expect("data");
    assert_eq!(frame.into_data().expect("data"), "a");
    assert_eq!(polls.load(Ordering::SeqCst), 1, "one frame per read");
    let rest = body.collect().await.expect("the rest");
    assert_eq!(rest.trailers(), Some(&trailers));
    assert_eq!(rest.to_bytes(), "bc");
}

#[tokio::test]
async fn vpc_lattice_receives_unsigned_bodies() {
    let url = "https://svc-0a1b.7d67968.vpc-lattice-svcs.us-west-2.on.aws";
    let layer = layer(Origin::infer(url).expect("an origin"));
    let sent = sent(&layer, put(ScriptedBody::new([data("abc")])))
        .await
        .expect("sent");
    assert_eq!(
        header(sent.headers(), "x-amz-content-sha256"),
        "UNSIGNED-PAYLOAD"
    );
    let request = head_of(&sent);
    let settings = VerifySettings::new("vpc-lattice-svcs", "us-west-2").expect("a scope");
    let verifier = Verifier::new(settings);
    let claim = verifier.parse(&request, now()).expect("valid claim");
    assert!(
        verifier
            .verify(claim, &credentials(), &PayloadHash::EMPTY)
            .is_ok()
    );
    let scope = "/20150830/us-west-2/vpc-lattice-svcs/aws4_request";
    assert!(header(sent.headers(), "authorization").contains(scope));
}

#[tokio::test]
async fn known_lengths_are_sent() {
    let layer = layer(origin().with_payload(PayloadMode::Unsigned));
    for (method, declared, length) in [
        ("PUT", Some(3), Some("3")),
        ("PUT", Some(0), Some("0")),
        ("GET", Some(0), None),
        ("PUT", None, Some("7")),
    ] {
        let body = ScriptedBody::new([data("abc")]);
        let body = declared.map_or(ScriptedBody::new([]), |length| {
            body.with_size(SizeHint::with_exact(length))
        });
        let mut request = put(body);
        *request.method_mut() = method.parse().expect("a method");
        if declared.is_none() {
            request
                .headers_mut()
                .insert("content-length", "7".parse().expect("a value"));
        }
        let sent = sent(&layer, request).await.expect("sent");
        let sent = sent
            .headers()
            .get("content-length")
            .map(|value| value.to_str().expect("ASCII"));
        assert_eq!(sent, length, "{method} {declared:?}");
    }
}

#[tokio::test]
async fn signed_payloads_of_streams_pass_verification() {
    let hash = PayloadHash::of(b"abc").to_string();
    for (mode, hash_header, kind) in [
        (PayloadMode::Unsigned, "", PayloadKind::Unsigned),
        (PayloadMode::Unsigned, &*hash, PayloadKind::Unsigned),
        (PayloadMode::Trust, &*hash, PayloadKind::Signed),
        (
            PayloadMode::Trust,
            "UNSIGNED-PAYLOAD",
            PayloadKind::Unsigned,
        ),
        (PayloadMode::Buffer, "UNSIGNED-PAYLOAD", PayloadKind::Signed),
    ] {
        for service in ["execute-api", "s3"] {
            let mut request = put(ScriptedBody::new([data("a"), Step::Yield, data("bc")]));
            *request.uri_mut() = format!("https://{HOST}/orders").parse().expect("a URI");
            if !hash_header.is_empty() {
                let hash_header = hash_header.parse().expect("a value");
                request
                    .headers_mut()
                    .insert("x-amz-content-sha256", hash_header);
            }
            // `UNSIGNED-PAYLOAD` has to be sent even if hashes are not.
            let settings = common::settings(service).with_payload_header(service == "s3");
            let layer = layer(UriOrigin::new(settings).with_payload(mode));
            let sent = sent(&layer, request).await;
            let verified = verify(service, sent.expect("sent")).await;
            assert_eq!(
                verified.map(|by| by.payload()),
                Ok(kind),
                "{mode:?} {hash_header} {service}"
            );
        }
    }
}

/// Only the origin compares a trusted hash with the body.
#[tokio::test]
async fn trusted_hashes_are_not_checked() {
    let layer = layer(origin().with_payload(PayloadMode::Trust));
    let mut request = put(ScriptedBody::new([data("another")]));
    let hash = PayloadHash::of(b"abc").to_string();
    request
        .headers_mut()
        .insert("x-amz-content-sha256", hash.parse().expect("a value"));
    let sent = sent(&layer, request).await.expect("sent");
    assert_eq!(header(sent.headers(), "x-amz-content-sha256"), hash);
    assert_eq!(
        verify("execute-api", sent).await.err(),
        Some(RejectionKind::PayloadMismatch)
    );
}

#[tokio::test]
async fn requests_without_a_valid_hash_are_rejected() {
    let layer = layer(origin().with_payload(PayloadMode::Trust));
    let hash = PayloadHash::of(b"abc").to_string();
    for (values, kind) in [
        (vec![], ErrorKind::Request),
        (vec![""], ErrorKind::Request),
        (vec!["abc"], ErrorKind::Request),
        (vec!["unsigned-payload"], ErrorKind::Request),
        (vec![&*hash, &*hash], ErrorKind::Request),
        (
            vec!["STREAMING-UNSIGNED-PAYLOAD-TRAILER"],
            ErrorKind::Request,
        ),
    ] {
        let mut request = put(ScriptedBody::new([data("abc")]));
        for value in &values {
            request
                .headers_mut()
                .append("x-amz-content-sha256", value.parse().expect("a value"));
        }
        let error = sent(&layer, request).await.expect_err("rejected");
        assert_eq!(error.kind(), kind, "{values:?}");
        assert!(
            error.to_string().contains("x-amz-content-sha256"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn closures_see_the_head_as_the_client_sent_it() {
    let policy = |head: &Parts| {
        if head.headers.contains_key("authorization") {
            PayloadMode::Unsigned
        } else {
            PayloadMode::Buffer
        }
    };
    let layer = layer(origin().with_payload(policy));
    for (authorization, unsigned) in [(false, false), (true, true)] {
        let mut request = put(ScriptedBody::new([data("abc")]));
        if authorization {
            request
                .headers_mut()
                .insert("authorization", "Bearer x".parse().expect("a value"));
        }
        let sent = sent(&layer, request).await.expect("sent");
        let value = header(sent.headers(), "x-amz-content-sha256");
        assert_eq!(value == "UNSIGNED-PAYLOAD", unsigned);
    }
}

#[tokio::test]
async fn query_signatures_pass_verification() {
    for service in ["execute-api", "s3"] {
        for (mode, kind) in [
            (PayloadMode::Buffer, PayloadKind::Signed),
            (PayloadMode::Unsigned, PayloadKind::Unsigned),
        ] {
            let target = UriOrigin::new(common::settings(service))
                .with_payload(mode)
                .with_query_signature(Duration::from_secs(60))
                .expect("in range");
            let mut request = put(ScriptedBody::new([data("abc")]));
            let url = format!("https://{HOST}/orders?b=2&a=1+1&X-Amz-Signature=old&x-amz-date=old");
            *request.uri_mut() = url.parse().expect("a URI");
            request
                .headers_mut()
                .insert("x-amz-meta-a", "1".parse().expect("a value"));
            let sent = sent(&layer(target), request).await.expect("sent");
            assert!(!sent.headers().contains_key("authorization"));
            let query = sent.uri().query().expect("a query");
            assert!(
                query.starts_with("b=2&a=1%201&X-Amz-Algorithm=AWS4-HMAC-SHA256&"),
                "{query}"
            );
            // S3 reads the hash from a header, which has to be signed.
            let hash = sent.headers().get("x-amz-content-sha256");
            let in_header = service == "s3" && mode == PayloadMode::Buffer;
            assert_eq!(hash.is_some(), in_header, "{service} {mode:?}");
            let hash = if in_header {
                "x-amz-content-sha256%3B"
            } else {
                ""
            };
            let names = format!("&X-Amz-SignedHeaders=host%3B{hash}x-amz-meta-a&");
            assert!(query.contains(&names), "{query}");
            let has_unsigned_hash = query.contains("&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&");
            assert_eq!(
                has_unsigned_hash,
                service != "s3" && mode == PayloadMode::Unsigned
            );
            let verified = verify(service, sent).await.expect("accepted");
            assert!(verified.is_presigned());
            assert_eq!(verified.payload(), kind);
        }
    }
    for (expires, shown) in [(0, "0ns"), (999, "999ms"), (604_800_001, "604800.001s")] {
        let expires = Duration::from_millis(expires);
        let error = origin()
            .with_query_signature(expires)
            .expect_err("rejected");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(shown), "{error}");
    }
    assert!(
        origin()
            .with_query_signature(Duration::from_secs(604_800))
            .is_ok()
    );
}

#[test]
fn requests_with_the_maximum_of_headers_cannot_be_presigned() {
    let mut head = Request::get("https://h/")
        .body(())
        .expect("a request")
        .into_parts()
        .0;
    while head.headers.try_reserve(1).is_ok() && head.headers.len() < 24_576 {
        let name = format!("x-{}", head.headers.len()).parse().expect("a name");
        let appended: http::HeaderName = name;
        if head
            .headers
            .try_append(appended, http::HeaderValue::from_static(""))
            .is_err()
        {
            break;
        }
    }
    let settings = common::settings("s3");
    let identity = tower_sigv4::sigv4::Identity::new(credentials()).expect("valid");
    let payload = tower_sigv4::sigv4::Payload::Unsigned;
    let params = tower_sigv4::sigv4::SigningParams::new(&settings, &identity, payload, now());
    let hour = Duration::from_secs(3600);
    let error = tower_sigv4::sigv4::Signer::new().presign(&mut head, &params, hour);
    assert_eq!(error.expect_err("too many").kind(), ErrorKind::Request);
    assert!(head.uri.query().is_none(), "the request is unchanged");
}
