//! Compares the times of contenders in one process.
//!
//! The speed of a machine changes by more than the differences of interest. So each round measures every contender
//! once, and only times of the same round are compared.

pub mod request;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// Number of rounds; each gives one sample per contender.
const ROUNDS: usize = 60;

/// Approximate time of one contender in a round.
const TURN: Duration = Duration::from_millis(5);

/// A name, and a function that runs the operation a number of times.
pub type Contender<'a> = (&'static str, Box<dyn FnMut(u32) + 'a>);

/// Creates a contender. The measured time includes dropping the result.
pub fn contender<'a, T>(name: &'static str, mut op: impl FnMut() -> T + 'a) -> Contender<'a> {
    let run = move |iterations| {
        for _ in 0..iterations {
            black_box(op());
        }
    };
    (name, Box::new(run))
}

/// Measures contenders and prints a table.
///
/// The first contender is the base, the work that all of them do, which is subtracted. The second is the reference; a
/// ratio of 2 is half its speed.
///
/// | column | content |
/// |---|---|
/// | median, min | ns per operation, including the base |
/// | net | median difference to the base in ns |
/// | ratio | median ratio of the net time to that of the reference |
///
/// # Panics
///
/// Panics with fewer than two contenders.
pub fn compare(title: &str, contenders: Vec<Contender<'_>>) {
    table(title, None, contenders);
}

/// As [`compare`], for operations on a number of bytes, with a column of MiB/s from the net time.
///
/// # Panics
///
/// Panics with fewer than two contenders.
pub fn compare_bytes(title: &str, bytes: usize, contenders: Vec<Contender<'_>>) {
    table(title, Some(bytes), contenders);
}

fn table(title: &str, bytes: Option<usize>, mut contenders: Vec<Contender<'_>>) {
    assert!(contenders.len() >= 2, "at least a base and a contender");
    let iterations: Vec<u32> = contenders.iter_mut().map(calibrate).collect();
    let rounds: Vec<Vec<f64>> = (0..ROUNDS)
        .map(|_| {
            let turns = contenders.iter_mut().zip(&iterations);
            turns
                .map(|(contender, &count)| nanos_per_op(contender, count))
                .collect()
        })
        .collect();

    let [middle, min, net, ratio] = ["median", "min", "net", "ratio"];
    let speed = if bytes.is_some() { "MiB/s" } else { "" };
    println!("\n{title:<26}{middle:>11}{min:>11}{net:>11}{ratio:>8}{speed:>9}");
    let net_of = |round: &[f64], i: usize| round[i] - round[0];
    for (i, (name, _)) in contenders.iter().enumerate() {
        let times = sorted(rounds.iter().map(|round| round[i]));
        let net_median = median(rounds.iter().map(|round| net_of(round, i)));
        let ratio_median = median(
            rounds
                .iter()
                .map(|round| net_of(round, i) / net_of(round, 1)),
        );
        let (time_median, time_min) = (times[ROUNDS / 2], times[0]);
        print!(
            "  {name:<24}{time_median:>11.0}{time_min:>11.0}{net_median:>11.0}{ratio_median:>8.3}"
        );
        match bytes {
            Some(len) if i > 0 => {
                println!("{:>9.0}", len as f64 / net_median * 1e9 / 1_048_576.0);
            }
            _ => println!(),
        }
    }
}

/// Returns the number of iterations that takes [`TURN`]. Also warms up.
fn calibrate(contender: &mut Contender<'_>) -> u32 {
    let mut iterations = 1;
    loop {
        let nanos = nanos_per_op(contender, iterations);
        let turn = TURN.as_nanos() as f64 / nanos;
        if f64::from(iterations) * 2.0 > turn {
            return (turn as u32).max(1);
        }
        iterations *= 2;
    }
}

fn nanos_per_op((_, run): &mut Contender<'_>, iterations: u32) -> f64 {
    let start = Instant::now();
    run(iterations);
    start.elapsed().as_nanos() as f64 / f64::from(iterations)
}

fn sorted(samples: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = samples.collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn median(samples: impl Iterator<Item = f64>) -> f64 {
    sorted(samples)[ROUNDS / 2]
}
