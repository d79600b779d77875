//! Several services in one verifier, each with its own rules. The signer is aws-sigv4, which the SDK for Rust uses.

use std::{convert::Infallible, time::Duration};

use aws_sigv4::{
    http_request::{
        self as aws, PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest,
        SignatureLocation, UriPathNormalizationMode,
    },
    sign::v4,
};
use aws_smithy_runtime_api::client::identity::Identity as SmithyIdentity;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, Error, ErrorKind, Origin, SigningLayer, VerifyLayer,
    body::{SignedBody, VerifiedBody},
    origin::{OriginRule, OriginRules},
    verify::{
        BodyCheck, PayloadKind, RejectionKind as Kind, StaticKeys, Verified, VerifyServices,
        VerifySettings,
    },
};

use crate::common::{credentials, now, settings as signing_settings};

fn settings(service: &str) -> VerifySettings {
    VerifySettings::new(service, "us-east-1").expect("a scope")
}

/// S3 streams and accepts unsigned bodies in two regions; the others collect.
fn services() -> VerifyServices {
    let s3 = settings("s3")
        .add_region("eu-west-1")
        .expect("a region")
        .with_unsigned_payload(true)
        .with_body_check(BodyCheck::Streamed);
    VerifyServices::new([s3, settings("dynamodb"), settings("sts")]).expect("distinct")
}

fn layer(services: impl Into<VerifyServices>) -> VerifyLayer {
    VerifyLayer::new(StaticKeys::new([credentials()]).expect("valid"), services)
        .with_clock(Clock::manual(now()))
}

/// A request that an SDK sends.
#[derive(Clone, Copy)]
struct Sdk {
    service: &'static str,
    region: &'static str,
    method: &'static str,
    target: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    payload: Option<&'static str>,
    presigned: bool,
}

const S3: Sdk = Sdk {
    service: "s3",
    region: "us-east-1",
    method: "PUT",
    target: "/bkt/k",
    headers: &[],
    body: "an object",
    payload: None,
    presigned: false,
};

const DYNAMODB: Sdk = Sdk {
    service: "dynamodb",
    method: "POST",
    target: "/",
    headers: &[
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amz-target", "DynamoDB_20120810.GetItem"),
    ],
    body: r#"{"TableName":"t"}"#,
    ..S3
};

const STS: Sdk = Sdk {
    service: "sts",
    headers: &[("content-type", "application/x-www-form-urlencoded")],
    body: "Action=GetCallerIdentity&Version=2011-06-15",
    ..DYNAMODB
};

