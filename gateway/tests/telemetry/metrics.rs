//! Metrics by OTLP beside the Prometheus page.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data, number_data_point::Value};

use crate::{
    collector::{Collector, texts, with_telemetry},
    support::{
        Gateway, TestOrigin, config, exchange,
        logging::{OK, request},
    },
};

/// Values that change between the two readings.
const CHANGING: [&str; 3] = [
    "sigv4_gateway_connections_open",
    "sigv4_gateway_body_budget_used_bytes",
    "sigv4_gateway_telemetry_spans_dropped_total",
];

/// Returns the samples in the names of the Prometheus page.
fn samples(metrics: &[Metric]) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    for metric in metrics {
        let mut insert = |suffix: &str, attributes: BTreeMap<String, String>, value: f64| {
            let labels: Vec<_> = attributes
                .iter()
                .map(|(name, it)| format!("{name}=\"{it}\""))
                .collect();
            let list = if labels.is_empty() {
                String::new()
            } else {
                format!("{{{}}}", labels.join(","))
            };
            samples.insert(format!("{}{suffix}{list}", metric.name), value);
        };
        let points = match metric.data.as_ref().expect("data") {
            Data::Sum(sum) => {
                assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
                &sum.data_points
            }
            Data::Gauge(gauge) => &gauge.data_points,
            Data::Histogram(histogram) => {
                assert_eq!(histogram.aggregation_temporality, 2);
                for point in &histogram.data_points {
                    let attributes = texts(&point.attributes);
                    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                    let mut below = 0;
                    let bounds = point.explicit_bounds.iter().map(ToString::to_string);
                    for (bound, count) in
                        bounds.chain(["+Inf".to_owned()]).zip(&point.bucket_counts)
                    {
                        below += count;
                        let mut with_bound = attributes.clone();
                        with_bound.insert("le".to_owned(), bound);
                        insert("_bucket", with_bound, below as f64);
                    }
                    insert("_count", attributes.clone(), point.count as f64);
                    insert("_sum", attributes, point.sum.expect("a sum"));
                }
                continue;
            }
            other => panic!("unexpected {other:?}"),
        };
        for point in points {
            let Some(Value::AsDouble(value)) = point.value else {
                panic!("no number")
            };
            insert("", texts(&point.attributes), value);
        }
    }
    samples
}

/// Returns the samples of the page, with sorted labels.
fn page_samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a value");
        let sorted = match name.split_once('{') {
            None => name.to_owned(),
            Some((base, rest)) => {
                let mut labels: Vec<_> = rest.trim_end_matches('}').split(',').collect();
                labels.sort_unstable();
                format!("{base}{{{}}}", labels.join(","))
            }
        };
        (sorted, value.parse().expect("a number"))
    };
    lines.map(sample).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn exported_metrics_equal_the_prometheus_page() {
    let origin = TestOrigin::start(OK).await;
    for protocol in ["grpc", "http"] {
        let collector = Collector::start().await;
        let plain = config(&format!("http://{}", origin.address), "")
            + "[admin]\nlisten = \"127.0.0.1:0\"\n";
        let keys = format!("sample = 0\nprotocol = \"{protocol}\"");
        let mut gateway = Gateway::with_config(&with_telemetry(&plain, collector.address, &keys));
        for target in ["/orders/1", "/orders/2", "/unknown"] {
            exchange(gateway.address, &request("GET", target, "")).await;
        }
        let admin = gateway
            .printed_after("admin http://")
            .parse()
            .expect("an address");
        let scrape = format!("GET /metrics HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
        let page = exchange(admin, &scrape).await;
        gateway.terminate();
        assert!(gateway.wait().success());
        let received = collector.received();
        let mut exported = samples(&received.metrics);
        let mut expected = page_samples(&page.body);
        for name in CHANGING {
            assert!(expected.remove(name).is_some(), "{name}");
            assert!(exported.remove(name).is_some(), "{name}");
        }
        let requests = "sigv4_gateway_requests_total{code=\"200\",method=\"GET\",origin=\"orders\",route=\"api.example.com/orders\"}";
        assert_eq!(expected.get(requests), Some(&2.0), "{expected:?}");
        assert_eq!(exported, expected);
        let unit = |name: &str| {
            let found = received.metrics.iter().find(|metric| metric.name == name);
            found.map(|metric| metric.unit.clone())
        };
        assert_eq!(
            unit("sigv4_gateway_request_duration_seconds").as_deref(),
            Some("s")
        );
        assert_eq!(
            unit("sigv4_gateway_hashed_bytes_total").as_deref(),
            Some("By")
        );
        assert!(received.spans.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_exported_at_the_interval() {
    let collector = Collector::start().await;
    let plain = config("http://127.0.0.1:1", "");
    let _gateway = Gateway::with_config(&with_telemetry(
        &plain,
        collector.address,
        "metrics_interval = \"100ms\"",
    ));
    let received = collector.wait_for(|it| it.heads.len() >= 2).await;
    assert!(
        received
            .metrics
            .iter()
            .any(|it| it.name == "sigv4_gateway_connections_open")
    );
}
