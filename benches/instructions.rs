//! Instructions per operation in the cases of the other benchmarks, counted by callgrind:
//!
//! ```text
//! scripts/instructions
//! ```
//!
//! Instruction counts are the same in each run, so that CI can check them; times differ by a few per cent unless the
//! machine is idle. Callgrind counts and dumps each call of [`measured`], and the program prints the contender of each
//! call in the same order.

mod judge;
mod layered;
mod received;
mod work;

use std::hint::black_box;

use tower_sigv4_benches::Contender;

/// Operations per measurement, and before it to warm up.
const TURN: u32 = 10;

fn main() {
    // Bodies of 1 MiB would only measure SHA-256.
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
    turns("verify GET, rejected", received::to_reject().rejections());
}

fn turns(title: &str, contenders: Vec<Contender<'_>>) {
    for (name, mut run) in contenders {
        run(TURN); // fills its caches
        measured(&mut run);
        println!("{title}\t{name}\t{TURN}");
    }
}

/// Callgrind counts the instructions of this function.
#[inline(never)]
fn measured(run: &mut dyn FnMut(u32)) {
    run(TURN);
    black_box(()); // prevents a tail call, after which callgrind would miss the end of this function
}
