//! Time to verify a request, with this crate and scratchstack-aws-signature, and time to reject one, with this crate.
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
    let request = received::to_reject();
    let rejections = request.rejections();
    if measured {
        compare("GET, rejected", rejections);
    }
}
