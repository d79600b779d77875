//! Key lookups, and the cache of signing keys.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::HeaderName;
use tower_sigv4::{
    ErrorKind,
    credentials::Credentials,
    sigv4::PayloadHash,
    verify::{KeyStore, RejectionKind as Kind, StaticKeys, Verifier},
};

use super::{accepted, data, head, post, settings, unhashed, with_keys};
use crate::common::{credentials, now, signed};

#[tokio::test]
async fn keys_are_looked_up_once_per_well_formed_request() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let layer = with_keys(move |id: String| {
        assert_eq!(id, "AKIDEXAMPLE");
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
        async |_: String| -> Result<Option<Credentials>, Infallible> {
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
        .lookup("AKIDEXAMPLE")
        .await;
    assert_eq!(
        result.expect("no error").expect("a key").access_key_id(),
        "AKIDEXAMPLE"
    );
}

#[tokio::test]
async fn shared_key_stores_are_accepted() {
    let keys: Arc<dyn KeyStore> = Arc::new(StaticKeys::new([credentials()]).expect("valid"));
    let request = accepted(&with_keys(keys.clone()), post("", [])).await;
    request.expect("accepted");
    assert!(keys.lookup("AKIDOTHER").await.expect("no error").is_none());
}
