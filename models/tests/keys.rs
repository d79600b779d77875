//! The signing keys of an identity: concurrent signers never use the key of another.

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

fn identity(secret: &str) -> Identity {
    Identity::new(Credentials::new("AKID", secret, None, None, "model")).expect("valid")
}

fn sign(signer: &Signer, identity: &Identity, region: &str, time: SystemTime) -> String {
    let settings = SigningSettings::new("execute-api", region).expect("a scope");
    let params = SigningParams::new(&settings, identity, PayloadHash::EMPTY, time);
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
    let identities = ["secret", "changed"].map(|secret| (secret, identity(secret)));
    let of = |wanted: &str| {
        let found = identities.iter().find(|(secret, _)| *secret == wanted);
        found.expect("one of the two").1.clone()
    };
    let threads = cases().map(|(secret, region, time)| {
        let (signer, identity) = (signer.clone(), of(secret));
        thread::spawn(move || [(); 2].map(|()| sign(&signer, &identity, region, time)))
    });
    for (thread, (secret, region, time)) in threads.into_iter().zip(cases()) {
        let alone = sign(&Signer::new(), &identity(secret), region, time);
        assert_eq!(thread.join().expect("ended"), [alone.clone(), alone]);
    }
    // No concurrent insertion was lost.
    for (secret, keys) in [("secret", "keys: 3"), ("changed", "keys: 1")] {
        let shown = format!("{:?}", of(secret));
        assert!(shown.contains(keys), "{shown}");
    }
}

#[test]
fn concurrent_signers_use_their_own_keys() {
    schedules::check(model);
}
