//! Choice of a service and of its rules.

use super::*;

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
