//! Limits of a rule on `x-amz-*` headers and query parameters.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tower_sigv4::{
    ErrorKind, Origin,
    origin::{OriginRule, OriginRules, ResolveOrigin, SigningBehavior},
};

use crate::common::{header, layer, send, settings};

const BUCKET: &str = "https://files.s3.us-east-1.amazonaws.com";

fn bucket() -> Origin {
    Origin::new(BUCKET, settings("s3")).expect("an origin")
}

fn public() -> OriginRule {
    OriginRule::path("/public").expect("a path")
}

fn limited() -> OriginRule {
    let headers = ["x-amz-meta-*", "X-Amz-Storage-Class"];
    public()
        .with_amz_headers(headers)
        .expect("patterns")
        .with_query_parameters(["versionId", "partNumber", "response-content-type"])
}

fn put(target: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::put(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::from("mine")).expect("a request")
}

/// A rule matches the path, but the header and the subresource select the operation of S3.
#[tokio::test]
async fn rules_without_limits_sign_a_copy_of_another_object() {
    let attack = [
        ("x-amz-copy-source", "/payroll/2026.csv"),
        ("x-amz-acl", "public-read"),
    ];
    let rules = OriginRules::new().add_rule(public(), bucket());
    let sent = send(&layer(rules), put("/public/mine?acl", &attack))
        .await
        .expect("sent");
    assert_eq!(
        header(sent.headers(), "x-amz-copy-source"),
        "/payroll/2026.csv"
    );
    assert!(header(sent.headers(), "authorization").contains("x-amz-copy-source"));

    let rules = OriginRules::new().add_rule(limited(), bucket());
    let layer = layer(rules);
    for (target, headers) in [
        ("/public/mine?acl", &attack[..]),
        ("/public/mine", &attack[..1]),
        ("/public/mine", &attack[1..]),
        ("/public/mine?acl", &[]),
    ] {
        let error = send(&layer, put(target, headers)).await.expect_err(target);
        assert_eq!(error.kind(), ErrorKind::Forbidden, "{target} {headers:?}");
        assert_eq!(error.status(), StatusCode::FORBIDDEN);
        let named = headers.first().map_or("acl", |(name, _)| *name);
        assert!(error.to_string().contains(&format!("{named:?}")), "{error}");
        assert!(!error.to_string().contains("payroll"), "{error}");
    }
}

#[tokio::test]
async fn names_are_compared_as_servers_may_read_them() {
    let layer = layer(OriginRules::new().add_rule(limited(), bucket()));
    for (target, name, passes) in [
        ("/public/a", "x-amz-meta-a", true),
        ("/public/a", "x-amz-storage-class", true),
        ("/public/a", "content-type", true),
        ("/public/a", "x-amzn-trace-id", true),
        ("/public/a", "x-amz-meta", false),
        ("/public/a", "x-amz-storage-class-a", false),
        ("/public/a", "x-amz-grant-read", false),
        ("/public/a", "x_amz_acl", false),
        ("/public/a", "x-amz_acl", false),
        ("/public/a", "x_amz-copy-source", false),
        // Unlike headers of that spelling, these are not removed before signing.
        ("/public/a", "x_amz_date", false),
        // The layer replaces the client's own signature.
        ("/public/a", "authorization", true),
        ("/public/a", "x-amz-date", true),
        ("/public/a", "x-amz-security-token", true),
        ("/public/a", "x-amz-s3session-token", true),
        ("/public/a?versionId=1&partNumber=2", "accept", true),
        ("/public/a?version%49d=1", "accept", true),
        ("/public/a?response-content-type=a%3Bacl", "accept", true),
        ("/public/a?&&", "accept", true),
        (
            "/public/a?X-Amz-Signature=s&x-amz-date=20150830T123600Z&X-Amz-Expires=60&X%2DAmz-Credential=c",
            "accept",
            true,
        ),
        ("/public/a?versionid=1", "accept", false),
        ("/public/a?acl", "accept", false),
        ("/public/a?acl=", "accept", false),
        ("/public/a?%61cl", "accept", false),
        ("/public/a?a%63%6c=1", "accept", false),
        ("/public/a?versionId=1&acl", "accept", false),
        ("/public/a?versionId=1;acl", "accept", false),
        ("/public/a?+acl", "accept", false),
        ("/public/a?acl%00", "accept", false),
        ("/public/a?%ff", "accept", false),
        ("/public/a?=1", "accept", false),
        ("/public/a?x-amz-acl=public-read", "accept", false),
        ("/public/a?x-amz-meta-a=1", "accept", false),
        ("/public/a?policy", "accept", false),
        ("/public/a?tagging", "accept", false),
        ("/public/a?uploads", "accept", false),
        ("/public/a?list-type=2", "accept", false),
    ] {
        let result = send(&layer, put(target, &[(name, "1")])).await;
        let kind = result.as_ref().err().map(tower_sigv4::Error::kind);
        assert_eq!(
            kind,
            (!passes).then_some(ErrorKind::Forbidden),
            "{target} {name}"
        );
    }
}

