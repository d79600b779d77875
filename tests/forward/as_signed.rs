//! Service and region that a client chooses by its signature.

#[cfg(feature = "sigv4a")]
mod region_sets;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header::AUTHORIZATION, request::Parts};
use http_body_util::Full;
use tower_sigv4::{
    Error, ErrorKind, Origin, SigningLayer, SigningSettings,
    origin::{
        AsSigned, OriginRule, OriginRules, PayloadMode, ResolveOrigin, SigningBehavior, UriOrigin,
    },
    sigv4::{Identity, PayloadHash, Signer, SigningParams},
};

use crate::common::{credentials, header, layer, now, send, settings};

const SERVER: &str = "http://localstack:4566";

/// Builds a request to this target that is signed for a service and region.
fn client(service: &str, region: &str, target: &str) -> Request<Full<Bytes>> {
    let settings = SigningSettings::new(service, region).expect("a scope");
    signed_with(&settings, target)
}

fn signed_with(settings: &SigningSettings, target: &str) -> Request<Full<Bytes>> {
    let mut head = head(target);
    let identity = Identity::new(credentials()).expect("valid");
    let params = SigningParams::new(settings, &identity, PayloadHash::EMPTY, now());
    Signer::new().sign(&mut head, &params).expect("signed");
    Request::from_parts(head, Full::default())
}

fn head(target: &str) -> Parts {
    let request = Request::post(target)
        .header("host", "gw.example.com")
        .body(());
    request.expect("a request").into_parts().0
}

fn origin(url: &str, service: &str) -> Origin {
    Origin::new(url, settings(service)).expect("an origin")
}

fn as_signed() -> AsSigned {
    AsSigned::new(origin(SERVER, "s3"))
        .with_services(["s3", "dynamodb", "sts"])
        .and_then(|target| target.with_regions(["us-east-1", "eu-*"]))
        .expect("lists")
}

/// Returns the scope that the outgoing request is signed for.
async fn scope(layer: &SigningLayer, request: Request<Full<Bytes>>) -> Result<String, Error> {
    let sent = send(layer, request).await?;
    let value = header(sent.headers(), "authorization");
    let start = value.find("/20150830/").expect("a scope") + "/20150830/".len();
    let end = value.find("/aws4_request").expect("a scope");
    Ok(value[start..end].to_owned())
}

#[tokio::test]
async fn requests_are_signed_for_the_scope_of_their_client() {
    let layer = layer(as_signed());
    for (service, region) in [
        ("s3", "us-east-1"),
        ("dynamodb", "us-east-1"),
        ("sts", "us-east-1"),
        ("dynamodb", "eu-west-1"),
        ("s3", "eu-central-2"),
        ("s3", "eu-central-2"),
    ] {
        let signed = scope(&layer, client(service, region, "/a")).await;
        let signed = signed.expect("sent");
        assert_eq!(signed, format!("{region}/{service}"));
    }
    let unsigned = Request::from_parts(head("/a"), Full::default());
    assert_eq!(scope(&layer, unsigned).await.expect("sent"), "us-east-1/s3");
}

#[tokio::test]
async fn presigned_requests_name_their_scope_too() {
    let settings = SigningSettings::new("dynamodb", "eu-west-1").expect("a scope");
    let identity = Identity::new(credentials()).expect("valid");
    let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, now());
    let mut head = head("/a");
    Signer::new()
        .presign(&mut head, &params, Duration::from_secs(60))
        .expect("presigned");
    let layer = layer(as_signed());
    let signed = scope(&layer, Request::from_parts(head, Full::default())).await;
    assert_eq!(signed.expect("sent"), "eu-west-1/dynamodb");
}

/// Errors name the scope and what is allowed. Nothing is sent.
#[tokio::test]
async fn scopes_outside_the_lists_are_rejected() {
    let layer = layer(as_signed());
    for (service, region, message) in [
        (
            "iam",
            "us-east-1",
            "the client signed for service \"iam\", which is not one of s3, dynamodb, sts; sign for one of these, or \
             add it by `AsSigned::with_services`",
        ),
        (
            "s3",
            "us-west-2",
            "the client signed for region \"us-west-2\", which is not one of us-east-1, eu-*; sign for one of these, \
             or add it by `AsSigned::with_regions`",
        ),
        (
            "S3",
            "us-east-1",
            "the client signed for service \"S3\", which is not one of s3, dynamodb, sts; sign for one of these, or \
             add it by `AsSigned::with_services`",
        ),
        (
            "s3",
            "us-east-10",
            "the client signed for region \"us-east-10\", which is not one of us-east-1, eu-*; sign for one of \
             these, or add it by `AsSigned::with_regions`",
        ),
    ] {
        let error = scope(&layer, client(service, region, "/a")).await;
        let error = error.expect_err(message);
        assert_eq!(error.kind(), ErrorKind::Scope, "{error}");
        assert_eq!(error.status(), StatusCode::FORBIDDEN, "{error}");
        assert_eq!(error.to_string(), message);
        let renamed =
            error.message_with(|setting| setting.ends_with("services").then_some("services"));
        assert_eq!(
            renamed.contains("`services`"),
            message.contains("services`")
        );
    }
}

