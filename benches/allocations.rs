//! How often signing a request allocates: this crate, aws-sigv4 and reqsign.
//!
//! ```text
//! cargo bench -p tower-sigv4-benches --bench allocations
//! ```
//!
//! Apart from the times, since counting needs an allocator that takes some of its own.

mod work;

fn main() {
    for (title, work) in work::cases() {
        println!("\n{title:<26}{:>8}", "allocs");
        let mut base = None;
        for (name, mut run) in work.contenders() {
            run(2); // fills its caches
            let counted = allocation_counter::measure(|| run(1)).count_total;
            let base = *base.get_or_insert(counted);
            println!("  {name:<24}{:>8}", counted.saturating_sub(base));
        }
    }
}
