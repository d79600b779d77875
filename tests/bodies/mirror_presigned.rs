//! Presigned URLs of clients, and what remains of their lifetime.

use http::Request;
use http_body::SizeHint;
use tower_sigv4::{
    Clock, Error, ErrorKind, Origin, SigningLayer,
    origin::{MirrorPresigned, SigningBehavior},
    verify::PayloadKind,
};

use crate::{
    common::{self, ScriptedBody, credentials, header, layer, now},
    mirror_client::{CLIENT_KEY, ClientRequest, presigned, presigned_in_version_2},
    payload::verify,
};

fn origin(form: MirrorPresigned) -> Origin {
    Origin::new("https://s3.us-east-1.amazonaws.com", common::settings("s3"))
        .expect("an origin")
        .with_mirrored_presign(form)
}

fn parameter(query: &str, name: &str) -> String {
    let pair = query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    pair.unwrap_or_else(|| panic!("no {name} in {query}"))
        .to_owned()
}

#[tokio::test]
async fn presigned_urls_become_headers_by_default() {
    for client in [presigned(b"abc"), presigned_in_version_2(b"abc")] {
        let sent = common::send_any(&layer(origin(MirrorPresigned::default())), client.build(2))
            .await
            .expect("sent");
        assert_eq!(sent.uri().query(), Some("a=1"));
        assert!(sent.headers().contains_key("authorization"));
        let verified = verify("s3", sent).await.expect("accepted");
        assert!(!verified.is_presigned());
        assert_eq!(verified.payload(), PayloadKind::Unsigned);
    }
}

#[tokio::test]
async fn presigned_urls_are_renewed_for_the_rest_of_their_lifetime() {
    // The tests' time is 12:36. One URL ends at 13:00, the other at 13:36.
    for (client, expires) in [
        (presigned(b"abc"), "1440"),
        (presigned_in_version_2(b"abc"), "3600"),
    ] {
        let sent = common::send_any(&layer(origin(MirrorPresigned::Query)), client.build(2))
            .await
            .expect("sent");
        assert!(!sent.headers().contains_key("authorization"));
        let query = sent.uri().query().expect("a query").to_owned();
        assert!(query.starts_with("a=1&X-Amz-Algorithm="), "{query}");
        assert_eq!(parameter(&query, "X-Amz-Expires"), expires);
        assert_eq!(parameter(&query, "X-Amz-Date"), "20150830T123600Z");
        assert!(!query.contains(CLIENT_KEY), "{query}");
        let verified = verify("s3", sent).await.expect("accepted");
        assert!(verified.is_presigned());
        assert_eq!(verified.payload(), PayloadKind::Unsigned);
    }
}

/// The request is sent at once, so that its URL need not outlive the credentials.
#[tokio::test]
async fn renewed_urls_end_with_the_credentials() {
    let expiry = now() + std::time::Duration::from_secs(600);
    let base = credentials();
    let temporary = tower_sigv4::credentials::Credentials::new(
        base.access_key_id(),
        base.secret_access_key(),
        None,
        Some(expiry),
        "test",
    );
    let layer = SigningLayer::new(temporary, origin(MirrorPresigned::Query))
        .with_clock(Clock::manual(now()));
    let sent = common::send_any(&layer, presigned(b"abc").build(2))
        .await
        .expect("sent");
    let query = sent.uri().query().expect("a query");
    assert_eq!(parameter(query, "X-Amz-Expires"), "600");
}

async fn reject(form: MirrorPresigned, client: &ClientRequest) -> Error {
    common::send_any(&layer(origin(form)), client.build(2))
        .await
        .expect_err("rejected")
}

#[tokio::test]
async fn expired_and_invalid_urls_are_rejected() {
    let replaced = |from: &str, to: &str| {
        let mut client = presigned(b"abc");
        assert!(client.query.contains(from));
        client.query = client.query.replace(from, to);
        client
    };
    let mut expired_2 = presigned_in_version_2(b"abc");
    expired_2.query = expired_2.query.replace("1440941760", "1440938160");
    let mut endless_2 = presigned_in_version_2(b"abc");
    endless_2.query = endless_2
        .query
        .replace("1440941760", "99999999999999999999");
    for form in [MirrorPresigned::Header, MirrorPresigned::Query] {
        for (client, kind, shown) in [
            (
                replaced("Expires=3600", "Expires=2160"),
                ErrorKind::Expired,
                "0 seconds",
            ),
            (
                replaced("Expires=3600", "Expires=60"),
                ErrorKind::Expired,
                "2100 seconds",
            ),
            (expired_2.clone(), ErrorKind::Expired, "0 seconds"),
            (endless_2.clone(), ErrorKind::Request, "Expires"),
            (
                replaced("Expires=3600", "Expires=x"),
                ErrorKind::Request,
                "X-Amz-Expires",
            ),
            (
                replaced("&X-Amz-Expires=3600", ""),
                ErrorKind::Request,
                "X-Amz-Expires",
            ),
            (
                replaced("Expires=3600", "Expires=3600&X-Amz-Expires=3600"),
                ErrorKind::Request,
                "X-Amz-Expires",
            ),
            (
                replaced("20150830T120000Z", "now"),
                ErrorKind::Request,
                "X-Amz-Date",
            ),
        ] {
            let error = reject(form, &client).await;
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(shown), "{error}");
            let status = if kind == ErrorKind::Expired { 403 } else { 400 };
            assert_eq!(error.status(), status);
        }
    }
}

/// Both signatures would reach the origin.
#[tokio::test]
async fn credentials_of_version_2_are_removed_when_the_layer_signs() {
    for url in [
        "/key?AWSAccessKeyId=A&Signature=x&Expires=9999999999&a=1",
        "/key?a=1&Expires=9999999999&%41WSAccessKeyId=A&%53ignature=x",
    ] {
        for (behavior, kept) in [
            (SigningBehavior::Always, false),
            (SigningBehavior::NoOverride, true),
        ] {
            let request = Request::get(url)
                .body(ScriptedBody::new([]).with_size(SizeHint::with_exact(0)))
                .expect("a request");
            let layer = layer(origin(MirrorPresigned::Header).with_signing(behavior));
            let sent = common::send_any(&layer, request).await.expect("sent");
            let query = sent.uri().query().expect("a query");
            assert_eq!(query != "a=1", kept, "{query}");
            assert_eq!(sent.headers().contains_key("authorization"), !kept);
        }
    }
    // Without an access key ID these are names like others.
    let request = Request::get("/key?Signature=x&Expires=1")
        .body(ScriptedBody::new([]).with_size(SizeHint::with_exact(0)))
        .expect("a request");
    let sent = common::send_any(&layer(origin(MirrorPresigned::Header)), request)
        .await
        .expect("sent");
    assert_eq!(sent.uri().query(), Some("Signature=x&Expires=1"));
    assert_eq!(header(sent.headers(), "host"), "s3.us-east-1.amazonaws.com");
}
