use std::time::Duration;

use http::{HeaderName, Method, request::Parts};

use super::*;
use crate::{
    SigningSettings,
    origin::PayloadMode,
    sigv4::{AllExcept, ChunkSize, PathForm, SessionToken},
};

fn settings(service: &str) -> SigningSettings {
    SigningSettings::new(service, "us-east-1").expect("valid")
}

fn at(url: &str, settings: SigningSettings) -> Origin {
    Origin::new(url, settings).expect(url)
}

/// An origin whose host does not belong to AWS.
fn custom(settings: SigningSettings) -> Origin {
    at("https://example.com", settings)
}

fn signed_host(url: &str, host: &str) -> Origin {
    at(url, settings("execute-api"))
        .with_signed_host(host)
        .expect(host)
}

fn presigned(settings: SigningSettings) -> Origin {
    custom(settings)
        .with_query_signature(Duration::from_secs(60))
        .expect("valid")
}

fn rules(origin: &Origin, client: &HttpClient) -> Vec<LintRule> {
    lint(origin, client).iter().map(Finding::rule).collect()
}

#[test]
fn client_settings_are_checked_against_the_origin() {
    let same = custom(settings("execute-api"));
    let other = signed_host("https://127.0.0.1:9000", "api.example.com");
    let new = HttpClient::new;
    for (origin, client, rule) in [
        (&other, new().with_http2(true), Some(LintRule::Http2Host)),
        (&other, new(), None),
        (&same, new().with_http2(true), None),
        (&same, new().with_redirects(true), Some(LintRule::Redirects)),
        (&same, new().with_retries(true), Some(LintRule::Retries)),
        (&same, new(), None),
    ] {
        assert_eq!(
            rules(origin, &client),
            Vec::from_iter(rule),
            "{origin:?} {client:?}"
        );
    }
}

#[test]
fn urls_and_signed_hosts_are_checked() {
    let api = "abc.execute-api.us-east-1.amazonaws.com";
    for (origin, rule) in [
        (
            at(&format!("http://{api}"), settings("execute-api")),
            Some(LintRule::PlainHttp),
        ),
        (
            signed_host(&format!("http://{api}"), "example.com"),
            Some(LintRule::PlainHttp),
        ),
        (signed_host("http://127.0.0.1:9000", api), None),
        (at("http://[::1]:9000", settings("execute-api")), None),
        (at(&format!("https://{api}"), settings("execute-api")), None),
        (
            signed_host("https://127.0.0.1", "a.com:443"),
            Some(LintRule::DefaultPort),
        ),
        (
            signed_host("http://127.0.0.1:9000", "a.com:80"),
            Some(LintRule::DefaultPort),
        ),
        (
            signed_host("http://127.0.0.1:9000", "a.com:443"),
            Some(LintRule::DefaultPort),
        ),
        (signed_host("https://127.0.0.1:9000", "a.com:9000"), None),
        (signed_host("http://127.0.0.1:443", "a.com:443"), None),
        (at("http://a.com:443", settings("execute-api")), None),
    ] {
        assert_eq!(
            rules(&origin, &HttpClient::new()),
            Vec::from_iter(rule),
            "{origin:?}"
        );
    }
}

