//! Rules of S3, and origins behind the verifier.

use super::*;

/// A signature for a service with laxer rules is worth nothing on the route of another: the origin's service is
/// compared with the verified one.
#[tokio::test]
async fn signatures_for_another_service_do_not_reach_an_origin() {
    let origin = |service: &str| {
        Origin::new(
            &format!("http://{service}.internal"),
            signing_settings(service),
        )
        .expect("an origin")
    };
    let route = |path| OriginRule::path(path).expect("a path");
    let rules = OriginRules::new()
        .add_rule(route("/s3"), origin("s3"))
        .add_rule(route("/dynamodb"), origin("dynamodb"))
        .add_rule(route("/lambda"), origin("lambda"));
    let proxy = ServiceBuilder::new()
        .layer(layer(services()))
        .layer(SigningLayer::new(credentials(), rules).with_clock(Clock::manual(now())))
        .service_fn(
            async |request: Request<SignedBody<VerifiedBody<Full<Bytes>>>>| {
                let host = request.uri().host().unwrap_or_default().to_owned();
                let mut response = Response::new(Full::<Bytes>::default());
                response.extensions_mut().insert(host);
                Ok::<_, Infallible>(response)
            },
        );
    for (service, target, reached) in [
        ("s3", "/s3/k", Some("s3.internal")),
        ("dynamodb", "/dynamodb", Some("dynamodb.internal")),
        ("s3", "/dynamodb", None),
        ("sts", "/dynamodb", None),
        ("dynamodb", "/s3/k", None),
        // The verifier has no rules for Lambda, so that all of its services may call it.
        ("s3", "/lambda", Some("lambda.internal")),
        ("dynamodb", "/lambda", Some("lambda.internal")),
    ] {
        let base = if service == "s3" { S3 } else { DYNAMODB };
        let request = Sdk {
            service,
            target,
            ..base
        }
        .sign();
        match proxy.clone().oneshot(request).await {
            Ok(response) => {
                let host = response.extensions().get::<String>().map(String::as_str);
                assert_eq!(host, reached, "{service} {target}");
            }
            Err(error) => {
                assert_eq!(reached, None, "{service} {target}: {error}");
                let own = Error::find(&*error).expect("of this crate");
                assert_eq!(own.kind(), ErrorKind::Scope, "{service} {target}");
                assert_eq!(own.status(), StatusCode::FORBIDDEN);
            }
        }
    }
}

/// The JavaScript SDK presigns without a content type, which the browser adds.
#[tokio::test]
async fn presigned_uploads_to_s3_may_have_any_content_type() {
    let settings = |service| settings(service).with_presigned_uploads(true);
    let list = VerifyServices::new([settings("s3"), settings("lambda")]).expect("distinct");
    let layer = layer(list);
    let upload = |service| {
        let mut request = Sdk {
            presigned: true,
            service,
            ..S3
        }
        .sign();
        let png = "image/png".parse().expect("a value");
        request.headers_mut().insert("content-type", png);
        request
    };
    assert!(verify(&layer, upload("s3")).await.is_ok());
    let (kind, ..) = verify(&layer, upload("lambda")).await.expect_err("off S3");
    assert_eq!(kind, Kind::HeaderNotSigned);

    let mut acl = upload("s3");
    let value = "public-read".parse().expect("a value");
    acl.headers_mut().insert("x-amz-acl", value);
    let (kind, status, body) = verify(&layer, acl).await.expect_err("not signed");
    assert_eq!(
        (kind, status),
        (Kind::HeaderNotSigned, StatusCode::FORBIDDEN)
    );
    assert!(
        body.contains("<Code>AccessDenied</Code>")
            && body.contains("<HeadersNotSigned>x-amz-acl</HeadersNotSigned>"),
        "{body}"
    );
}

