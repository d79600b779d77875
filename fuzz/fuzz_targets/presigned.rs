//! The query of a presigned URL: it is refused or accepted, never a panic, and no other order of what it holds
//! is judged otherwise.
#![no_main]

use std::sync::LazyLock;

use http::{Request, request::Parts};
use libfuzzer_sys::fuzz_target;
use tower_sigv4::{
    doctor::Sent,
    sigv4::PayloadHash,
    verify::{RejectionKind, Verifier, VerifySettings},
};
use tower_sigv4_fuzz::{HOST, credentials, now};

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let settings = VerifySettings::new("service", "us-east-1").expect("a scope");
    Verifier::new(settings.with_sigv4a(true))
});

fn head(query: &str) -> Option<Parts> {
    let request = Request::get(format!("/?{query}")).header("host", HOST).body(());
    Some(request.ok()?.into_parts().0)
}

fn judge(head: &Parts) -> Result<(), RejectionKind> {
    let claim = VERIFIER.claim(head, now()).map_err(|rejection| rejection.kind())?;
    let accepted = VERIFIER.verify(claim, &credentials(), &PayloadHash::EMPTY);
    accepted
        .map(|accepted| assert!(accepted.to_verified().is_presigned()))
        .map_err(|rejection| rejection.kind())
}

fuzz_target!(|query: &str| {
    let Some(given) = head(query) else { return };
    let _ = Sent::read(&given, None);
    let judged = judge(&given);
    let query = given.uri.query().unwrap_or_default();
    let backwards: Vec<_> = query.split('&').rev().collect();
    let backwards = head(&backwards.join("&")).expect("the same bytes");
    assert_eq!(judged.is_ok(), judge(&backwards).is_ok(), "{judged:?}");
});
