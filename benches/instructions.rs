//! The instructions that one operation takes, in the cases of the other benchmarks, for callgrind to count:
//!
//! ```text
//! scripts/instructions
//! ```
//!
//! Times tell a few per cent apart on a quiet machine alone; instructions are the same in each run, so that
//! CI can hold them. Each turn is one call of [`measured`], which callgrind counts and dumps; whose turn it
//! was is printed, in that order.

mod judge;
mod layered;
mod received;
mod work;

use std::hint::black_box;

use tower_sigv4_benches::Contender;

/// Operations in a turn, and before it.
const TURN: u32 = 10;

fn main() {
    // Those of 1 MiB would count SHA-256 alone.
    for (title, work) in work::cases().take(4) {
        turns(&format!("sign {title}"), work.contenders());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.expect("a runtime").block_on(async {
        for (title, make, signing) in layered::cases() {
            turns(
                &format!("layer {title}"),
                layered::contenders(&make, signing),
            );
        }
    });
    for (title, received) in received::cases() {
        turns(&format!("verify {title}"), received.contenders());
    }
    turns("verify GET, refused", received::refused().refusals());
}

fn turns(title: &str, contenders: Vec<Contender<'_>>) {
    for (name, mut run) in contenders {
        run(TURN); // fills its caches
        measured(&mut run);
        println!("{title}\t{name}\t{TURN}");
    }
}

/// What is counted.
#[inline(never)]
fn measured(run: &mut dyn FnMut(u32)) {
    run(TURN);
    black_box(()); // or the call above would be a jump, and callgrind would not see this function end
}