#[test]
fn scope_is_compared_with_the_signed_host() {
    for (host, service, region, expected) in [
        (
            "abc.execute-api.us-east-1.amazonaws.com",
            "execute-api",
            "us-east-1",
            None,
        ),
        (
            "ABC.execute-api.us-east-1.amazonaws.com:8443",
            "execute-api",
            "us-east-1",
            None,
        ),
        ("example.com", "execute-api", "eu-west-1", None),
        ("new.us-east-1.amazonaws.com", "new", "eu-west-1", None),
        (
            "abc.us-east-1.es.amazonaws.com",
            "aoss",
            "us-east-1",
            Some(r#""es" in "us-east-1""#),
        ),
        (
            "b.s3.eu-west-1.amazonaws.com",
            "s3",
            "us-east-1",
            Some(r#""s3" in "eu-west-1""#),
        ),
        (
            "b.s3-eu-west-1.amazonaws.com",
            "s3",
            "us-east-1",
            Some(r#""s3" in "eu-west-1""#),
        ),
        ("b.s3.amazonaws.com", "s3", "eu-west-1", None),
        (
            "b.s3.amazonaws.com",
            "s3tables",
            "us-east-1",
            Some(r#""s3" in "us-east-1""#),
        ),
        (
            "iam.amazonaws.com",
            "iam",
            "eu-west-1",
            Some(r#""iam" in "us-east-1""#),
        ),
        (
            "a1.iot.us-east-1.amazonaws.com",
            "iotdata",
            "us-east-1",
            None,
        ),
        (
            "a1.iot.us-east-1.amazonaws.com",
            "iotdevicegateway",
            "us-east-1",
            None,
        ),
        (
            "a1.iot.us-east-1.amazonaws.com",
            "iot",
            "us-east-1",
            Some("iotdata or iotdevicegateway"),
        ),
        ("b.s3-accelerate.amazonaws.com", "s3", "eu-west-1", None),
        (
            "b.s3-accelerate.amazonaws.com",
            "s3express",
            "eu-west-1",
            Some(r#""s3""#),
        ),
        (
            "a.endpoint.events.amazonaws.com",
            "events",
            "us-east-1",
            Some("\"events\" in several regions"),
        ),
    ] {
        let settings = SigningSettings::new(service, region).expect("valid");
        let origin = at("https://127.0.0.1", settings)
            .with_signed_host(host)
            .expect(host);
        let found = lint(&origin, &HttpClient::new());
        assert_eq!(
            found.len(),
            expected.iter().count(),
            "{host} {service} {region}: {found:?}"
        );
        if let (Some(found), Some(expected)) = (found.first(), expected) {
            assert_eq!(found.rule(), LintRule::Scope);
            assert!(
                found.to_string().contains(&format!(" expects {expected}")),
                "{found}"
            );
        }
    }
}

#[test]
fn hosts_that_verify_no_signature_are_found() {
    for (host, service, expected) in [
        (
            "123456789012.dkr.ecr.us-west-2.amazonaws.com",
            "ecr",
            Some("is a registry"),
        ),
        (
            "DB.X.us-east-1.rds.amazonaws.com:5432",
            "rds",
            Some("create one with `token::rds`"),
        ),
        (
            "public.ecr.aws",
            "ecr-public",
            Some("is the public registry"),
        ),
        (
            "a.auth.us-east-1.amazoncognito.com",
            "cognito-idp",
            Some("is a login page"),
        ),
        ("rds.us-east-1.amazonaws.com", "rds", None),
        // A server behind these may verify signatures.
        ("a.us-east-1.elb.amazonaws.com", "execute-api", None),
        ("ec2-1-2-3-4.compute-1.amazonaws.com", "execute-api", None),
        ("d111111abcdef8.cloudfront.net", "execute-api", None),
    ] {
        let origin = at("https://127.0.0.1", settings(service))
            .with_signed_host(host)
            .expect(host);
        let found = lint(&origin, &HttpClient::new());
        assert_eq!(found.len(), expected.iter().count(), "{host}: {found:?}");
        if let (Some(found), Some(expected)) = (found.first(), expected) {
            assert_eq!(found.rule(), LintRule::UnsignedHost);
            assert!(found.to_string().contains(expected), "{found}");
        }
    }
}

#[cfg(feature = "sigv4a")]
#[test]
fn region_set_may_cover_the_region_of_the_host() {
    for (host, service, set, found) in [
        ("a.endpoint.events.amazonaws.com", "events", "us-*", false),
        ("a.endpoint.events.amazonaws.com", "s3", "us-*", true),
        (
            "b.s3.eu-west-1.amazonaws.com",
            "s3",
            "us-east-1,eu-*",
            false,
        ),
        ("b.s3.eu-west-1.amazonaws.com", "s3", "us-east-1,us-*", true),
    ] {
        let set = crate::sigv4::RegionSet::new(set).expect("valid");
        let settings = SigningSettings::multi_region(service, set).expect("valid");
        let found = Vec::from_iter(found.then_some(LintRule::Scope));
        let origin = at(&format!("https://{host}"), settings);
        assert_eq!(rules(&origin, &HttpClient::new()), found, "{origin:?}");
    }
}

#[test]
fn settings_are_compared_with_the_service_rules() {
    use SessionToken::{S3Session, Signed, Unsigned};

    let iot = || settings("iotdevicegateway");
    let only_mine = |name: &HeaderName| name == "x-tenant";
    let without_length = AllExcept::default().add_header(http::header::CONTENT_LENGTH);
    let hashless = |service: &str| settings(service).with_payload_header(false);
    for (origin, rule) in [
        (presigned(iot()), None),
        (
            presigned(iot().with_session_token(Signed)),
            Some(LintRule::SessionToken),
        ),
        (
            custom(iot().with_session_token(Signed)),
            Some(LintRule::SessionToken),
        ),
        (
            presigned(settings("s3").with_session_token(Unsigned)),
            Some(LintRule::SessionToken),
        ),
        (
            custom(settings("es").with_session_token(Unsigned)),
            Some(LintRule::SessionToken),
        ),
        (custom(settings("es").with_session_token(Signed)), None),
        (custom(settings("s3express")), None),
        (
            custom(settings("s3express").with_session_token(Signed)),
            None,
        ),
        (
            custom(settings("s3express").with_session_token(Unsigned)),
            Some(LintRule::SessionToken),
        ),
        (
            custom(settings("s3").with_session_token(S3Session)),
            Some(LintRule::SessionToken),
        ),
        (custom(hashless("s3")), Some(LintRule::PayloadHeader)),
        (custom(hashless("aoss")), Some(LintRule::PayloadHeader)),
        (
            custom(hashless("vpc-lattice-svcs")),
            Some(LintRule::PayloadHeader),
        ),
        (custom(hashless("es")), None),
        (presigned(hashless("s3")), None),
        (
            custom(settings("s3").with_path_form(PathForm::Twice)),
            Some(LintRule::PathForm),
        ),
        (
            custom(settings("es").with_path_form(PathForm::Once)),
            Some(LintRule::PathForm),
        ),
        (custom(settings("s3").with_path_form(PathForm::Once)), None),
        (
            custom(settings("aoss").with_signed_headers(AllExcept::default())),
            Some(LintRule::SignedHeaders),
        ),
        (
            custom(settings("aoss").with_signed_headers(without_length)),
            None,
        ),
        (
            custom(settings("es").with_signed_headers(AllExcept::default())),
            None,
        ),
        (
            custom(settings("s3").with_signed_headers(only_mine)),
            Some(LintRule::SignedHeaders),
        ),
        (
            custom(settings("s3").with_signed_headers(AllExcept::default())),
            None,
        ),
    ] {
        assert_eq!(
            rules(&origin, &HttpClient::new()),
            Vec::from_iter(rule),
            "{origin:?}"
        );
    }
}

#[test]
fn payload_policies_are_evaluated() {
    let chunked = PayloadMode::Chunked(ChunkSize::default());
    for (service, mode, rule) in [
        (
            "execute-api",
            PayloadMode::Unsigned,
            Some(LintRule::UnsignedPayload),
        ),
        ("execute-api", PayloadMode::Buffer, None),
        ("execute-api", PayloadMode::Auto, None),
        ("execute-api", PayloadMode::Trust, None),
        ("execute-api", chunked, Some(LintRule::PayloadMode)),
        (
            "execute-api",
            PayloadMode::Spool,
            Some(LintRule::PayloadMode),
        ),
        ("s3", PayloadMode::Unsigned, None),
        ("s3", chunked, None),
        ("vpc-lattice-svcs", PayloadMode::Unsigned, None),
        (
            "vpc-lattice-svcs",
            PayloadMode::Buffer,
            Some(LintRule::HashedPayload),
        ),
        (
            "vpc-lattice-svcs",
            PayloadMode::Auto,
            Some(LintRule::HashedPayload),
        ),
    ] {
        let origin = custom(settings(service)).with_payload(mode);
        assert_eq!(
            rules(&origin, &HttpClient::new()),
            Vec::from_iter(rule),
            "{service} {mode:?}"
        );
    }
    let by_method = custom(settings("es")).with_payload(move |head: &Parts| match head.method {
        Method::PUT => chunked,
        _ => PayloadMode::Unsigned,
    });
    assert_eq!(
        rules(&by_method, &HttpClient::new()),
        [LintRule::UnsignedPayload, LintRule::PayloadMode]
    );
}

#[test]
fn origins_without_signing_have_no_findings() {
    let client = HttpClient::new()
        .with_http2(true)
        .with_redirects(true)
        .with_retries(true);
    let origin = signed_host("http://iam.amazonaws.com", "a.com:80");
    assert_eq!(
        rules(&origin, &client),
        [
            LintRule::Http2Host,
            LintRule::PlainHttp,
            LintRule::DefaultPort,
            LintRule::Redirects,
            LintRule::Retries,
        ]
    );
    assert_eq!(
        lint(&origin.with_signing(SigningBehavior::Never), &client),
        []
    );
}

#[test]
fn findings_contain_the_value_and_the_remedy() {
    let client = HttpClient::new()
        .with_http2(true)
        .with_redirects(true)
        .with_retries(true);
    let hashed = settings("vpc-lattice-svcs")
        .with_path_form(PathForm::Once)
        .with_session_token(SessionToken::Unsigned)
        .with_payload_header(false);
    let hashed = at("http://iam.amazonaws.com", hashed).with_payload(PayloadMode::Auto);
    let hashed = hashed
        .with_signed_host("iam.amazonaws.com:80")
        .expect("valid");
    let found = lint(&hashed, &client);
    assert_eq!(found.len(), 10, "{found:?}");
    for finding in found {
        let text = finding.to_string();
        assert!(text.contains("; ") && !text.ends_with('.'), "{text}");
        assert!(
            text.starts_with(|first: char| first.is_ascii_lowercase()),
            "{text}"
        );
    }
}

#[test]
fn public_types_are_send_sync_clone_and_debug() {
    fn is<T: Send + Sync + Clone + fmt::Debug>() {}
    is::<HttpClient>();
    is::<Finding>();
    is::<LintRule>();
}
