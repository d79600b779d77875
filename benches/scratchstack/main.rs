//! Comparison with scratchstack-aws-signature: both verifiers accept random requests that this crate signs, and reject
//! them after one change. The modules `wrong` and `lax` list the differences, each with its reason and a test. The
//! random requests exclude only those.

mod case;
#[path = "../judge/mod.rs"]
mod judge;
mod lax;
mod random;
mod wrong;

use std::io::{self, Write};

use fastrand::Rng;

use self::{
    case::Case,
    random::{CHANGES, random_case},
};

const COMPARED: usize = 4_000;
const SEED: u64 = 0x5197_0005;

#[test]
fn both_verifiers_agree_on_random_requests() {
    let mut rng = Rng::with_seed(SEED);
    let (mut accepted, mut rejected) = (0, 0);
    while accepted < COMPARED {
        let Some(mut case) = random_case(&mut rng) else {
            continue; // not a valid `Request`
        };
        case = case.signed();
        let (verifier, judge) = (case.verifier(), case.judge());
        let results = |case: &Case| (case.ours_by(&verifier), case.theirs_by(&judge));
        assert_eq!(results(&case), (Ok(()), Ok(())), "{:#?}", case.request);
        accepted += 1;
        let (request, now) = (case.request.clone(), case.now);
        for change in CHANGES {
            change.apply(&mut case, &mut rng);
            let changed = results(&case);
            assert!(
                matches!(changed, (Err(_), Err(_))),
                "{change:?}: {changed:?}, {request:#?} became {:#?}",
                case.request,
            );
            rejected += 1;
            (case.request, case.now) = (request.clone(), now);
        }
    }
    writeln!(
        io::stdout(),
        "{accepted} random requests accepted by both, {rejected} rejected by both"
    )
    .expect("written");
}