/// A scope that is changed in any way is another allowed scope, or an error.
#[tokio::test]
async fn malformed_scopes_are_rejected() {
    let layer = layer(as_signed());
    let long = "s".repeat(100_000);
    for (from, to) in [
        ("us-east-1/s3/", "us-east-1/"),
        ("us-east-1/s3/", "/s3/"),
        ("us-east-1/s3/", "us-east-1//"),
        ("us-east-1/s3/", "us-east-1/s3/s3/"),
        ("us-east-1/s3/", "us-east-1/s3%2F/"),
        ("us-east-1/s3/", "eu-*/s3/"),
        ("us-east-1/s3/", "*/s3/"),
        ("us-east-1/s3/", "us-east-1,eu-west-1/s3/"),
        ("us-east-1/s3/", "us-east-1/s3 /"),
        ("us-east-1/s3/", "us-east-1/../"),
        ("us-east-1/s3/", &long),
        ("aws4_request", "aws4_requests"),
        ("aws4_request", ""),
        (
            "Credential=",
            "Credential=A/20150830/us-east-1/sts/aws4_request, Credential=",
        ),
        ("Credential=", "credential="),
    ] {
        let mut request = client("s3", "us-east-1", "/a");
        let value = header(request.headers(), "authorization").replacen(from, to, 1);
        request
            .headers_mut()
            .insert(AUTHORIZATION, value.parse().expect("a value"));
        let error = scope(&layer, request).await.expect_err(to);
        assert!(
            matches!(error.kind(), ErrorKind::Scope | ErrorKind::Request),
            "{to}: {error:?}"
        );
        assert!(error.to_string().len() < 400, "{error}");
    }
    let mut twice = client("s3", "us-east-1", "/a");
    let other = client("sts", "us-east-1", "/a").headers()["authorization"].clone();
    twice.headers_mut().append(AUTHORIZATION, other);
    let error = scope(&layer, twice).await.expect_err("two signatures");
    assert_eq!(error.kind(), ErrorKind::Request);
}

/// In the message: the client's side and the host's.
#[tokio::test]
async fn scopes_that_the_host_contradicts_are_rejected() {
    let target = AsSigned::new(origin("https://s3.us-east-1.amazonaws.com", "s3"))
        .with_services(["s3", "dynamodb"])
        .and_then(|target| target.with_regions(["us-east-1", "eu-west-1"]))
        .expect("lists");
    let layer = layer(target);
    assert!(scope(&layer, client("s3", "us-east-1", "/a")).await.is_ok());
    for (service, region) in [("s3", "eu-west-1"), ("dynamodb", "us-east-1")] {
        let error = scope(&layer, client(service, region, "/a")).await;
        let error = error.expect_err(region);
        assert_eq!(error.kind(), ErrorKind::Scope);
        assert_eq!(
            error.to_string(),
            format!(
                "the client signed for service {service:?} in region {region:?}, but host \
                 \"s3.us-east-1.amazonaws.com\" is that of service \"s3\" in region \"us-east-1\"; sign for the host"
            )
        );
    }
}

#[test]
fn lists_that_accept_nothing_are_errors() {
    let new = || AsSigned::new(origin("https://s3.us-east-1.amazonaws.com", "s3"));
    let none: [&str; 0] = [];
    for (result, message) in [
        (new().with_services(none), "the list of services is empty"),
        (new().with_regions(none), "the list of regions is empty"),
        (new().with_services(["s 3"]), "service \"s 3\""),
        (new().with_regions(["us-*-1"]), "region \"us-*-1\""),
        (new().with_regions([""]), "region \"\""),
        (
            new().with_services(["dynamodb"]),
            "is that of service \"s3\", and the list of services lacks it",
        ),
        (
            new().with_regions(["eu-*"]),
            "is that of region \"us-east-1\", and the list of regions lacks it",
        ),
    ] {
        let error = result.expect_err(message);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(message), "{error}");
    }
    assert!(new().with_regions(["*"]).is_ok());
}

/// Payload mode, wire form and prefix are those of the origin; the path is encoded as the client's service does.
#[tokio::test]
async fn everything_else_is_that_of_the_origin() {
    let target = AsSigned::new(
        origin("http://localstack:4566/p:q", "s3").with_payload(PayloadMode::Unsigned),
    )
    .with_services(["s3", "lambda"])
    .expect("a list");
    let layer = layer(target);
    for (service, path) in [("s3", "/p%3Aq/a%3Ab"), ("lambda", "/p%3Aq/a:b")] {
        let sent = send(&layer, client(service, "us-east-1", "/a:b")).await;
        let sent = sent.expect("sent");
        assert_eq!(sent.uri().path(), path, "{service}");
        assert_eq!(
            header(sent.headers(), "x-amz-content-sha256"),
            "UNSIGNED-PAYLOAD"
        );
    }
}

