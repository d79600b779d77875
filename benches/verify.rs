//! The time to verify a request: this crate and scratchstack-aws-signature, in one run. Then the time
//! that this crate takes to refuse one.
//!
//! ```text
//! cargo bench -p tower-sigv4-benches --bench verify
//! ```

mod judge;
mod received;

use tower_sigv4_benches::compare;

fn main() {
    let measured = std::env::args().any(|arg| arg == "--bench"); // not by `cargo test --benches`
    for (title, received) in received::cases() {
        if measured {
            compare(title, received.contenders());
        }
    }
    let refused = received::refused();
    let refusals = refused.refusals();
    if measured {
        compare("GET, refused", refusals);
    }
}
