//! A head with an `authorization`, of SigV4 or SigV4a. The verifier never panics, and only accepts signatures of the
//! key.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tower_sigv4::{
    doctor::SignedRequest,
    sigv4::PayloadHash,
    verify::{Verifier, VerifySettings},
};
use tower_sigv4_fuzz::{credentials, head, now};

static VERIFIERS: LazyLock<[Verifier; 2]> = LazyLock::new(|| {
    [false, true].map(|version_4a| {
        let settings = VerifySettings::new("service", "us-east-1").expect("a scope");
        Verifier::new(settings.with_sigv4a(version_4a))
    })
});

fuzz_target!(|text: &[u8]| {
    let Some(head) = head(text) else { return };
    let key = credentials();
    for verifier in &*VERIFIERS {
        let Ok(parsed) = verifier.parse(&head, now()) else {
            continue;
        };
        assert!(!parsed.access_key_id().is_empty());
        let Ok(accepted) = verifier.verify(parsed, &key, &PayloadHash::EMPTY) else {
            continue;
        };
        assert_eq!(accepted.to_verified().access_key_id(), key.access_key_id());
        // Each signed header of an accepted request is present.
        for name in accepted.to_verified().signed_headers() {
            assert!(head.headers.contains_key(name), "{name}");
        }
        // CGI converts names to variables, and no unsigned header may have the variable of a required or signed one.
        let variable = |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let verified = accepted.to_verified();
        let signed: Vec<_> = verified.signed_headers().map(variable).collect();
        let is_signed = |name: &str| verified.signed_headers().any(|signed| signed == name);
        for name in head.headers.keys().filter(|name| !is_signed(name.as_str())) {
            let variable = variable(name.as_str());
            assert!(
                !variable.starts_with("x_amz_") && !signed.contains(&variable),
                "{name}"
            );
        }
        SignedRequest::from_parts(&head, None).expect("accepted requests can be parsed");
    }
    let _ = SignedRequest::from_parts(&head, None);
});
