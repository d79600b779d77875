//! Allocations per signed request (this crate, aws-sigv4 and reqsign) and per verified request (this crate and
//! scratchstack-aws-signature).
//!
//! ```text
//! cargo bench -p tower-sigv4-benches --bench allocations
//! ```
//!
//! A program of its own, since the counting allocator takes time.

mod judge;
mod layered;
mod received;
#[allow(dead_code)]
mod tenants;
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
    identities();
    for (title, received) in received::cases() {
        let counts = count(&format!("verify: {title}"), received.contenders());
        assert_eq!(
            counts[1], 0,
            "this crate accepts a request without allocating"
        );
    }
    count("verify: GET, rejected", received::to_reject().rejections());
}

/// Prints the memory of an identity in `Identities`: with its cache, and with signing keys for two regions.
fn identities() {
    const COUNT: usize = 10_000;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime");
    let mut tenants = tenants::Tenants::new(COUNT);
    println!("\n{:<34}{:>8}", "an identity", "bytes");
    let mut print = |name: &str, step: &mut dyn FnMut(&mut tenants::Tenants)| {
        let bytes = allocation_counter::measure(|| step(&mut tenants)).bytes_current;
        println!("  {name:<32}{:>8}", bytes / COUNT as i64);
    };
    print("credentials and cache", &mut |set| {
        runtime.block_on(set.load(COUNT))
    });
    print("signing keys of 2 regions", &mut |set| set.derive_keys());
}

/// Prints the allocations of each contender without those of the first.
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
