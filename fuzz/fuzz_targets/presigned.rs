//! The query of a presigned URL: it is refused or accepted, never a panic, and no other order of what it holds
//! is judged otherwise. For S3, where it covers no body, it is refused with one.
#![no_main]

use std::sync::LazyLock;

use http::{Request, request::Parts};
use libfuzzer_sys::fuzz_target;
use tower_sigv4::{
    doctor::SignedRequest,
    sigv4::PayloadHash,
    verify::{RejectionKind, Verifier, VerifySettings},
};
use tower_sigv4_fuzz::{HOST, credentials, now};

static VERIFIERS: LazyLock<[Verifier; 2]> = LazyLock::new(|| {
    ["service", "s3"].map(|service| {
        let settings = VerifySettings::new(service, "us-east-1").expect("a scope");
        Verifier::new(settings.with_sigv4a(true))
    })
});

fn head(query: &str) -> Option<Parts> {
    let request = Request::get(format!("/?{query}")).header("host", HOST).body(());
    Some(request.ok()?.into_parts().0)
}

fn judge(verifier: &Verifier, head: &Parts, payload: PayloadHash) -> Result<(), RejectionKind> {
    let claim = verifier.parse(head, now()).map_err(|rejection| rejection.kind())?;
    let accepted = verifier.verify(claim, &credentials(), &payload);
    accepted
        .map(|accepted| assert!(accepted.to_verified().is_presigned()))
        .map_err(|rejection| rejection.kind())
}

fuzz_target!(|query: &str| {
    let Some(given) = head(query) else { return };
    let _ = SignedRequest::from_parts(&given, None);
    let query = given.uri.query().unwrap_or_default();
    let backwards: Vec<_> = query.split('&').rev().collect();
    let backwards = head(&backwards.join("&")).expect("the same bytes");
    for verifier in &*VERIFIERS {
        let judged = judge(verifier, &given, PayloadHash::EMPTY);
        let judged_backwards = judge(verifier, &backwards, PayloadHash::EMPTY);
        assert_eq!(judged.is_ok(), judged_backwards.is_ok(), "{judged:?}");
        if judged.is_ok() {
            assert!(judge(verifier, &given, PayloadHash::of(b"a body")).is_err());
        }
    }
});
