//! Time to sign with one identity and with 10,000, each in two regions, in an order that no cache predicts.
//!
//! ```text
//! cargo bench -p tower-sigv4-benches --bench identities
//! ```

#[allow(dead_code)]
mod layered;
mod tenants;

use tenants::Tenants;
use tower_sigv4_benches::{Contender, compare, contender};

const IDENTITIES: usize = 10_000;

fn main() {
    let measured = std::env::args().any(|arg| arg == "--bench"); // not by `cargo test --benches`
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.expect("a runtime").block_on(async {
        let (mut one, mut many) = (Tenants::new(1), Tenants::new(IDENTITIES));
        one.load(1).await;
        many.load(IDENTITIES).await;
        let signer = vec![
            contender("clone of the head", || many.next()),
            signer("1 identity", &one),
            signer("10,000 identities", &many),
        ];
        let layer = vec![
            contender("the service alone", || many.send_unsigned()),
            layer("1 identity", &one),
            layer("10,000 identities", &many),
        ];
        if measured {
            compare("sign GET, 2 regions", signer);
            compare("layer GET, 2 regions", layer);
        }
    });
}

fn signer<'a>(name: &'static str, tenants: &'a Tenants) -> Contender<'a> {
    contender(name, || tenants.sign_next())
}

fn layer<'a>(name: &'static str, tenants: &'a Tenants) -> Contender<'a> {
    contender(name, || tenants.send_next())
}
