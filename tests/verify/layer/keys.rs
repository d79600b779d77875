//! Key lookups, and the cache of signing keys.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderName, HeaderValue, Request, request::Parts};
use tower_sigv4::{
    ErrorKind,
    credentials::Credentials,
    sigv4::{Identity, PayloadHash, Signer, SigningParams},
    verify::{Key, KeyRequest, KeyStore, RejectionKind as Kind, StaticKeys, Verified, Verifier},
};

use super::{accepted, data, head, post, settings, unhashed, unsigned, with_keys};
use crate::common::{self, ScriptedBody, credentials, now, signed};

#[tokio::test]
async fn keys_are_looked_up_once_per_well_formed_request() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let layer = with_keys(move |request: KeyRequest<'static>| {
        assert_eq!(request.access_key_id(), "AKIDEXAMPLE");
        count.fetch_add(1, Ordering::SeqCst);
        async {
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(Some(credentials()))
        }
    });
    assert!(accepted(&layer, post("a", [data("a")])).await.is_ok());
    assert!(accepted(&layer, unhashed("a", [data("a")])).await.is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    let mut stale = post("", []);
    stale
        .headers_mut()
        .insert("x-amz-date", "20140830T123600Z".parse().expect("a value"));
    assert!(accepted(&layer, stale).await.is_err());
    assert_eq!(
        asked.load(Ordering::SeqCst),
        2,
        "what is refused anyway costs no lookup"
    );
}

/// Unauthenticated clients can send these requests.
#[tokio::test]
async fn requests_over_a_limit_cause_no_lookup() {
    let layer = with_keys(
        async |_: KeyRequest<'static>| -> Result<Option<Credentials>, Infallible> {
            panic!("the key is looked up")
        },
    );
    let names: Vec<_> = (0..20_000).map(|number| format!("x-{number:05}")).collect();
    let mut many_names = post("", []);
    for name in &names {
        let name = HeaderName::try_from(name).expect("a name");
        many_names
            .headers_mut()
            .insert(name, "1".parse().expect("a value"));
    }
    let value = many_names.headers()["authorization"]
        .to_str()
        .expect("ASCII");
    let value = value.replace("x-amz-date,", &format!("x-amz-date;{},", names.join(";")));
    let value = value.replace(
        "host;x-amz-content-sha256;x-amz-date;x-00000",
        "host;x-00000",
    );
    many_names
        .headers_mut()
        .insert("authorization", value.parse().expect("a value"));
    let mut many_parameters = post("", []);
    let target = format!("/orders?{}", "x&".repeat(32_000));
    *many_parameters.uri_mut() = target.parse().expect("a URI");
    for (request, kind) in [
        (many_names, Kind::Malformed),
        (many_parameters, Kind::Target),
    ] {
        assert_eq!(accepted(&layer, request).await.err(), Some(kind));
    }
}

#[test]
fn only_keys_of_verified_requests_are_cached() {
    let (head, verifier) = (signed(head(), b"a"), Verifier::new(settings()));
    let verify = |key: &Credentials| {
        let claim = verifier.parse(&head, now()).expect("in order");
        let accepted = verifier.verify(claim, key, &PayloadHash::of(b"a"));
        (accepted.is_ok(), format!("{verifier:?}"))
    };
    let other = Credentials::new(credentials().access_key_id(), "another", None, None, "test");
    for (key, is_right, held) in [(other, false, 0), (credentials(), true, 1)] {
        let (accepted, shown) = verify(&key);
        assert_eq!(accepted, is_right);
        assert!(
            shown.contains(&format!("KeyCache {{ keys: {held}, ..")),
            "{shown}"
        );
    }
}

