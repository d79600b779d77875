//! Samples of the metrics, for the status page and for the other gateways of a fleet.

use std::{collections::BTreeMap, iter, time::Duration};

use prometheus::{
    core::Collector,
    proto::{Histogram, Metric},
};
use tokio::time::Instant;

use super::Metrics;

/// Counter values at one moment.
#[derive(Clone)]
pub(crate) struct Totals {
    read: Instant,
    all: RequestCounts,
    /// Those of routes with requests, by route and origin.
    pub(super) routes: BTreeMap<(String, String), RequestCounts>,
    cache_lookups: u64,
    cache_hits: u64,
    origin_requests: BTreeMap<String, u64>,
}

#[derive(Clone, Default)]
pub(super) struct RequestCounts {
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) buckets: Buckets,
}

impl Totals {
    pub(crate) fn read(metrics: &Metrics) -> Self {
        let mut totals = Self {
            read: Instant::now(),
            all: RequestCounts::default(),
            routes: BTreeMap::new(),
            cache_lookups: 0,
            cache_hits: 0,
            origin_requests: BTreeMap::new(),
        };
        for_each(&metrics.durations, |metric| {
            let durations = metric.get_histogram();
            if durations.get_sample_count() > 0 {
                for counts in totals.counts_of(metric) {
                    counts.requests += durations.get_sample_count();
                    counts.buckets.add(durations);
                }
            }
        });
        for_each(&metrics.requests, |metric| {
            if label(metric, "code").starts_with('5') {
                for counts in totals.counts_of(metric) {
                    counts.failed += count(metric);
                }
            }
        });
        for_each(&metrics.cache, |metric| {
            let hits = ["hit", "hit-stale", "revalidated", "collapsed"];
            totals.cache_lookups += count(metric);
            if hits.contains(&label(metric, "outcome")) {
                totals.cache_hits += count(metric);
            }
        });
        for_each(&metrics.phases, |metric| {
            if label(metric, "phase") == "origin" {
                let origin = label(metric, "origin").to_owned();
                *totals.origin_requests.entry(origin).or_default() +=
                    metric.get_histogram().get_sample_count();
            }
        });
        totals
    }

    /// Returns the counts of all routes, and those of the route of a metric.
    fn counts_of(&mut self, metric: &Metric) -> [&mut RequestCounts; 2] {
        let [route, origin] = ["route", "origin"].map(|name| label(metric, name).to_owned());
        let of_route = self.routes.entry((route, origin)).or_default();
        [&mut self.all, of_route]
    }

    pub(crate) fn requests(&self) -> u64 {
        self.all.requests
    }

    pub(crate) fn elapsed_since(&self, before: &Self) -> Duration {
        self.read - before.read
    }

    /// Returns the changes since `before`; `at` is in milliseconds since the epoch.
    pub(crate) fn point_since(&self, before: &Self, at: u64) -> Point {
        let elapsed = self.elapsed_since(before);
        let (all, earlier) = (&self.all, &before.all);
        let requests = all.requests.saturating_sub(earlier.requests);
        let [p50, p90, p99] = all.buckets.quantiles_since(&earlier.buckets, requests);
        Point(
            at,
            per_second(requests, elapsed),
            per_second(all.failed.saturating_sub(earlier.failed), elapsed),
            p50,
            p90,
            p99,
            self.cache_lookups.saturating_sub(before.cache_lookups),
            self.cache_hits.saturating_sub(before.cache_hits),
        )
    }

    /// Returns the requests per second to an origin since `before`.
    pub(crate) fn origin_rate(&self, origin: &str, before: &Self) -> f64 {
        let requests = |totals: &Self| totals.origin_requests.get(origin).copied().unwrap_or(0);
        let sent = requests(self).saturating_sub(requests(before));
        per_second(sent, self.elapsed_since(before))
    }
}

/// Response times: upper bounds in seconds, and numbers of requests that took no longer.
#[derive(Clone, Default)]
pub(super) struct Buckets(Vec<(f64, u64)>);

impl Buckets {
    fn add(&mut self, durations: &Histogram) {
        let buckets = durations.get_bucket();
        self.0.resize(buckets.len(), (0.0, 0));
        for ((bound, count), bucket) in self.0.iter_mut().zip(buckets) {
            *bound = bucket.upper_bound();
            *count += bucket.cumulative_count();
        }
    }

    /// Returns the quantiles 0.5, 0.9 and 0.99 of the requests since `before`, in seconds.
    pub(super) fn quantiles_since(&self, before: &Self, requests: u64) -> [Option<f64>; 3] {
        let counts_before = before.0.iter().map(|(_, count)| *count);
        let buckets: Vec<_> = self
            .0
            .iter()
            .zip(counts_before.chain(iter::repeat(0)))
            .map(|((bound, count), earlier)| (*bound, count.saturating_sub(earlier)))
            .collect();
        [0.5, 0.9, 0.99].map(|share| quantile(&buckets, requests, share))
    }
}

/// Sample of one second, an array in JSON: end in milliseconds since the epoch; requests and failed requests per
/// second; response times in seconds at the quantiles 0.5, 0.9 and 0.99; cache lookups and cache hits.
#[derive(Clone, serde::Serialize)]
pub(crate) struct Point(
    u64,
    f64,
    f64,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    u64,
    u64,
);

impl Point {
    pub(crate) fn requests_per_second(&self) -> f64 {
        self.1
    }

    pub(crate) fn failed_per_second(&self) -> f64 {
        self.2
    }

    pub(crate) fn p99(&self) -> Option<f64> {
        self.5
    }
}

fn for_each(collector: &impl Collector, mut visit: impl FnMut(&Metric)) {
    for family in collector.collect() {
        family.get_metric().iter().for_each(&mut visit);
    }
}

fn label<'a>(metric: &'a Metric, name: &str) -> &'a str {
    let found = metric.get_label().iter().find(|label| label.name() == name);
    found.map_or("", |label| label.value())
}

fn count(metric: &Metric) -> u64 {
    metric.get_counter().get_value() as u64
}

pub(super) fn per_second(count: u64, elapsed: Duration) -> f64 {
    let rate = count as f64 / elapsed.as_secs_f64().max(0.001);
    (rate * 10.0).round() / 10.0
}

/// Estimates a quantile as Prometheus does: times are evenly distributed within a bucket.
fn quantile(buckets: &[(f64, u64)], requests: u64, share: f64) -> Option<f64> {
    if requests == 0 {
        return None;
    }
    let rank = share * requests as f64;
    let mut lower_bound = 0.0;
    let mut lower_count = 0;
    for (bound, count) in buckets {
        if *count as f64 >= rank {
            let fraction = (rank - lower_count as f64) / (count - lower_count) as f64;
            let seconds: f64 = lower_bound + (bound - lower_bound) * fraction;
            return Some((seconds * 1e6).round() / 1e6);
        }
        lower_bound = *bound;
        lower_count = *count;
    }
    Some(lower_bound) // above the last bound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated_within_their_bucket() {
        let buckets = [(0.1, 50), (0.2, 90), (0.4, 90), (1.0, 99)];
        for (share, seconds) in [
            (0.5, 0.1),
            (0.25, 0.05),
            (0.7, 0.15),
            (0.9, 0.2),
            (0.95, 0.733_333),
            (0.999, 1.0),
        ] {
            assert_eq!(quantile(&buckets, 100, share), Some(seconds), "{share}");
        }
        assert_eq!(quantile(&buckets, 0, 0.5), None);
        assert_eq!(quantile(&[], 1, 0.5), Some(0.0));
    }
}
