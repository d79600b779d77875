//! The cache of signing keys: concurrent signers never use the key of another.

mod schedules;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{Request, header};
use shuttle::thread;
use tower_sigv4::{
    SigningSettings,
    credentials::Credentials,
    sigv4::{Identity, PayloadHash, Signer, SigningParams},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn sign(signer: &Signer, (secret, region, time): (&str, &str, SystemTime)) -> String {
    let identity = Identity::new(Credentials::new("AKID", secret, None, None, "model"));
    let settings = SigningSettings::new("execute-api", region).expect("a scope");
    let identity = identity.expect("valid");
    let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, time);
    let request = Request::get("http://api.example.com/")
        .body(())
        .expect("a request");
    let (mut head, ()) = request.into_parts();
    signer.sign(&mut head, &params).expect("signed");
    head.headers[header::AUTHORIZATION]
        .to_str()
        .expect("ASCII")
        .to_owned()
}

/// Two secrets with one ID, two regions, and two days.
fn cases() -> [(&'static str, &'static str, SystemTime); 4] {
    let day = UNIX_EPOCH + DAY;
    let before = day - Duration::from_secs(1);
    [
        ("secret", "us-east-1", before),
        ("changed", "us-east-1", before),
        ("secret", "eu-west-1", before),
        ("secret", "us-east-1", day),
    ]
}

fn model() {
    let signer = Arc::new(Signer::new());
    let threads = cases().map(|case| {
        let signer = signer.clone();
        thread::spawn(move || [(); 2].map(|()| sign(&signer, case)))
    });
    for (thread, case) in threads.into_iter().zip(cases()) {
        let alone = sign(&Signer::new(), case);
        assert_eq!(thread.join().expect("ended"), [alone.clone(), alone]);
    }
    // No concurrent insertion was lost.
    assert!(format!("{signer:?}").contains("keys: 4"), "{signer:?}");
}

#[test]
fn concurrent_signers_use_their_own_keys() {
    schedules::check(model);
}