/// S3 reads `+` in a path as a space. The inner service gets a path that has one reading.
#[tokio::test]
async fn a_plus_in_a_path_of_s3_is_a_space() {
    let path = |layer: &VerifyLayer, request: Request<Full<Bytes>>| {
        let inner = service_fn(async |request: Request<VerifiedBody<Full<Bytes>>>| {
            let mut response = Response::new(Full::<Bytes>::default());
            let target = request.uri().path_and_query().map(ToString::to_string);
            response.extensions_mut().insert(target);
            Ok::<_, Infallible>(response)
        });
        let service = layer.layer(inner);
        async move {
            let Ok(response) = service.oneshot(request).await;
            response
                .extensions()
                .get::<Option<String>>()
                .cloned()
                .flatten()
        }
    };
    let layer = layer(services());
    let sent_as = |target: &'static str, sent: &'static str| {
        let mut request = Sdk { target, ..S3 }.sign();
        *request.uri_mut() = sent.parse().expect("a URI");
        request
    };
    let spaces = path(&layer, sent_as("/bkt/a%20b?x=1%2B1", "/bkt/a+b?x=1%2B1")).await;
    assert_eq!(spaces.as_deref(), Some("/bkt/a%20b?x=1%2B1"));
    let plus = path(&layer, sent_as("/bkt/a%2Bb", "/bkt/a%2Bb")).await;
    assert_eq!(plus.as_deref(), Some("/bkt/a%2Bb"));
    assert_eq!(path(&layer, sent_as("/bkt/a%2Bb", "/bkt/a+b")).await, None);

    let mut request = Sdk {
        target: "/a+b",
        ..DYNAMODB
    }
    .sign();
    *request.uri_mut() = "/a+b".parse().expect("a URI");
    assert_eq!(path(&layer, request).await.as_deref(), Some("/a+b"));
}

/// Each kind of streaming payload is rejected by its own name.
#[tokio::test]
async fn streaming_payloads_are_rejected_by_their_names() {
    let explain = settings("s3").with_explain(true);
    let list = VerifyServices::new([explain, settings("transcribe").with_explain(true)]);
    let layer = layer(list.expect("distinct"));
    for (service, payload, problem) in [
        (
            "s3",
            "STREAMING-AWS4-HMAC-SHA256-EVENTS",
            "is a signed event stream, which cannot be verified",
        ),
        (
            "transcribe",
            "STREAMING-AWS4-HMAC-SHA256-EVENTS",
            "is a signed event stream, which cannot be verified",
        ),
        (
            "s3",
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
            "has chunks signed with SigV4a, which cannot be verified",
        ),
        (
            "transcribe",
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            "is accepted only by the S3 family, and not in presigned requests",
        ),
        ("s3", "STREAMING-NONSENSE", "is unknown"),
        (
            "s3",
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            "requires an x-amz-trailer that names exactly one checksum",
        ),
    ] {
        let header = vec![("x-amz-content-sha256", payload)];
        let sdk = Sdk {
            service,
            payload: Some(payload),
            headers: if service == "s3" {
                &[]
            } else {
                &*header.leak()
            },
            ..S3
        };
        let (kind, _, body) = verify(&layer, sdk.sign()).await.expect_err(payload);
        // The name is checked before the signature.
        assert!(
            matches!(kind, Kind::PayloadKind),
            "{payload}: {kind:?} {body}"
        );
        assert!(body.contains(payload) && body.contains(problem), "{body}");
    }
}

/// A response to HEAD has no body.
#[tokio::test]
async fn rejections_of_head_have_the_code_in_a_header() {
    let layer = layer(services());
    let inner = service_fn(async |_: Request<VerifiedBody<Full<Bytes>>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let request = Sdk {
        method: "HEAD",
        region: "ap-south-1",
        ..S3
    }
    .sign();
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let headers = response.headers();
    assert_eq!(headers["x-amz-error-code"], "AuthorizationHeaderMalformed");
    assert_eq!(headers["x-amz-bucket-region"], "us-east-1");
    assert_eq!(headers["x-amz-request-id"], "id-1");
    let body = response.into_body().collect().await.expect("a body");
    assert!(body.to_bytes().is_empty());
}
