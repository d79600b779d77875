//! What the counters come to in each second.

use std::{collections::BTreeMap, time::Duration};

use prometheus::{core::Collector, proto::Metric};

use crate::metrics::Metrics;

/// What was counted up to some moment.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) requests: u64,
    failed: u64,
    /// How many requests took no longer than this, in seconds.
    within: Vec<(f64, u64)>,
    cache_asked: u64,
    cache_answered: u64,
    /// Requests that went to each origin.
    sent: BTreeMap<String, u64>,
}

impl Totals {
    pub(super) fn of(metrics: &Metrics) -> Self {
        let mut totals = Self::default();
        each(&metrics.durations, |metric| {
            let durations = metric.get_histogram();
            totals.requests += durations.get_sample_count();
            let buckets = durations.get_bucket();
            totals.within.resize(buckets.len(), (0.0, 0));
            for ((bound, count), bucket) in totals.within.iter_mut().zip(buckets) {
                *bound = bucket.upper_bound();
                *count += bucket.cumulative_count();
            }
        });
        each(&metrics.requests, |metric| {
            if label(metric, "code").starts_with('5') {
                totals.failed += count(metric);
            }
        });
        each(&metrics.cache, |metric| {
            let answered = ["hit", "hit-stale", "revalidated", "collapsed"];
            totals.cache_asked += count(metric);
            if answered.contains(&label(metric, "outcome")) {
                totals.cache_answered += count(metric);
            }
        });
        each(&metrics.phases, |metric| {
            if label(metric, "phase") == "origin" {
                let sent = totals
                    .sent
                    .entry(label(metric, "origin").to_owned())
                    .or_default();
                *sent += metric.get_histogram().get_sample_count();
            }
        });
        totals
    }

    /// What came since.
    pub(super) fn since(&self, before: &Self, at: u64, elapsed: Duration) -> Point {
        let rate = |now: u64, before: u64| per_second(now.saturating_sub(before), elapsed);
        let within = self.within.iter().enumerate().map(|(at, (bound, count))| {
            let before = before.within.get(at).map_or(0, |(_, count)| *count);
            (*bound, count.saturating_sub(before))
        });
        let (within, requests) = (
            within.collect::<Vec<_>>(),
            self.requests.saturating_sub(before.requests),
        );
        let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|share| quantile(&within, requests, share));
        Point(
            at,
            rate(self.requests, before.requests),
            rate(self.failed, before.failed),
            p50,
            p90,
            p99,
            self.cache_asked.saturating_sub(before.cache_asked),
            self.cache_answered.saturating_sub(before.cache_answered),
        )
    }

    /// How many requests a second went to an origin since.
    pub(super) fn sent(&self, origin: &str, before: &Self, elapsed: Duration) -> f64 {
        let sent = |totals: &Self| totals.sent.get(origin).copied().unwrap_or_default();
        per_second(sent(self).saturating_sub(sent(before)), elapsed)
    }
}

/// One second: when it ended, in milliseconds since the epoch; requests and failed requests, a second; the times that
/// half, 90 and 99 of 100 took no longer than, in seconds; what the cache was asked, and answered.
#[derive(Clone, serde::Serialize)]
pub(super) struct Point(
    u64,
    f64,
    f64,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    u64,
    u64,
);

fn each(collector: &impl Collector, mut see: impl FnMut(&Metric)) {
    for family in collector.collect() {
        family.get_metric().iter().for_each(&mut see);
    }
}

fn label<'a>(metric: &'a Metric, name: &str) -> &'a str {
    let found = metric.get_label().iter().find(|label| label.name() == name);
    found.map_or("", |label| label.value())
}

fn count(metric: &Metric) -> u64 {
    metric.get_counter().get_value() as u64
}

fn per_second(count: u64, elapsed: Duration) -> f64 {
    let rate = count as f64 / elapsed.as_secs_f64().max(0.001);
    (rate * 10.0).round() / 10.0
}

/// The time that a share of the requests took no longer than, as Prometheus estimates it: evenly spread in a bucket.
fn quantile(within: &[(f64, u64)], requests: u64, share: f64) -> Option<f64> {
    if requests == 0 {
        return None;
    }
    let rank = share * requests as f64;
    let (mut below, mut fewer) = (0.0, 0);
    for (bound, count) in within {
        if *count as f64 >= rank {
            let part = (rank - fewer as f64) / (count - fewer) as f64;
            let time: f64 = below + (bound - below) * part;
            return Some((time * 1e6).round() / 1e6);
        }
        (below, fewer) = (*bound, *count);
    }
    Some(below) // longer than the last bound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_the_bounds_of_their_bucket() {
        let within = [(0.1, 50), (0.2, 90), (0.4, 90), (1.0, 99)];
        for (share, time) in [
            (0.5, 0.1),
            (0.25, 0.05),
            (0.7, 0.15),
            (0.9, 0.2),
            (0.95, 0.733_333),
            (0.999, 1.0),
        ] {
            assert_eq!(quantile(&within, 100, share), Some(time), "{share}");
        }
        assert_eq!(quantile(&within, 0, 0.5), None);
        assert_eq!(quantile(&[], 1, 0.5), Some(0.0));
    }
}
