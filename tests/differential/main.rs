//! Comparison with botocore: both sign the same random requests and agree at each stage. The verifier accepts requests
//! that botocore signed, and rejects them after a change. The end of the file lists the differences.
//!
//! `scripts/interop` runs these tests, and sets `BOTOCORE_PYTHON` to a Python that has botocore. `DIFFERENTIAL_SEED`
//! repeats a run.

mod botocore;
mod case;
mod changes;
#[path = "../common/mod.rs"]
mod common;
mod differences;
mod random_case;

use std::{
    collections::BTreeMap,
    env,
    io::{self, Write},
};

use fastrand::Rng;
use http::request::Parts;
use tower_sigv4::{
    sigv4::{Explanation, Signer},
    verify::RejectionKind,
};

use crate::common::has_valid_escapes;
use botocore::{Botocore, BotocoreSignature, signature};
use case::Case;
use changes::{CHANGES, Received};
use random_case::random_case;

const REQUESTS: usize = 10_000;

const ID: &str = "AKIDEXAMPLE";

/// Signers of botocore, in Python and in C (awscrt).
const CLASSES: [&str; 8] = [
    "SigV4Auth",
    "S3SigV4Auth",
    "SigV4QueryAuth",
    "S3SigV4QueryAuth",
    "CrtSigV4Auth",
    "CrtS3SigV4Auth",
    "CrtSigV4QueryAuth",
    "CrtS3SigV4QueryAuth",
];

/// Signers of SigV4a, all from awscrt. Their signatures are random and slow.
const ASYMMETRIC: [&str; 4] = [
    "CrtSigV4AsymAuth",
    "CrtS3SigV4AsymAuth",
    "CrtSigV4AsymQueryAuth",
    "CrtS3SigV4AsymQueryAuth",
];

#[tokio::test]
#[ignore = "needs botocore; run scripts/interop"]
async fn random_requests_match_botocore_and_are_rejected_after_changes() {
    let seed = env::var("DIFFERENTIAL_SEED").ok();
    let seed = seed.map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    writeln!(io::stdout(), "DIFFERENTIAL_SEED={seed}").expect("written");
    let mut rng = Rng::with_seed(seed);
    let mut botocore = Botocore::start();
    let signer = Signer::new();
    let mut counts = BTreeMap::new();
    let mut count = |kind, found: bool| *counts.entry(kind).or_insert(0) += usize::from(found);
    CLASSES
        .into_iter()
        .chain(CHANGES.map(|(name, _)| name))
        .for_each(|kind| count(kind, false));
    if cfg!(feature = "sigv4a") {
        ASYMMETRIC.into_iter().for_each(|class| count(class, false));
    }
    for _ in 0..REQUESTS {
        let case = random_case(&mut rng);
        let botocore_signature = botocore
            .sign(&case)
            .unwrap_or_else(|error| panic!("{error}: {case:#?}"));
        let (ours, explanation) = case.ours(&signer);
        if case.is_asymmetric() {
            botocore.assert_verifies(&case, &ours, &explanation);
        } else {
            assert_agrees(&case, &botocore_signature, &ours, &explanation);
        }
        case.count(&mut count);

        let received = Received::new(&case, &botocore_signature, &ours, &mut rng);
        let result = received.verify(&case).await;
        if !has_valid_escapes(case.path()) {
            assert_eq!(result, Err(RejectionKind::Target), "{case:#?}");
            count("rejected for a malformed escape", true);
            continue;
        }
        assert_eq!(result, Ok(()), "{case:#?}");
        count("accepted", true);
        let canonical = String::from_utf8_lossy(&explanation.canonical_request);
        let (name, change) = CHANGES[rng.usize(..CHANGES.len())];
        let mut changed = received.clone();
        let Some(kind) = change(&mut changed, &case, &canonical, &mut rng) else {
            continue;
        };
        assert_eq!(
            changed.verify(&case).await,
            Err(kind),
            "{name}: {changed:#?} of {case:#?}"
        );
        count(name, true);
    }
    botocore.end();
    for (kind, count) in counts {
        writeln!(io::stdout(), "{count:>6} {kind}").expect("written");
        assert!(count >= REQUESTS / 500, "{kind}: {count}");
    }
}

/// Asserts that both computed the same signature by the same stages.
fn assert_agrees(
    case: &Case,
    botocore_signature: &BotocoreSignature,
    ours: &Parts,
    explanation: &Explanation,
) {
    let canonical = String::from_utf8_lossy(&explanation.canonical_request);
    if !case.is_crt() {
        assert_eq!(
            Some(&*canonical),
            botocore_signature.canonical_request.as_deref(),
            "{case:#?}"
        );
        let to_sign = botocore_signature.string_to_sign.as_deref();
        assert_eq!(Some(&*explanation.string_to_sign), to_sign, "{case:#?}");
    }
    assert_eq!(
        explanation.signature,
        botocore_signature.signature(),
        "{canonical}\n{case:#?}"
    );
    match botocore_signature.authorization() {
        Some(botocore_signature) => assert_eq!(
            common::header(&ours.headers, "authorization"),
            botocore_signature
        ),
        None => assert_eq!(
            signature(&ours.uri.to_string()),
            botocore_signature.signature()
        ),
    }
}
