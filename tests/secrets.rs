//! No secret is in an error, an event or the output of `Debug`.

mod common;

use common::{HOST, api, get, now};
use tower::Layer;
use tower_sigv4::{
    Clock, SigningLayer, SigningSettings, VerifyLayer,
    credentials::{Credentials, CredentialsCache},
    sigv4::{Identity, PayloadHash, Signer, SigningParams},
    verify::{KeyRequest, KeyStore, StaticKeys, Verifier, VerifySettings},
};

const SECRET: &str = "hunter2-secret";
const TOKEN: &str = "hunter2-token";

fn credentials() -> Credentials {
    Credentials::new("AKIDEXAMPLE", SECRET, Some(TOKEN.to_owned()), None, "test")
}

fn layer() -> SigningLayer {
    SigningLayer::new(credentials(), api(&format!("https://{HOST}")))
        .with_clock(Clock::manual(now()))
}

#[tokio::test]
async fn debug_output_contains_no_secret() {
    let settings = common::settings("execute-api");
    let identity = Identity::new(credentials()).expect("valid");
    let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, now());
    let signer = Signer::new();
    let explanation = signer
        .explain(&get("https://h/").into_parts().0, &params)
        .expect("signed");
    let text = String::from_utf8(explanation.canonical_request.clone()).expect("UTF-8");
    assert!(
        text.contains(TOKEN),
        "the signature covers the token: {text}"
    );

    let layer = layer();
    let sent = common::send(&layer, get("/")).await.expect("sent");
    let service = layer.layer(());
    let shown = [
        format!("{settings:?}"),
        format!("{identity:?}"),
        format!("{params:?}"),
        format!("{signer:?}"),
        format!("{explanation:?}"),
        format!("{layer:?}"),
        format!("{service:?}"),
        format!("{sent:?}"),
        format!("{:?}", CredentialsCache::new(credentials())),
    ];
    for shown in shown {
        assert!(!shown.is_empty() && !shown.contains("hunter2"), "{shown}");
        assert!(!shown.contains("Signature="), "{shown}");
    }
    assert!(sent.headers()["authorization"].is_sensitive());
    assert!(sent.headers()["x-amz-security-token"].is_sensitive());
}

#[test]
fn debug_output_of_verifiers_contains_no_secret() {
    let verify = VerifySettings::new("execute-api", "us-east-1").expect("a scope");
    assert_verifier_shows_no_secret(&common::settings("execute-api"), verify);
}

#[cfg(feature = "sigv4a")]
#[test]
fn debug_output_of_sigv4a_verifiers_contains_no_secret() {
    let regions = tower_sigv4::sigv4::RegionSet::new("us-*").expect("valid");
    let settings = SigningSettings::multi_region("execute-api", regions);
    let verify = VerifySettings::new("execute-api", "us-east-1").expect("a scope");
    assert_verifier_shows_no_secret(&settings.expect("a service"), verify.with_sigv4a(true));
}

fn assert_verifier_shows_no_secret(settings: &SigningSettings, verify: VerifySettings) {
    let identity = Identity::new(credentials()).expect("valid");
    let params = SigningParams::new(settings, &identity, PayloadHash::EMPTY, now());
    let (mut head, _) = get("https://h/").into_parts();
    Signer::new().sign(&mut head, &params).expect("signed");

    let verifier = Verifier::new(verify.clone().with_explain(true));
    let claim = || verifier.parse(&head, now()).expect("in order");
    let other = Credentials::new("AKIDEXAMPLE", "x", Some(TOKEN.to_owned()), None, "test");
    let rejected = verifier
        .verify(claim(), &other, &PayloadHash::EMPTY)
        .expect_err("another secret");
    let accepted = verifier
        .verify(claim(), &credentials(), &PayloadHash::EMPTY)
        .expect("right");
    let keys = StaticKeys::new([credentials()]).expect("valid");
    assert!(format!("{keys:?}").contains("AKIDEXAMPLE"), "{keys:?}");
    let layer = VerifyLayer::new(keys.clone(), verify);
    for shown in [
        format!("{:?}", claim()),
        format!("{rejected:?} {rejected}"),
        format!("{accepted:?}"),
        format!("{:?}", accepted.to_verified()),
        format!("{verifier:?}"),
        format!(
            "{:?}",
            keys.lookup(&KeyRequest::new("AKIDEXAMPLE", "s3", "us-east-1"))
        ),
        format!("{keys:?}"),
        format!("{layer:?}"),
        format!("{:?}", layer.layer(())),
    ] {
        assert!(!shown.is_empty() && !shown.contains("hunter2"), "{shown}");
        let signature = head.headers["authorization"].to_str().expect("ASCII");
        assert!(
            !shown.contains(&signature[signature.len() - 64..]),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn errors_contain_no_secret() {
    for (id, secret, token) in [
        ("AKID", "", TOKEN),
        ("AKID", "hunter2\n", TOKEN),
        ("hunter2 id", SECRET, TOKEN),
        ("AKID", SECRET, "hunter2-token\n"),
    ] {
        let credentials = Credentials::new(id, secret, Some(token.to_owned()), None, "test");
        let layer = SigningLayer::new(credentials, api(&format!("https://{HOST}")));
        let error = common::send(&layer, get("/")).await.expect_err("invalid");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
