//! Random requests that this crate signs are accepted by its own verifier and by
//! scratchstack-aws-signature, and refused by both with one thing changed. Where the two differ is
//! listed in `wrong` and `lax`, each with its reason and a test; nothing else is kept from the random
//! requests.

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
fn random_requests_are_judged_alike() {
    let mut rng = Rng::with_seed(SEED);
    let (mut accepted, mut refused) = (0, 0);
    while accepted < COMPARED {
        let Some(mut case) = random_case(&mut rng) else {
            continue; // no crate can be given it
        };
        case = case.signed();
        let (verifier, judge) = (case.verifier(), case.judge());
        let verdicts = |case: &Case| (case.ours_by(&verifier), case.theirs_by(&judge));
        assert_eq!(verdicts(&case), (Ok(()), Ok(())), "{:#?}", case.request);
        accepted += 1;
        let (request, now) = (case.request.clone(), case.now);
        for change in CHANGES {
            change.make(&mut case, &mut rng);
            let verdicts = verdicts(&case);
            assert!(
                matches!(verdicts, (Err(_), Err(_))),
                "{change:?}: {verdicts:?}, {request:#?} became {:#?}",
                case.request,
            );
            refused += 1;
            (case.request, case.now) = (request.clone(), now);
        }
    }
    writeln!(
        io::stdout(),
        "{accepted} random requests accepted by both, {refused} refused by both"
    )
    .expect("written");
}
