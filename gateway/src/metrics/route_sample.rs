//! Requests and response times of each route in the last minutes, for the status page.

use std::{cmp::Reverse, time::Duration};

use serde::Serialize;

use super::sample::{RequestCounts, Totals, per_second};

/// Time after which the older half of the window is dropped. The window is one to two times as long.
const ROTATION: Duration = Duration::from_secs(60);
/// Maximum number of routes that are shown.
const MAX_ROUTES: usize = 20;

/// The last one to two minutes.
#[derive(Default)]
pub(crate) struct RouteWindow {
    first: Option<Totals>,
    second: Option<Totals>,
}

/// Figures of a route in the window.
#[derive(Serialize)]
pub(crate) struct RouteFigures {
    route: String,
    origin: String,
    requests_per_second: f64,
    /// Share of responses with a status of 500 or more.
    failed: f64,
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
}

impl RouteWindow {
    /// Returns the busiest routes, and the number of others with requests in the window.
    pub(crate) fn sample(&mut self, now: &Totals) -> (Vec<RouteFigures>, usize) {
        let start = self.first.get_or_insert_with(|| now.clone());
        let mut used = figures(start, now);
        let others = used.len().saturating_sub(MAX_ROUTES);
        used.truncate(MAX_ROUTES);
        match &self.second {
            None => self.second = Some(now.clone()),
            Some(newer) if now.elapsed_since(newer) >= ROTATION => {
                self.first = self.second.replace(now.clone());
            }
            Some(_) => {}
        }
        (used, others)
    }
}

/// Returns the figures of routes with requests between two moments, the busiest first.
fn figures(before: &Totals, now: &Totals) -> Vec<RouteFigures> {
    let elapsed = now.elapsed_since(before);
    let none = RequestCounts::default();
    let mut used: Vec<_> = now
        .routes
        .iter()
        .filter_map(|(key, counts)| {
            let earlier = before.routes.get(key).unwrap_or(&none);
            let requests = counts.requests.saturating_sub(earlier.requests);
            (requests > 0).then_some((requests, key, counts, earlier))
        })
        .collect();
    used.sort_by_key(|(requests, key, ..)| (Reverse(*requests), *key));
    used.into_iter()
        .map(|(requests, (route, origin), counts, earlier)| {
            let failed = counts.failed.saturating_sub(earlier.failed);
            let [p50, p90, p99] = counts.buckets.quantiles_since(&earlier.buckets, requests);
            RouteFigures {
                route: route.clone(),
                origin: origin.clone(),
                requests_per_second: per_second(requests, elapsed),
                failed: failed as f64 / requests as f64,
                p50,
                p90,
                p99,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};

    use super::*;
    use crate::metrics::Metrics;

    fn request(metrics: &Metrics, route: &str, millis: u64, code: StatusCode) {
        let labels = [route, "o"];
        let seconds = Duration::from_millis(millis).as_secs_f64();
        metrics
            .durations
            .with_label_values(&labels)
            .observe(seconds);
        metrics
            .requests
            .with_label_values(&[route, "o", Method::GET.as_str(), code.as_str()])
            .inc();
    }

    #[tokio::test(start_paused = true)]
    async fn figures_are_those_of_the_last_minutes() {
        let metrics = Metrics::new().expect("valid metrics");
        request(&metrics, "/early", 1, StatusCode::OK);
        let mut window = RouteWindow::default();
        let (used, others) = window.sample(&Totals::read(&metrics));
        assert!(used.is_empty() && others == 0);
        for _ in 0..9 {
            request(&metrics, "/a", 20, StatusCode::OK);
        }
        request(&metrics, "/a", 200, StatusCode::BAD_GATEWAY);
        for number in 0..25 {
            request(&metrics, &format!("/{number}"), 1, StatusCode::OK);
        }
        tokio::time::advance(Duration::from_secs(10)).await;
        let (used, others) = window.sample(&Totals::read(&metrics));
        assert_eq!((used.len(), others), (MAX_ROUTES, 6));
        let busiest = &used[0];
        assert_eq!((&*busiest.route, &*busiest.origin), ("/a", "o"));
        assert_eq!((busiest.requests_per_second, busiest.failed), (1.0, 0.1));
        let p99 = busiest.p99.expect("a time");
        assert!((0.1..=0.25).contains(&p99), "{p99}");
        assert!(busiest.p50.is_some_and(|seconds| seconds <= 0.025));
        for _ in 0..3 {
            tokio::time::advance(ROTATION).await;
            window.sample(&Totals::read(&metrics));
        }
        let (used, _) = window.sample(&Totals::read(&metrics));
        assert!(used.is_empty());
    }
}
