//! How often signing a request allocates: this crate, aws-sigv4 and reqsign; and how often verifying
//! one does: this crate and scratchstack-aws-signature.
//!
//! ```text
//! cargo bench -p tower-sigv4-benches --bench allocations
//! ```
//!
//! Apart from the times, since counting needs an allocator that takes some of its own.

mod judge;
mod layered;
mod received;
mod work;

use tower_sigv4_benches::Contender;

fn main() {
    for (title, work) in work::cases() {
        count(&format!("sign: {title}"), work.contenders());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.expect("a runtime").block_on(async {
        for (title, make, signing) in layered::cases() {
            count(
                &format!("layer: {title}"),
                layered::contenders(&make, signing),
            );
        }
    });
    for (title, received) in received::cases() {
        let counts = count(&format!("verify: {title}"), received.contenders());
        assert_eq!(
            counts[1], 0,
            "to accept a request this crate need not allocate"
        );
    }
    count("verify: GET, refused", received::refused().refusals());
}

/// Prints how often each contender allocates, and what of that the first does not.
fn count(title: &str, contenders: Vec<Contender<'_>>) -> Vec<u64> {
    println!("\n{title:<34}{:>8}", "allocs");
    let mut base = None;
    let counts = contenders.into_iter().map(|(name, mut run)| {
        run(2); // fills its caches
        let counted = allocation_counter::measure(|| run(1)).count_total;
        let net = counted.saturating_sub(*base.get_or_insert(counted));
        println!("  {name:<32}{net:>8}");
        net
    });
    counts.collect()
}
