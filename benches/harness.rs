//! Times contenders against each other, in one process and in turns.
//!
//! A machine's speed drifts by more than what is to be told apart. So each round times every
//! contender once, and what is compared is what was timed in the same round.

pub mod request;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// Rounds measured; each gives one sample of every contender.
const ROUNDS: usize = 60;

/// What one contender's turn in a round takes, about.
const TURN: Duration = Duration::from_millis(5);

/// A name, and the operation in a loop of so many iterations.
pub type Contender<'a> = (&'static str, Box<dyn FnMut(u32) + 'a>);

/// Gives an operation a name. Its result is dropped within the time measured.
pub fn contender<'a, T>(name: &'static str, mut op: impl FnMut() -> T + 'a) -> Contender<'a> {
    let run = move |iterations| {
        for _ in 0..iterations {
            black_box(op());
        }
    };
    (name, Box::new(run))
}

/// Times the contenders and prints a table of them.
///
/// The first is the base: what all of them do, and what is subtracted from each before it is
/// compared. The second is the one that the others are compared with; a ratio of 2 is half its speed.
///
/// | column | what it holds |
/// |---|---|
/// | median, min | ns for one operation, base included, over all rounds |
/// | net | median of the rounds' differences to the base, in ns |
/// | ratio | median of the rounds' ratios of net times |
///
/// # Panics
///
/// With fewer than two contenders.
pub fn compare(title: &str, contenders: Vec<Contender<'_>>) {
    table(title, None, contenders);
}

/// The same for operations on so many bytes, with a column of MiB/s from the net time.
///
/// # Panics
///
/// With fewer than two contenders.
pub fn compare_bytes(title: &str, bytes: usize, contenders: Vec<Contender<'_>>) {
    table(title, Some(bytes), contenders);
}

fn table(title: &str, bytes: Option<usize>, mut contenders: Vec<Contender<'_>>) {
    assert!(contenders.len() >= 2, "a base and a contender at least");
    let iterations: Vec<u32> = contenders.iter_mut().map(calibrate).collect();
    let rounds: Vec<Vec<f64>> = (0..ROUNDS)
        .map(|_| {
            let turns = contenders.iter_mut().zip(&iterations);
            turns
                .map(|(contender, &iterations)| nanos_per_op(contender, iterations))
                .collect()
        })
        .collect();

    let [middle, min, net, ratio] = ["median", "min", "net", "ratio"];
    let speed = if bytes.is_some() { "MiB/s" } else { "" };
    println!("\n{title:<26}{middle:>11}{min:>11}{net:>11}{ratio:>8}{speed:>9}");
    let net_of = |round: &[f64], i: usize| round[i] - round[0];
    for (i, (name, _)) in contenders.iter().enumerate() {
        let times = sorted(rounds.iter().map(|round| round[i]));
        let net = median(rounds.iter().map(|round| net_of(round, i)));
        let ratio = median(
            rounds
                .iter()
                .map(|round| net_of(round, i) / net_of(round, 1)),
        );
        let (middle, min) = (times[ROUNDS / 2], times[0]);
        print!("  {name:<24}{middle:>11.0}{min:>11.0}{net:>11.0}{ratio:>8.3}");
        match bytes {
            Some(bytes) if i > 0 => println!("{:>9.0}", bytes as f64 / net * 1e9 / 1_048_576.0),
            _ => println!(),
        }
    }
}

/// Iterations that take one turn; also warms up.
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
    let mut samples: Vec<f64> = samples.collect();
    samples.sort_by(f64::total_cmp);
    samples
}

fn median(samples: impl Iterator<Item = f64>) -> f64 {
    sorted(samples)[ROUNDS / 2]
}
