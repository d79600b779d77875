//! Session tokens: the header of S3 Express, and URLs that would outlive their credentials.

mod common;

use std::time::{Duration, SystemTime};

use common::{get, header, now, settings, verify_request};
use http::{HeaderValue, Request, StatusCode, request::Parts};
use tower_sigv4::{
    Clock, ErrorKind, Origin, SigningLayer, SigningSettings, VerifyLayer,
    credentials::Credentials,
    doctor::SignedRequest,
    origin::{SigningBehavior, UriOrigin},
    sigv4::{Identity, Payload, PayloadHash, PresignExpiry, SessionToken, Signer, SigningParams},
    verify::{StaticKeys, VerifySettings},
};

const TOKEN: &str = "AgAAAAAAAAT0KEN/+==";
const ZONAL: &str = "bucket--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com";
const HOUR: Duration = Duration::from_secs(3600);

fn credentials(expires_in: Option<u64>) -> Credentials {
    let key = common::credentials();
    let (id, secret) = (key.access_key_id(), key.secret_access_key());
    let expiry = expires_in.map(|seconds| now() + Duration::from_secs(seconds));
    Credentials::new(id, secret, Some(TOKEN.to_owned()), expiry, "test")
}

fn layer(target: impl tower_sigv4::origin::ResolveOrigin + 'static) -> SigningLayer {
    SigningLayer::new(credentials(None), target).with_clock(Clock::manual(now()))
}

fn head(url: &str) -> Parts {
    Request::get(url)
        .body(())
        .expect("a request")
        .into_parts()
        .0
}

#[tokio::test]
async fn s3_express_session_tokens_have_their_own_header() {
    let url = format!("https://{ZONAL}/key");
    let origin = Origin::new(&format!("https://{ZONAL}"), settings("s3express"));
    for layer in [
        layer(origin.expect("an origin")),
        layer(UriOrigin::new(settings("s3express"))),
        layer(UriOrigin::infer()),
    ] {
        let mut request = get(&url);
        for name in ["x-amz-security-token", "x-amz-s3session-token"] {
            request
                .headers_mut()
                .insert(name, HeaderValue::from_static("of the client"));
        }
        let sent = common::send(&layer, request).await.expect("sent");
        let headers = sent.headers();
        assert!(!headers.contains_key("x-amz-security-token"));
        assert_eq!(headers.get_all("x-amz-s3session-token").iter().count(), 1);
        assert_eq!(header(headers, "x-amz-s3session-token"), TOKEN);
        assert!(headers["x-amz-s3session-token"].is_sensitive());
        let names = "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-s3session-token,";
        assert!(
            header(headers, "authorization").contains(names),
            "{headers:?}"
        );
        assert!(!format!("{headers:?}").contains(TOKEN));
    }
}

#[tokio::test]
async fn s3_express_session_tokens_have_their_own_query_parameter() {
    let target = UriOrigin::new(settings("s3express"))
        .with_query_signature(HOUR)
        .expect("in range");
    let url = format!("https://{ZONAL}/key?X-Amz-S3session-Token=old&x-amz-security-token=old");
    let mut request = get(&url);
    request
        .headers_mut()
        .insert("x-amz-s3session-token", HeaderValue::from_static("old"));
    let sent = common::send(&layer(target), request).await.expect("sent");
    let query = sent.uri().query().expect("a query");
    assert!(
        query.contains("&X-Amz-S3session-Token=AgAAAAAAAAT0KEN%2F%2B%3D%3D&"),
        "{query}"
    );
    assert!(
        !query.contains("Security-Token") && !query.contains("old"),
        "{query}"
    );
    assert!(!sent.headers().contains_key("x-amz-s3session-token"));
    // The signature follows it, so it is signed.
    assert!(
        query
            .rsplit('&')
            .next()
            .is_some_and(|last| last.starts_with("X-Amz-Signature="))
    );
}