#[tokio::test]
async fn requests_that_keep_their_signature_keep_any_scope() {
    let passes = origin(SERVER, "s3").with_signing(SigningBehavior::NoOverride);
    let layer = layer(AsSigned::new(passes));
    assert_eq!(
        scope(&layer, client("iam", "eu-west-1", "/a"))
            .await
            .expect("sent"),
        "eu-west-1/iam"
    );
}

/// Each rule has its own lists.
#[tokio::test]
async fn rules_have_targets_that_sign_as_the_client_did() {
    let rules = OriginRules::new()
        .add_rule(
            OriginRule::path("/emulator")
                .expect("a path")
                .strip_prefix(),
            as_signed(),
        )
        .add_rule(OriginRule::any(), origin("https://s3.example.com", "s3"));
    let layer = layer(rules);
    for (service, target, expected) in [
        ("dynamodb", "/emulator/x", "us-east-1/dynamodb"),
        ("s3", "/emulator/x", "us-east-1/s3"),
        ("dynamodb", "/x", "us-east-1/s3"),
    ] {
        let request = client(service, "us-east-1", target);
        assert_eq!(scope(&layer, request).await.expect("sent"), expected);
    }
    // S3 folds no path, so that it would read another path than the rule, whatever the client signed for.
    for (service, target) in [
        ("s3", "/x/../emulator/y"),
        ("dynamodb", "/x/../emulator/y"),
        ("dynamodb", "/emulator/../x"),
    ] {
        let error = scope(&layer, client(service, "us-east-1", target)).await;
        assert_eq!(error.expect_err(target).kind(), ErrorKind::NoMatch);
    }
}

#[tokio::test]
async fn hosts_of_requests_must_agree_with_the_client() {
    let target = UriOrigin::as_signed(["s3", "dynamodb"], ["us-east-1", "eu-west-1"]);
    let aws = layer(target.clone().expect("lists"));
    let dynamodb = "https://dynamodb.us-east-1.amazonaws.com/";
    for (service, region, expected) in [
        ("dynamodb", "us-east-1", Ok("us-east-1/dynamodb")),
        ("dynamodb", "eu-west-1", Err(ErrorKind::Scope)),
        ("s3", "us-east-1", Err(ErrorKind::Scope)),
        ("iam", "us-east-1", Err(ErrorKind::Scope)),
    ] {
        let signed = scope(&aws, client(service, region, dynamodb)).await;
        let signed = signed.as_deref().map_err(Error::kind);
        assert_eq!(signed, expected, "{service} {region}");
    }
    let unsigned = Request::from_parts(head(dynamodb), Full::default());
    let signed = scope(&aws, unsigned).await.expect("sent");
    assert_eq!(signed, "us-east-1/dynamodb");
    let elsewhere = client("s3", "us-east-1", "https://s3.example.com/");
    let error = scope(&aws, elsewhere).await.expect_err("not of AWS");
    assert_eq!(error.kind(), ErrorKind::Request);

    let listed = target
        .and_then(|target| target.with_hosts(["*.example.com"]))
        .expect("lists");
    let listed = layer(listed);
    let custom = client("s3", "eu-west-1", "https://s3.example.com/");
    let signed = scope(&listed, custom).await.expect("sent");
    assert_eq!(signed, "eu-west-1/s3");
    let unsigned = Request::from_parts(head("https://s3.example.com/"), Full::default());
    let error = scope(&listed, unsigned).await.expect_err("no scope");
    assert_eq!(error.kind(), ErrorKind::Request);
}

#[tokio::test]
async fn the_host_header_can_name_the_host() {
    let target = UriOrigin::infer().with_host_header(http::uri::Scheme::HTTPS);
    let layer = layer(target);
    let get = |host: &str| {
        let request = Request::get("/key")
            .header("host", host)
            .body(Full::default());
        request.expect("a request")
    };
    let sent = send(&layer, get("sqs.eu-west-1.amazonaws.com")).await;
    assert_eq!(
        sent.expect("sent").uri().to_string(),
        "https://sqs.eu-west-1.amazonaws.com/key"
    );
    for host in [
        "sqs.example.com",
        "",
        "user@sqs.eu-west-1.amazonaws.com",
        "a b",
    ] {
        let error = send(&layer, get(host)).await.expect_err(host);
        assert_eq!(error.kind(), ErrorKind::Request, "{host}");
    }
}

/// The common case reads a table.
#[test]
fn origins_of_listed_regions_are_created_once() {
    let target = as_signed();
    let (head, _) = client("dynamodb", "us-east-1", "/a").into_parts();
    let (pattern, _) = client("dynamodb", "eu-west-1", "/a").into_parts();
    for parts in [&head, &pattern] {
        let _ = target.resolve(parts).expect("allowed");
        let allocations = allocation_counter::measure(|| {
            let resolved = target.resolve(parts).expect("allowed");
            assert_eq!(resolved.settings().service(), "dynamodb");
        });
        assert_eq!(allocations.count_total, 0);
    }
}