/// S3 reads an `x-amz-*` parameter as the header of that name.
#[tokio::test]
async fn header_limits_apply_to_parameters_of_the_same_name() {
    let rule = public()
        .with_amz_headers(["x-amz-meta-*"])
        .expect("a pattern");
    let layer = layer(OriginRules::new().add_rule(rule, bucket()));
    for (query, passes) in [
        ("versionId=1", true),
        ("acl", true),
        ("x-amz-meta-a=1", true),
        ("x-amz-acl=public-read", false),
        ("X-Amz-Acl=public-read", false),
        ("x_amz_acl=public-read", false),
        ("%78-amz%2Dacl=public-read", false),
        ("x-amz-copy-source=%2Fpayroll%2F2026.csv", false),
        ("a=1;x-amz-acl=public-read", false),
        ("%20x-amz-acl=public-read", false),
        ("x-amz-acl%3Dpublic-read", false),
    ] {
        let result = send(&layer, put(&format!("/public/a?{query}"), &[])).await;
        let kind = result.as_ref().err().map(tower_sigv4::Error::kind);
        assert_eq!(kind, (!passes).then_some(ErrorKind::Forbidden), "{query}");
    }
}

/// OpenStack Swift and others copy an object that such a header names.
#[test]
fn header_limits_apply_to_headers_of_other_vendors_before_s3() {
    let api = Origin::new("https://api.example.com", settings("execute-api")).expect("an origin");
    let patterns = ["x-object-meta-*", "x-amz-meta-*"];
    let rule = || public().with_amz_headers(patterns).expect("patterns");
    let s3 = OriginRules::new().add_rule(rule(), bucket());
    let other = OriginRules::new().add_rule(rule(), api);
    let is_allowed = |rules: &OriginRules, target: &str, name: &str| {
        let (head, _) = put(target, &[(name, "/payroll/2026.csv")]).into_parts();
        rules.resolve(&head).is_ok()
    };
    for (target, name, passes) in [
        ("/public/a", "x-object-meta-a", true),
        ("/public/a", "x-object-manifest", false),
        ("/public/a", "x-copy-from", false),
        ("/public/a", "x_copy_from", false),
        ("/public/a", "x-goog-copy-source", false),
        ("/public/a", "x-container-read", false),
        ("/public/a?x-oss-process=image", "accept", false),
    ] {
        assert_eq!(is_allowed(&s3, target, name), passes, "{target} {name}");
        assert!(is_allowed(&other, target, name), "{target} {name}");
    }
}

#[test]
fn an_empty_list_allows_nothing() {
    let rule = public().with_amz_headers([""; 0]).expect("no pattern");
    let rules = OriginRules::new().add_rule(rule.with_query_parameters([""; 0]), bucket());
    let resolve = |request: Request<Full<Bytes>>| rules.resolve(&request.into_parts().0).is_ok();
    assert!(resolve(put(
        "/public/a",
        &[("x-amz-date", "d"), ("accept", "a")]
    )));
    assert!(!resolve(put("/public/a?versionId=1", &[])));
    assert!(!resolve(put("/public/a", &[("x-amz-meta-a", "1")])));
}

/// A limit is not a condition, so a later rule does not match the request.
#[tokio::test]
async fn rejected_requests_do_not_reach_the_next_rule() {
    let rules = OriginRules::new()
        .add_rule(limited(), bucket())
        .add_rule(OriginRule::any(), bucket());
    assert_eq!(
        rules
            .position(&put("/public/a?acl", &[]).into_parts().0)
            .ok(),
        Some(0)
    );
    let layer = layer(rules);
    let error = send(&layer, put("/public/a?acl", &[]))
        .await
        .expect_err("limited");
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert!(send(&layer, put("/other?acl", &[])).await.is_ok());
}

#[tokio::test]
async fn limits_apply_to_requests_that_are_not_signed() {
    for behavior in [SigningBehavior::NoOverride, SigningBehavior::Never] {
        let origin = bucket().with_signing(behavior);
        let layer = layer(OriginRules::new().add_rule(limited(), origin));
        let client_signature = [
            ("authorization", "AWS4-HMAC-SHA256 Credential=own"),
            ("x-amz-date", "d"),
        ];
        assert!(
            send(&layer, put("/public/a?versionId=1", &client_signature))
                .await
                .is_ok()
        );
        let attack = [client_signature[0], ("x-amz-acl", "public-read")];
        let error = send(&layer, put("/public/a", &attack))
            .await
            .expect_err("limited");
        assert_eq!(error.kind(), ErrorKind::Forbidden);
    }
}

#[test]
fn errors_show_only_the_beginning_of_a_name() {
    let rules = OriginRules::new().add_rule(limited(), bucket());
    let target = format!(
        "/public/a?{}%0A=secret",
        "é".repeat(100).replace('é', "%C3%A9")
    );
    let error = rules
        .resolve(&put(&target, &[]).into_parts().0)
        .expect_err("limited");
    let text = error.to_string();
    assert!(text.contains(&format!("{:?}", "é".repeat(64))), "{text}");
    assert!(!text.contains("secret") && !text.contains('\n'), "{text}");
}