/// `CreateSession` and the Regional endpoint accept credentials of a role.
#[tokio::test]
async fn other_credentials_use_the_usual_header() {
    let iam = settings("s3express").with_session_token(SessionToken::Signed);
    let control = "https://s3express-control.us-east-1.amazonaws.com/bucket";
    for (layer, url) in [
        (
            layer(UriOrigin::new(iam)),
            &*format!("https://{ZONAL}/?session"),
        ),
        (layer(UriOrigin::infer()), control),
        (
            layer(UriOrigin::infer()),
            "https://S3Express-Control-fips.us-east-1.amazonaws.com/b",
        ),
        (
            layer(UriOrigin::new(settings("s3"))),
            "https://bucket.s3.us-east-1.amazonaws.com/key",
        ),
    ] {
        let sent = common::send(&layer, get(url)).await.expect("sent");
        assert_eq!(
            header(sent.headers(), "x-amz-security-token"),
            TOKEN,
            "{url}"
        );
        assert!(
            !sent.headers().contains_key("x-amz-s3session-token"),
            "{url}"
        );
    }
}

#[tokio::test]
async fn the_verifier_accepts_only_the_right_token() {
    let with_token = |token: &str| {
        let key = common::credentials();
        let (id, secret) = (key.access_key_id(), key.secret_access_key());
        let token = Some(token.to_owned()).filter(|token| !token.is_empty());
        Credentials::new(id, secret, token, None, "test")
    };
    let both = VerifySettings::new("s3", "us-east-1")
        .and_then(|settings| settings.add_service("s3express"))
        .expect("services that are verified alike");
    for (held, accepted) in [(TOKEN, true), ("another", false), ("", false)] {
        for verify in [
            both.clone(),
            VerifySettings::new("s3express", "us-east-1").expect("a scope"),
        ] {
            let keys = StaticKeys::new([with_token(held)]).expect("a key");
            let verify = VerifyLayer::new(keys, verify).with_clock(Clock::manual(now()));
            let direct = || UriOrigin::new(settings("s3express"));
            let query = direct().with_query_signature(HOUR).expect("in range");
            for target in [direct(), query] {
                let request = get(&format!("https://{ZONAL}/key"));
                let sent = common::send(&layer(target), request).await.expect("sent");
                let shown = format!("{held:?} {sent:?}");
                assert_eq!(
                    verify_request(&verify, sent).await.is_ok(),
                    accepted,
                    "{shown}"
                );
            }
        }
    }
}

