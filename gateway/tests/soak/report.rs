//! Figures of a soak, and its failures.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::{
    Counts,
    clients::ROUTES,
    samples::{Sample, max, mean, slope},
};

/// MiB per minute.
const MAX_GROWTH: f64 = 1.0;

pub(crate) struct Report {
    pub(crate) duration: Duration,
    pub(crate) clients: usize,
    pub(crate) admitted: usize,
    pub(crate) reloaded: u32,
    pub(crate) rotated: u32,
    pub(crate) aborted: usize,
    pub(crate) counts: Counts,
    /// Counted since SIGTERM.
    pub(crate) stop: Counts,
    pub(crate) stopped: Duration,
    pub(crate) exited_cleanly: bool,
    /// Errors at clients and origins, with their number.
    pub(crate) wrong: BTreeMap<String, usize>,
    pub(crate) complaints: Vec<String>,
    /// Before, during and after the load.
    pub(crate) idle: Sample,
    pub(crate) samples: Vec<Sample>,
    pub(crate) after: Sample,
}

impl Report {
    /// Skips the first fifth, in which pools and the cache fill.
    fn warm(&self) -> &[Sample] {
        &self.samples[self.samples.len() / 5..]
    }

    fn growth(&self) -> f64 {
        slope(self.warm(), |sample| sample.memory)
    }

    /// Returns the mean of open descriptors in each half.
    fn halves(&self) -> (f64, f64) {
        let (first, second) = self.warm().split_at(self.warm().len() / 2);
        let held = |samples| mean(samples, |sample| sample.descriptors);
        (held(first), held(second))
    }

    fn responses_after_stop(&self) -> usize {
        self.stop.correct.values().sum::<usize>() + self.stop.shed
    }

    pub(crate) fn print(&self) {
        let counts = &self.counts;
        let stop = &self.stop;
        let correct: usize = counts.correct.values().sum();
        let mut by_method = BTreeMap::<_, usize>::new();
        for ((method, _), count) in &counts.correct {
            *by_method.entry(method).or_default() += count;
        }
        let memory = |sample: &Sample| sample.memory;
        let fifths = self.samples.chunks(self.samples.len().div_ceil(5));
        let fifths = fifths
            .map(|fifth| format!("{:.1}", mean(fifth, memory)))
            .collect::<Vec<_>>();
        let halves = self.halves();
        for (name, figure) in [
            ("seconds", format!("{:.0}", self.duration.as_secs_f64())),
            (
                "clients / admitted",
                format!("{} / {}", self.clients, self.admitted),
            ),
            (
                "requests",
                (correct + counts.shed + counts.timed_out).to_string(),
            ),
            ("  correct", format!("{correct}: {}", listed(&by_method))),
            ("  by version", listed(&counts.by_version)),
            ("  from the cache", counts.cached.to_string()),
            ("  response bytes", format!("{} MiB", counts.bytes >> 20)),
            ("  shed, 503", counts.shed.to_string()),
            ("  timed out", counts.timed_out.to_string()),
            ("aborted by clients", self.aborted.to_string()),
            (
                "reloads / rotations",
                format!("{} / {}", self.reloaded, self.rotated),
            ),
            ("wrong", self.wrong.values().sum::<usize>().to_string()),
            (
                "memory, idle before",
                format!("{:.1} MiB", self.idle.memory),
            ),
            (
                "  under load, maximum",
                format!("{:.1} MiB", max(self.warm(), memory)),
            ),
            (
                "  by fifths of the time",
                format!("{} MiB", fifths.join(", ")),
            ),
            ("  slope", format!("{:+.2} MiB/min", self.growth())),
            ("  idle after", format!("{:.1} MiB", self.after.memory)),
            (
                "descriptors, idle before",
                self.idle.descriptors.to_string(),
            ),
            (
                "  under load, by halves",
                format!("{:.1}, {:.1}", halves.0, halves.1),
            ),
            ("  idle after", self.after.descriptors.to_string()),
            (
                "stop, responses after it",
                self.responses_after_stop().to_string(),
            ),
            ("  not accepted", stop.not_accepted.to_string()),
            ("  lost", stop.lost.to_string()),
            (
                "  exited after",
                format!("{:.1} s", self.stopped.as_secs_f64()),
            ),
        ] {
            println!("{name:<26} {figure}");
        }
    }

    pub(crate) fn failures(&self) -> Vec<String> {
        let counts = &self.counts;
        let (first, second) = self.halves();
        let mut failures: Vec<_> = self
            .wrong
            .iter()
            .map(|(error, count)| format!("{count} times: {error}"))
            .collect();
        failures.extend(self.complaints.iter().cloned());
        let mut require = |holds: bool, message: String| {
            if !holds {
                failures.push(message);
            }
        };
        for route in &ROUTES {
            for method in ["GET", "HEAD", "PUT", "POST", "DELETE"] {
                let has_response = counts
                    .correct
                    .contains_key(&(method.to_owned(), route.name));
                require(
                    has_response,
                    format!("no correct response to {method} /{}", route.name),
                );
            }
        }
        require(
            counts.by_version.len() == 2,
            "no correct response over one version of HTTP".to_owned(),
        );
        require(counts.cached > 0, "nothing came from the cache".to_owned());
        require(counts.shed > 0, "nothing was shed".to_owned());
        require(
            self.growth() < MAX_GROWTH,
            format!("memory grows by {:.2} MiB/min", self.growth()),
        );
        let grow = format!("descriptors grow from {first:.1} to {second:.1}");
        require(second < first * 1.1, grow);
        let before = self.idle.descriptors;
        let after = self.after.descriptors;
        require(
            after <= before,
            format!("{after} descriptors are left, there were {before}"),
        );
        require(
            self.responses_after_stop() > 0,
            "no response after the stop".to_owned(),
        );
        require(
            self.stop.lost == 0,
            format!("the stop lost {} requests", self.stop.lost),
        );
        require(
            self.exited_cleanly,
            "the gateway did not exit cleanly".to_owned(),
        );
        failures
    }
}

fn listed<K: fmt::Display>(counts: &BTreeMap<K, usize>) -> String {
    counts
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect::<Vec<_>>()
        .join(", ")
}
