//! What a process holds, over time.

use std::{fs, time::Instant};

/// Of a process, at one moment.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    /// Since the first one.
    pub(crate) minutes: f64,
    /// Resident memory in MiB.
    pub(crate) memory: f64,
    pub(crate) descriptors: f64,
}

impl Sample {
    pub(crate) fn of(process: u32, since: Instant) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line
            .and_then(|line| line.trim().strip_suffix(" kB"))
            .expect("a size");
        let descriptors = fs::read_dir(format!("/proc/{process}/fd"))
            .expect("it runs")
            .count();
        Self {
            minutes: since.elapsed().as_secs_f64() / 60.0,
            memory: kib.parse::<f64>().expect("a number") / 1024.0,
            descriptors: descriptors as f64,
        }
    }
}

/// By how much a figure grows in a minute, by least squares.
pub(crate) fn slope(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    let (time, level) = (
        mean(samples, |sample| sample.minutes),
        mean(samples, &figure),
    );
    let (mut with, mut of) = (0.0, 0.0);
    for sample in samples {
        with += (sample.minutes - time) * (figure(sample) - level);
        of += (sample.minutes - time).powi(2);
    }
    with / of
}

pub(crate) fn mean(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    samples.iter().map(figure).sum::<f64>() / samples.len() as f64
}

pub(crate) fn most(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    samples.iter().map(figure).fold(0.0, f64::max)
}

#[test]
fn a_line_has_its_slope() {
    let sample = |minutes: f64| Sample {
        minutes,
        memory: 7.0 + 3.0 * minutes,
        descriptors: 9.0,
    };
    let samples: Vec<_> = [0.0, 0.5, 2.0].map(sample).into();
    assert!((slope(&samples, |sample| sample.memory) - 3.0).abs() < 1e-9);
    assert_eq!(slope(&samples, |sample| sample.descriptors), 0.0);
}
