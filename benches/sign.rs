//! Time to sign a request: this crate, aws-sigv4 and reqsign.
//!
//! ```text
//! cargo bench -p tower-sigv4-benches --bench sign
//! ```

mod work;

use tower_sigv4_benches::compare;

fn main() {
    let measured = std::env::args().any(|arg| arg == "--bench"); // not by `cargo test --benches`
    for (title, work) in work::cases() {
        if measured {
            compare(&title, work.contenders());
        }
    }
}