#[test]
fn verifier_settings_cannot_leave_a_token_unsigned() {
    for name in ["x-amz-security-token", "x-amz-s3session-token"] {
        let settings = VerifySettings::new("s3express", "us-east-1").expect("a scope");
        let error = settings
            .add_unsigned_header(name.parse().expect("a name"))
            .expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn the_doctor_detects_the_token_and_shows_none() {
    let identity = Identity::new(credentials(None)).expect("valid");
    let settings = settings("s3express");
    let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, now());
    let url = format!("https://{ZONAL}/key");
    let (mut signed, mut presigned) = (head(&url), head(&url));
    Signer::new().sign(&mut signed, &params).expect("signed");
    Signer::new()
        .presign(&mut presigned, &params, HOUR)
        .expect("presigned");
    for head in [signed, presigned] {
        let sent = SignedRequest::from_parts(&head, None).expect("a signature");
        let text = sent.canonical_request();
        assert!(text.to_lowercase().contains("s3session-token"), "{text}");
        assert!(
            !text.contains("T0KEN") && text.contains("[redacted]"),
            "{text}"
        );
    }
}

fn presigned(
    expires_in: Option<u64>,
    seconds: u64,
    expiry: Option<PresignExpiry>,
    time: SystemTime,
) -> Result<String, tower_sigv4::Error> {
    let identity = Identity::new(credentials(expires_in)).expect("valid");
    let settings = SigningSettings::new("s3", "us-east-1").expect("a scope");
    let mut params = SigningParams::new(&settings, &identity, Payload::Unsigned, time);
    if let Some(expiry) = expiry {
        params = params.with_presign_expiry(expiry);
    }
    let mut head = head("https://bucket.s3.us-east-1.amazonaws.com/key");
    let before = head.uri.clone();
    let signer = Signer::new();
    let expires = Duration::from_secs(seconds);
    let explained = signer.explain_presigned(&head, &params, expires);
    let result = signer.presign(&mut head, &params, expires);
    assert_eq!(explained.is_ok(), result.is_ok());
    match result {
        Ok(()) => Ok(head.uri.query().expect("a query").to_owned()),
        Err(error) => {
            assert_eq!(head.uri, before, "the request is as it was");
            Err(error)
        }
    }
}

#[test]
fn presigned_urls_may_outlive_credentials_only_if_allowed() {
    const WEEK: u64 = 604_800;
    for (expires_in, seconds, expiry, expected) in [
        (Some(60), WEEK, None, None),
        (Some(60), WEEK, Some(PresignExpiry::Reject), None),
        (Some(60), WEEK, Some(PresignExpiry::Shorten), Some(60)),
        (Some(60), WEEK, Some(PresignExpiry::Ignore), Some(WEEK)),
        (Some(60), 60, None, Some(60)),
        (Some(60), 61, None, None),
        (Some(60), 59, Some(PresignExpiry::Shorten), Some(59)),
        (Some(0), 1, None, None),
        (Some(0), 1, Some(PresignExpiry::Shorten), None),
        (Some(0), 1, Some(PresignExpiry::Ignore), Some(1)),
        // Credentials without an expiry outlive every URL.
        (None, WEEK, None, Some(WEEK)),
    ] {
        let shown = format!("{expires_in:?} {seconds} {expiry:?}");
        match (presigned(expires_in, seconds, expiry, now()), expected) {
            (Ok(query), Some(expected)) => {
                assert!(
                    query.contains(&format!("X-Amz-Expires={expected}&")),
                    "{shown}: {query}"
                );
            }
            (Err(error), None) => {
                assert_eq!(error.kind(), ErrorKind::Credentials, "{shown}");
                assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
                let text = error.to_string();
                let left = expires_in.unwrap_or_default();
                let parts = match expiry {
                    Some(PresignExpiry::Shorten) => vec!["have expired".to_owned()],
                    _ => vec![
                        format!("{seconds} seconds"),
                        format!("expire in {left};"),
                        "PresignExpiry::Shorten".to_owned(),
                    ],
                };
                for part in parts {
                    assert!(text.contains(&part), "{shown}: {text}");
                }
                assert!(!text.contains("T0KEN"), "{text}");
            }
            (result, _) => panic!("{shown}: {result:?}"),
        }
    }
}

/// `X-Amz-Date` has no fractions, so the URL is valid from the start of the second.
#[test]
fn validity_starts_at_the_whole_second() {
    let time = now() + Duration::from_millis(999);
    assert!(presigned(Some(60), 60, None, time).is_ok());
    assert!(presigned(Some(60), 60, None, now() + Duration::from_secs(1)).is_err());
    let long_ago = now() + Duration::from_secs(3600);
    assert!(presigned(Some(60), 1, Some(PresignExpiry::Shorten), long_ago).is_err());
}

#[tokio::test]
async fn a_query_signature_that_outlives_its_credentials_is_not_sent() {
    let target = || {
        UriOrigin::new(settings("s3"))
            .with_query_signature(HOUR)
            .expect("in range")
    };
    let url = "https://bucket.s3.us-east-1.amazonaws.com/key";
    for (expires_in, target, expected) in [
        (Some(1800), target(), None),
        (
            Some(1800),
            target().with_presign_expiry(PresignExpiry::Shorten),
            Some(1800),
        ),
        (
            Some(1800),
            target().with_presign_expiry(PresignExpiry::Ignore),
            Some(3600),
        ),
        (Some(3600), target(), Some(3600)),
        (None, target(), Some(3600)),
    ] {
        let layer =
            SigningLayer::new(credentials(expires_in), target).with_clock(Clock::manual(now()));
        let result = common::send(&layer, get(url)).await;
        match (result, expected) {
            (Ok(sent), Some(expected)) => {
                let query = sent.uri().query().expect("a query");
                assert!(
                    query.contains(&format!("X-Amz-Expires={expected}&")),
                    "{query}"
                );
            }
            (Err(error), None) => assert_eq!(error.kind(), ErrorKind::Credentials, "{error}"),
            (result, _) => panic!("{expires_in:?}: {result:?}"),
        }
    }
    // The limit does not apply to signatures in the header.
    let origin = Origin::new(&url[..url.len() - 4], settings("s3")).expect("an origin");
    let origin = origin.with_signing(SigningBehavior::Always);
    let layer = SigningLayer::new(credentials(Some(30)), origin).with_clock(Clock::manual(now()));
    assert!(common::send(&layer, get("/key")).await.is_ok());
}
