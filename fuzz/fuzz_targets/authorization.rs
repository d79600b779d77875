//! A head that someone signed in `authorization`, or says so: it is refused or accepted, never a panic, and
//! what is accepted was signed with the key. Version 4a is read, too.
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
        let Ok(claim) = verifier.parse(&head, now()) else { continue };
        assert!(!claim.access_key_id().is_empty());
        let Ok(accepted) = verifier.verify(claim, &key, &PayloadHash::EMPTY) else { continue };
        assert_eq!(accepted.to_verified().access_key_id(), key.access_key_id());
        // Of what is accepted each header that was signed is there, and who reads it back agrees.
        for name in accepted.to_verified().signed_headers() {
            assert!(head.headers.contains_key(name), "{name}");
        }
        // To CGI a name is a variable, and no header that is not signed may be read as one that has to be.
        let variable = |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let verified = accepted.to_verified();
        let signed: Vec<_> = verified.signed_headers().map(variable).collect();
        let is_signed = |name: &str| verified.signed_headers().any(|signed| signed == name);
        for name in head.headers.keys().filter(|name| !is_signed(name.as_str())) {
            let variable = variable(name.as_str());
            assert!(!variable.starts_with("x_amz_") && !signed.contains(&variable), "{name}");
        }
        SignedRequest::from_parts(&head, None).expect("what is accepted can be read");
    }
    let _ = SignedRequest::from_parts(&head, None);
});
