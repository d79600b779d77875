//! Time that the signing layer adds to a service that does nothing, and its scaling with threads and origins.
//!
//! ```text
//! cargo bench -p tower-sigv4-benches --bench layer
//! ```

mod layered;

use std::{
    hint::black_box,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use http::StatusCode;
use layered::{Incoming, Make, Sink, send};
use tower_sigv4::Signing;
use tower_sigv4_benches::{Contender, compare, contender};

const ORIGINS: usize = 10_000;

/// Number of rounds with one and two threads; the result is the median.
const ROUNDS: usize = 31;
const TURN: Duration = Duration::from_millis(50);

fn main() {
    let measured = std::env::args().any(|arg| arg == "--bench"); // not by `cargo test --benches`
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.expect("a runtime").block_on(async {
        for (title, make, signing) in layered::cases() {
            let contenders = layered::contenders(&make, signing.clone());
            if measured {
                compare(&title, contenders);
                threads(&make, &signing);
            }
        }
        let (one, signing_one) = layered::to_origins(1);
        let (many, signing_many) = layered::to_origins(ORIGINS);
        let copies = vec![one[0].clone(); ORIGINS]; // touches the same amount of memory
        let contenders = vec![
            contender("the service alone", in_turn(&many, Sink)),
            in_turn_signed("one origin", &copies, signing_one),
            in_turn_signed("10,000 origins", &many, signing_many),
        ];
        if measured {
            compare("GET, its host resolved", contenders);
        }
    });
}

/// Sends the requests in an order that the processor's caches do not predict.
fn in_turn<S, B>(requests: &[Incoming], mut service: S) -> impl FnMut() -> StatusCode
where
    S: tower::Service<Incoming, Response = http::Response<B>>,
    S::Error: std::fmt::Debug,
{
    let mut next = 0;
    move || {
        next = (next + 7_919) % requests.len(); // a prime, so that every request is sent
        send(&mut service, requests[next].clone())
    }
}

fn in_turn_signed<'a>(
    name: &'static str,
    requests: &'a [Incoming],
    mut signing: Signing<Sink>,
) -> Contender<'a> {
    for request in requests {
        assert_eq!(
            send(&mut signing, request.clone()),
            StatusCode::OK,
            "{}",
            request.uri()
        );
    }
    contender(name, in_turn(requests, signing))
}

/// Prints the throughput of two threads relative to one, each with a clone of the service.
fn threads(make: &Make, signing: &Signing<Sink>) {
    let ratio = |_| {
        let [one, two] = [1, 2].map(|threads| per_second(threads, make, signing));
        two / one
    };
    let mut ratios: Vec<f64> = (0..ROUNDS).map(ratio).collect();
    ratios.sort_by(f64::total_cmp);
    println!(
        "  two threads sign {:.2} times as many as one",
        ratios[ROUNDS / 2]
    );
}

fn per_second(threads: usize, make: &Make, signing: &Signing<Sink>) -> f64 {
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        let turn = || {
            let (request, mut service) = (make(), signing.clone());
            start.wait();
            let (began, mut signed) = (Instant::now(), 0_u32);
            while began.elapsed() < TURN {
                for _ in 0..64 {
                    black_box(send(&mut service, request.clone()));
                }
                signed += 64;
            }
            f64::from(signed) / began.elapsed().as_secs_f64()
        };
        let turns: Vec<_> = (0..threads).map(|_| scope.spawn(turn)).collect();
        turns
            .into_iter()
            .map(|handle| handle.join().expect("no panic"))
            .sum()
    })
}
