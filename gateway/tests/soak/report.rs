//! What a soak comes to: its figures, and what is not as it has to be.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::{
    Counts,
    clients::ROUTES,
    figures::{Sample, mean, most, slope},
};

/// How much more a gateway may hold after a minute, in MiB.
const GROWTH: f64 = 1.0;

pub(crate) struct Report {
    pub(crate) took: Duration,
    pub(crate) clients: usize,
    pub(crate) admitted: usize,
    pub(crate) reloaded: u32,
    pub(crate) rotated: u32,
    pub(crate) broken_off: usize,
    pub(crate) counts: Counts,
    /// From the stop on.
    pub(crate) stop: Counts,
    pub(crate) stopped: Duration,
    pub(crate) ended: bool,
    /// What is not right, at clients and origins, and how often.
    pub(crate) wrong: BTreeMap<String, usize>,
    pub(crate) complaints: Vec<String>,
    /// Before, in and after the load.
    pub(crate) idle: Sample,
    pub(crate) samples: Vec<Sample>,
    pub(crate) after: Sample,
}

impl Report {
    /// Without the first fifth, in which pools and the cache fill.
    fn warm(&self) -> &[Sample] {
        &self.samples[self.samples.len() / 5..]
    }

    fn growth(&self) -> f64 {
        slope(self.warm(), |sample| sample.memory)
    }

    /// Descriptors in the first and the second half of the time.
    fn halves(&self) -> (f64, f64) {
        let (first, second) = self.warm().split_at(self.warm().len() / 2);
        let held = |samples| mean(samples, |sample| sample.descriptors);
        (held(first), held(second))
    }

    fn answered_after_stop(&self) -> usize {
        self.stop.right.values().sum::<usize>() + self.stop.shed
    }

    pub(crate) fn print(&self) {
        let (counts, stop) = (&self.counts, &self.stop);
        let right: usize = counts.right.values().sum();
        let mut by_method = BTreeMap::<_, usize>::new();
        for ((method, _), count) in &counts.right {
            *by_method.entry(method).or_default() += count;
        }
        let memory = |sample: &Sample| sample.memory;
        let fifths = self.samples.chunks(self.samples.len().div_ceil(5));
        let fifths = fifths
            .map(|fifth| format!("{:.1}", mean(fifth, memory)))
            .collect::<Vec<_>>();
        let halves = self.halves();
        for (what, figure) in [
            ("seconds", format!("{:.0}", self.took.as_secs_f64())),
            (
                "clients / admitted",
                format!("{} / {}", self.clients, self.admitted),
            ),
            (
                "requests",
                (right + counts.shed + counts.timed_out).to_string(),
            ),
            ("  right", format!("{right}: {}", listed(&by_method))),
            ("  by version", listed(&counts.by_version)),
            ("  from the cache", counts.stored.to_string()),
            (
                "  bytes of their answers",
                format!("{} MiB", counts.bytes >> 20),
            ),
            ("  shed, 503", counts.shed.to_string()),
            ("  timed out", counts.timed_out.to_string()),
            ("broken off by clients", self.broken_off.to_string()),
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
                "  in load, most",
                format!("{:.1} MiB", most(self.warm(), memory)),
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
                "  in load, by halves",
                format!("{:.1}, {:.1}", halves.0, halves.1),
            ),
            ("  idle after", self.after.descriptors.to_string()),
            (
                "stop, answered after it",
                self.answered_after_stop().to_string(),
            ),
            ("  not accepted any more", stop.turned_away.to_string()),
            ("  lost", stop.lost.to_string()),
            (
                "  ended after",
                format!("{:.1} s", self.stopped.as_secs_f64()),
            ),
        ] {
            println!("{what:<26} {figure}");
        }
    }

    pub(crate) fn fails(&self) -> Vec<String> {
        let (counts, (first, second)) = (&self.counts, self.halves());
        let mut fails: Vec<_> = self
            .wrong
            .iter()
            .map(|(what, count)| format!("{count} times: {what}"))
            .collect();
        fails.extend(self.complaints.iter().cloned());
        let mut claim = |holds: bool, what: String| {
            if !holds {
                fails.push(what);
            }
        };
        for route in &ROUTES {
            for method in ["GET", "HEAD", "PUT", "POST", "DELETE"] {
                let is_answered = counts.right.contains_key(&(method.to_owned(), route.name));
                claim(
                    is_answered,
                    format!("no {method} of /{} was answered", route.name),
                );
            }
        }
        claim(
            counts.by_version.len() == 2,
            "one version of HTTP was not answered".to_owned(),
        );
        claim(counts.stored > 0, "nothing came from the cache".to_owned());
        claim(counts.shed > 0, "nothing was shed".to_owned());
        claim(
            self.growth() < GROWTH,
            format!("memory grows by {:.2} MiB/min", self.growth()),
        );
        let grow = format!("descriptors grow from {first:.1} to {second:.1}");
        claim(second < first * 1.1, grow);
        let (before, after) = (self.idle.descriptors, self.after.descriptors);
        claim(
            after <= before,
            format!("{after} descriptors are left, there were {before}"),
        );
        claim(
            self.answered_after_stop() > 0,
            "nothing was answered after the stop".to_owned(),
        );
        claim(
            self.stop.lost == 0,
            format!("the stop lost {} requests", self.stop.lost),
        );
        claim(self.ended, "the gateway did not end well".to_owned());
        fails
    }
}

fn listed<K: fmt::Display>(counts: &BTreeMap<K, usize>) -> String {
    counts
        .iter()
        .map(|(what, count)| format!("{what} {count}"))
        .collect::<Vec<_>>()
        .join(", ")
}