#[test]
fn contradicting_keys_and_settings_are_rejected() {
    let twice = StaticKeys::new([credentials(), credentials()]);
    let other_rules = settings().add_service("s3");
    let signed = settings().add_unsigned_header(HeaderName::from_static("x-amz-date"));
    for (error, message) in [
        (twice.unwrap_err(), "two keys have the id \"AKIDEXAMPLE\""),
        (
            other_rules.unwrap_err(),
            "\"s3\" has other rules than \"execute-api\"",
        ),
        (signed.unwrap_err(), "x-amz-date is a part of the signature"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[tokio::test]
async fn ready_lookups_can_be_awaited() {
    let result = StaticKeys::new([credentials()])
        .expect("valid")
        .lookup(&KeyRequest::new("AKIDEXAMPLE", "execute-api", "us-east-1"))
        .await;
    assert_eq!(
        result
            .expect("no error")
            .expect("a key")
            .credentials()
            .access_key_id(),
        "AKIDEXAMPLE"
    );
}

#[tokio::test]
async fn shared_key_stores_are_accepted() {
    let keys: Arc<dyn KeyStore> = Arc::new(StaticKeys::new([credentials()]).expect("valid"));
    let request = accepted(&with_keys(keys.clone()), post("", [])).await;
    request.expect("accepted");
    assert!(
        keys.lookup(&KeyRequest::new("AKIDOTHER", "s3", "us-east-1"))
            .await
            .expect("no error")
            .is_none()
    );
}

#[derive(Clone, Debug, PartialEq)]
struct Tenant(&'static str);

#[tokio::test]
async fn accepted_requests_carry_the_extensions_of_their_key() {
    let layer = with_keys(async |request: KeyRequest<'static>| {
        assert_eq!(request.access_key_id(), "AKIDEXAMPLE");
        tokio::task::yield_now().await;
        let key = Key::from(credentials()).with_extension(Tenant("acme"));
        Ok::<_, Infallible>(Some(key))
    });
    for request in [post("a", [data("a")]), unhashed("a", [data("a")])] {
        let request = accepted(&layer, request).await.expect("accepted");
        assert_eq!(request.extensions().get(), Some(&Tenant("acme")));
    }
    let request = accepted(&layer.with_anonymous(true), unsigned()).await;
    let request = request.expect("accepted");
    assert_eq!(request.extensions().get::<Tenant>(), None);
}

#[tokio::test]
async fn key_stores_cannot_replace_the_proof() {
    let other = Credentials::new("AKIDOTHER", "secret", None, None, "test");
    let keys = StaticKeys::new([other.clone()]).expect("valid");
    let request = Request::from_parts(signed_by(other), ScriptedBody::new([]));
    let request = accepted(&with_keys(keys), request).await.expect("accepted");
    let proof = request.extensions().get::<Verified>().cloned();
    let proof = proof.expect("a proof");
    let layer = with_keys(move |_: KeyRequest<'static>| {
        let key = Key::from(credentials()).with_extension(proof.clone());
        async { Ok::<_, Infallible>(Some(key)) }
    });
    let request = accepted(&layer, post("", [])).await.expect("accepted");
    let proof = request.extensions().get::<Verified>().expect("a proof");
    assert_eq!(proof.access_key_id(), "AKIDEXAMPLE");
}

fn signed_by(key: Credentials) -> Parts {
    let (settings, identity) = (common::settings("execute-api"), Identity::new(key));
    let identity = identity.expect("valid");
    let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, now());
    let mut head = head();
    Signer::new().sign(&mut head, &params).expect("signed");
    head
}

fn presigned_by(key: Credentials) -> Parts {
    let (settings, identity) = (common::settings("execute-api"), Identity::new(key));
    let identity = identity.expect("valid");
    let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, now());
    let mut head = head();
    let signer = Signer::new();
    signer
        .presign(&mut head, &params, Duration::from_secs(60))
        .expect("presigned");
    head
}

fn with_token(token: &str) -> Credentials {
    let key = credentials();
    let (id, secret) = (key.access_key_id(), key.secret_access_key());
    Credentials::new(id, secret, Some(token.to_owned()), None, "test")
}

#[test]
fn key_requests_describe_the_request() {
    let verifier = Verifier::new(settings());
    let token = "a+b/c=="; // escaped in a query
    for (head, session_token, is_presigned) in [
        (signed_by(credentials()), None, false),
        (presigned_by(credentials()), None, true),
        (signed_by(with_token(token)), Some(token), false),
        (presigned_by(with_token(token)), Some(token), true),
    ] {
        let parsed = verifier.parse(&head, now()).expect("well-formed");
        let owned = parsed.key_request().into_owned();
        for request in [&parsed.key_request(), &owned] {
            assert_eq!(request.access_key_id(), "AKIDEXAMPLE");
            assert_eq!(request.session_token(), session_token);
            assert_eq!(request.service(), "execute-api");
            assert_eq!(request.region(), "us-east-1");
            assert_eq!(request.is_presigned(), is_presigned);
            assert!(!format!("{request:?}").contains(token), "{request:?}");
        }
    }
}

#[tokio::test]
async fn temporary_keys_can_be_derived_from_the_session_token() {
    let layer = with_keys(async |request: KeyRequest<'static>| {
        let token = request.session_token().map(str::to_owned);
        Ok::<_, Infallible>(token.map(|token| with_token(&token)))
    });
    for head in [
        signed_by(with_token("a+b")),
        presigned_by(with_token("a+b")),
    ] {
        let request = Request::from_parts(head, ScriptedBody::new([]));
        accepted(&layer, request).await.expect("accepted");
    }
    let rejected = accepted(&layer, post("", [])).await;
    assert_eq!(rejected.err(), Some(Kind::UnknownKey));
    let mut tampered = signed_by(with_token("a+b"));
    let other = HeaderValue::from_static("a+c");
    tampered.headers.insert("x-amz-security-token", other);
    let request = Request::from_parts(tampered, ScriptedBody::new([]));
    let rejected = accepted(&layer, request).await;
    assert_eq!(rejected.err(), Some(Kind::SignatureMismatch));
}

/// Unauthenticated clients can send these requests.
#[test]
fn session_tokens_are_limited_before_the_lookup() {
    let verifier = Verifier::new(settings());
    let fits = "/".repeat(8192);
    let too_long = fits.clone() + "/";
    for (head, kind) in [
        (signed_by(with_token(&fits)), None),
        (presigned_by(with_token(&fits)), None),
        (signed_by(with_token(&too_long)), Some(Kind::SessionToken)),
        (
            presigned_by(with_token(&too_long)),
            Some(Kind::SessionToken),
        ),
    ] {
        let rejected = verifier.parse(&head, now()).err();
        assert_eq!(rejected.map(|rejection| rejection.kind()), kind);
    }
}

#[test]
fn tokens_that_are_not_utf8_match_no_key() {
    let mut head = signed_by(with_token("a\u{fffd}"));
    let invalid = HeaderValue::from_bytes(b"a\xff").expect("a value");
    head.headers.insert("x-amz-security-token", invalid);
    let verifier = Verifier::new(settings());
    let parsed = verifier.parse(&head, now()).expect("well-formed");
    let key = with_token(parsed.key_request().session_token().expect("a token"));
    let rejected = verifier.verify(parsed, &key, &PayloadHash::EMPTY);
    let kind = rejected.expect_err("another token").kind();
    assert_eq!(kind, Kind::SessionToken);
}
