//! The query of a presigned URL. The verifier never panics, and its result does not depend on the order of the
//! parameters. A URL for S3, which does not cover the body, is rejected with a body.
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
    let request = Request::get(format!("/?{query}"))
        .header("host", HOST)
        .body(());
    Some(request.ok()?.into_parts().0)
}

fn verify(verifier: &Verifier, head: &Parts, payload: PayloadHash) -> Result<(), RejectionKind> {
    let parsed = verifier
        .parse(head, now())
        .map_err(|rejection| rejection.kind())?;
    let accepted = verifier.verify(parsed, &credentials(), &payload);
    accepted
        .map(|accepted| assert!(accepted.to_verified().is_presigned()))
        .map_err(|rejection| rejection.kind())
}

fuzz_target!(|query: &str| {
    let Some(original) = head(query) else { return };
    let _ = SignedRequest::from_parts(&original, None);
    let query = original.uri.query().unwrap_or_default();
    let reversed: Vec<_> = query.split('&').rev().collect();
    let reversed = head(&reversed.join("&")).expect("the same bytes");
    for verifier in &*VERIFIERS {
        let result = verify(verifier, &original, PayloadHash::EMPTY);
        let result_reversed = verify(verifier, &reversed, PayloadHash::EMPTY);
        assert_eq!(result.is_ok(), result_reversed.is_ok(), "{result:?}");
        if result.is_ok() {
            assert!(verify(verifier, &original, PayloadHash::of(b"a body")).is_err());
        }
    }
});