impl Sdk {
    fn sign(self) -> Request<Full<Bytes>> {
        let is_s3 = self.service == "s3";
        let mut settings = aws::SigningSettings::default();
        if is_s3 {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        if is_s3 && !self.presigned {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        if self.presigned {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = Some(Duration::from_secs(60));
        }
        let identity = SmithyIdentity::new(credentials(), None);
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(now())
            .settings(settings)
            .build()
            .expect("complete")
            .into();
        let uri = format!("http://gw.example.com{}", self.target);
        let body = match self.payload {
            Some(payload) => SignableBody::Precomputed(payload.to_owned()),
            None if self.presigned => SignableBody::UnsignedPayload,
            None => SignableBody::Bytes(self.body.as_bytes()),
        };
        let headers = self.headers.iter().copied();
        let signable = SignableRequest::new(self.method, &uri, headers, body).expect("signable");
        let (instructions, _) = aws::sign(signable, &params).expect("signed").into_parts();
        let mut request = Request::builder().method(self.method).uri(uri);
        for (name, value) in self.headers {
            request = request.header(*name, *value);
        }
        let mut signed = request
            .header("host", "gw.example.com")
            .header("x-request-id", "id-1")
            .body(Full::from(self.body))
            .expect("a request");
        instructions.apply_to_request_http1x(&mut signed);
        signed
    }
}

/// Returns service, region and coverage of an accepted request, with its body.
async fn verify(
    layer: &VerifyLayer,
    request: Request<Full<Bytes>>,
) -> Result<(String, PayloadKind, Bytes), (Kind, StatusCode, String)> {
    let inner = service_fn(async |request: Request<VerifiedBody<Full<Bytes>>>| {
        let verified = request
            .extensions()
            .get::<Verified>()
            .expect("a proof")
            .clone();
        let bytes = request
            .into_body()
            .collect()
            .await
            .expect("right")
            .to_bytes();
        let mut response = Response::new(Full::<Bytes>::default());
        response.extensions_mut().insert((verified, bytes));
        Ok::<_, Infallible>(response)
    });
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    let (head, body) = response.into_parts();
    if let Some((verified, bytes)) = head.extensions.get::<(Verified, Bytes)>() {
        let scope = format!("{}/{}", verified.region(), verified.service());
        return Ok((scope, verified.payload(), bytes.clone()));
    }
    let kind = *head.extensions.get::<Kind>().expect("a rejection");
    let text = body.collect().await.expect("a body").to_bytes();
    let text = String::from_utf8(text.to_vec()).expect("UTF-8");
    Err((kind, head.status, text))
}

#[tokio::test]
async fn each_request_is_verified_by_the_rules_of_its_service() {
    let layer = layer(services());
    let unsigned = "UNSIGNED-PAYLOAD";
    for (sdk, scope, payload) in [
        (S3, "us-east-1/s3", PayloadKind::Signed),
        (
            Sdk {
                region: "eu-west-1",
                ..S3
            },
            "eu-west-1/s3",
            PayloadKind::Signed,
        ),
        (
            Sdk {
                payload: Some(unsigned),
                ..S3
            },
            "us-east-1/s3",
            PayloadKind::Unsigned,
        ),
        (
            Sdk {
                presigned: true,
                ..S3
            },
            "us-east-1/s3",
            PayloadKind::Unsigned,
        ),
        (
            Sdk {
                target: "/bkt/a//b",
                ..S3
            },
            "us-east-1/s3",
            PayloadKind::Signed,
        ),
        (DYNAMODB, "us-east-1/dynamodb", PayloadKind::Signed),
        (STS, "us-east-1/sts", PayloadKind::Signed),
    ] {
        let accepted = verify(&layer, sdk.sign()).await.expect(scope);
        assert_eq!(accepted, (scope.to_owned(), payload, sdk.body.into()));
    }
}

/// The streamed mode is one for every service: without a hash in the headers the body is collected.
#[tokio::test]
async fn every_service_passes_in_streamed_mode() {
    let list = [
        "s3",
        "dynamodb",
        "sqs",
        "sns",
        "sts",
        "iam",
        "execute-api",
        "lambda",
    ];
    let layer = layer(VerifyServices::new(list.map(settings)).expect("distinct"))
        .with_body_check(BodyCheck::Streamed);
    for service in list {
        let base = if service == "s3" { S3 } else { STS };
        let (_, _, body) = verify(&layer, Sdk { service, ..base }.sign())
            .await
            .expect(service);
        assert_eq!(body, base.body);
    }
}

#[tokio::test]
async fn rules_of_one_service_do_not_apply_to_another() {
    let layer = layer(services());
    let unsigned = Some("UNSIGNED-PAYLOAD");
    for (sdk, kind) in [
        // Only S3 accepts unsigned bodies, the second region, and paths with empty segments.
        (
            Sdk {
                payload: unsigned,
                headers: &[("x-amz-content-sha256", "UNSIGNED-PAYLOAD")],
                ..DYNAMODB
            },
            Kind::PayloadKind,
        ),
        (
            Sdk {
                region: "eu-west-1",
                ..DYNAMODB
            },
            Kind::Scope,
        ),
        (
            Sdk {
                region: "us-west-2",
                ..S3
            },
            Kind::Scope,
        ),
        (
            Sdk {
                target: "/a//b",
                ..DYNAMODB
            },
            Kind::Target,
        ),
        (
            Sdk {
                service: "iam",
                ..STS
            },
            Kind::Scope,
        ),
        (
            Sdk {
                service: "dynamodb2",
                ..DYNAMODB
            },
            Kind::Scope,
        ),
    ] {
        let shown = format!("{} {} {}", sdk.service, sdk.region, sdk.target);
        let (found, ..) = verify(&layer, sdk.sign()).await.expect_err(&shown);
        assert_eq!(found, kind, "{shown}");
    }
}

/// The service and the region are part of the signature: another name in the scope makes it invalid.
#[tokio::test]
async fn changed_scopes_are_rejected() {
    let layer = layer(services());
    for (from, to, kind) in [
        ("/s3/", "/dynamodb/", Kind::SignatureMismatch),
        ("/s3/", "/sts/", Kind::SignatureMismatch),
        ("/us-east-1/", "/eu-west-1/", Kind::SignatureMismatch),
        ("/us-east-1/", "/us-west-2/", Kind::Scope),
        ("/s3/", "/S3/", Kind::Scope),
        ("/s3/", "/s3 /", Kind::Scope),
        ("/s3/", "//", Kind::Scope),
        ("/s3/", "/s3/s3/", Kind::Malformed),
        ("/us-east-1/s3/", "/s3/us-east-1/", Kind::Scope),
        ("/us-east-1/s3/", "/s3/", Kind::Malformed),
        ("/us-east-1/", "//", Kind::Scope),
        ("/us-east-1/", "/*/", Kind::Scope),
        ("/aws4_request", "/aws4_request2", Kind::Scope),
        (
            "Credential=",
            "Credential=AKIDEXAMPLE/20150830/us-east-1/sts/aws4_request, Credential=",
            Kind::Malformed,
        ),
    ] {
        let mut request = S3.sign();
        let value = request.headers()["authorization"].to_str().expect("ASCII");
        let changed = value.replacen(from, to, 1);
        request
            .headers_mut()
            .insert(AUTHORIZATION, changed.parse().expect("a value"));
        let (found, ..) = verify(&layer, request).await.expect_err(to);
        assert_eq!(found, kind, "{from} {to}");
    }
}

/// Each client can read the rejection, and S3's learns the region.
#[tokio::test]
async fn rejections_are_in_the_format_of_the_client() {
    let layer = layer(services());
    let elsewhere = |sdk: Sdk| {
        Sdk {
            region: "ap-south-1",
            ..sdk
        }
        .sign()
    };
    let (_, status, body) = verify(&layer, elsewhere(S3)).await.expect_err("elsewhere");
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(
        body,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AuthorizationHeaderMalformed</Code>\
         <Message>The authorization header is malformed; the region 'ap-south-1' is wrong; expecting 'us-east-1'\
         </Message><Region>us-east-1</Region><RequestId>id-1</RequestId><HostId>tower-sigv4</HostId></Error>"
    );
    let (_, status, body) = verify(&layer, elsewhere(DYNAMODB))
        .await
        .expect_err("elsewhere");
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(
        body,
        r#"{"__type":"InvalidSignatureException","message":"Credential should be scoped to a valid day, region and service."}"#
    );
    let (_, status, body) = verify(&layer, elsewhere(STS)).await.expect_err("elsewhere");
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(
        body,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ErrorResponse><Error><Type>Sender</Type>\
         <Code>SignatureDoesNotMatch</Code><Message>Credential should be scoped to a valid day, region and service.\
         </Message></Error><RequestId>id-1</RequestId></ErrorResponse>"
    );
}

#[test]
fn lists_without_a_clear_choice_are_errors() {
    let error = VerifyServices::new([]).expect_err("empty");
    assert_eq!(error.kind(), ErrorKind::Config);
    let twice = VerifyServices::new([
        settings("s3").add_service("s3express").expect("alike"),
        settings("s3express"),
    ]);
    let error = twice.expect_err("twice");
    assert!(
        error
            .to_string()
            .contains("\"s3express\" has settings twice"),
        "{error}"
    );
    let error = settings("s3")
        .add_service("dynamodb")
        .expect_err("other rules");
    assert!(
        error.to_string().contains("`VerifyServices::new`"),
        "{error}"
    );
}

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
