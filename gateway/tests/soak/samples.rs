//! Memory and descriptors of a process over time.

use std::{fs, time::Instant};

/// Measurement at one moment.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    /// Time since the start.
    pub(crate) minutes: f64,
    /// Resident memory in MiB.
    pub(crate) memory: f64,
    pub(crate) descriptors: f64,
}

impl Sample {
    pub(crate) fn take(process: u32, start: Instant) -> Self {
        let status =
            fs::read_to_string(format!("/proc/{process}/status")).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line
            .and_then(|line| line.trim().strip_suffix(" kB"))
            .expect("a size");
        let descriptors = fs::read_dir(format!("/proc/{process}/fd"))
            .expect("a running process")
            .count();
        Self {
            minutes: start.elapsed().as_secs_f64() / 60.0,
            memory: kib.parse::<f64>().expect("a number") / 1024.0,
            descriptors: descriptors as f64,
        }
    }
}

/// Returns the growth per minute, by least squares.
pub(crate) fn slope(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    let time = mean(samples, |sample| sample.minutes);
    let level = mean(samples, &figure);
    let mut covariance = 0.0;
    let mut variance = 0.0;
    for sample in samples {
        covariance += (sample.minutes - time) * (figure(sample) - level);
        variance += (sample.minutes - time).powi(2);
    }
    covariance / variance
}

pub(crate) fn mean(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    samples.iter().map(figure).sum::<f64>() / samples.len() as f64
}

pub(crate) fn max(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    samples.iter().map(figure).fold(0.0, f64::max)
}

#[test]
fn slope_of_a_line_is_exact() {
    let sample = |minutes: f64| Sample {
        minutes,
        memory: 7.0 + 3.0 * minutes,
        descriptors: 9.0,
    };
    let samples: Vec<_> = [0.0, 0.5, 2.0].map(sample).into();
    assert!((slope(&samples, |sample| sample.memory) - 3.0).abs() < 1e-9);
    assert_eq!(slope(&samples, |sample| sample.descriptors), 0.0);
}
