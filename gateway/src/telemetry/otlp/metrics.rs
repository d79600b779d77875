//! The metrics of the Prometheus page as messages of OTLP.
//!
//! OpenTelemetry's SDK has no histogram that is read on demand, so a second count of each request would be its
//! alternative.

use std::{collections::BTreeMap, time::SystemTime};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::KeyValue,
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point::Value,
    },
};
use prometheus::proto::{Metric as Sample, MetricFamily, MetricType};

use super::spans::{nanos, resource, scope, text};

pub(super) fn request(
    attributes: &BTreeMap<String, String>,
    started: SystemTime,
    families: &[MetricFamily],
) -> ExportMetricsServiceRequest {
    let times = (nanos(started), nanos(SystemTime::now()));
    let scope_metrics = ScopeMetrics {
        scope: Some(scope()),
        metrics: families.iter().filter_map(|it| metric(it, times)).collect(),
        ..ScopeMetrics::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource(attributes)),
            scope_metrics: vec![scope_metrics],
            ..ResourceMetrics::default()
        }],
    }
}

fn metric(family: &MetricFamily, times: (u64, u64)) -> Option<Metric> {
    let samples = family.get_metric();
    let numbers = |value: fn(&Sample) -> f64| {
        let points = samples.iter().map(|sample| NumberDataPoint {
            attributes: labels(sample),
            start_time_unix_nano: times.0,
            time_unix_nano: times.1,
            value: Some(Value::AsDouble(value(sample))),
            ..NumberDataPoint::default()
        });
        points.collect()
    };
    let cumulative = AggregationTemporality::Cumulative.into();
    let data = match family.get_field_type() {
        MetricType::COUNTER => Data::Sum(Sum {
            data_points: numbers(|sample| sample.get_counter().get_value()),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        MetricType::GAUGE => Data::Gauge(Gauge {
            data_points: numbers(|sample| sample.get_gauge().get_value()),
        }),
        MetricType::HISTOGRAM => Data::Histogram(Histogram {
            data_points: samples.iter().map(|it| histogram(it, times)).collect(),
            aggregation_temporality: cumulative,
        }),
        _ => return None, // the registry has no others
    };
    Some(Metric {
        name: family.name().to_owned(),
        description: family.help().to_owned(),
        unit: unit(family.name()).to_owned(),
        data: Some(data),
        ..Metric::default()
    })
}

fn labels(sample: &Sample) -> Vec<KeyValue> {
    let pairs = sample.get_label().iter();
    pairs
        .map(|label| text(label.name(), label.value()))
        .collect()
}

/// Prometheus counts a bucket's samples with those of all smaller ones.
fn histogram(sample: &Sample, (start, now): (u64, u64)) -> HistogramDataPoint {
    let measured = sample.get_histogram();
    let mut below = 0;
    let mut bounds = Vec::new();
    let mut counts = Vec::new();
    for bucket in measured.get_bucket() {
        if bucket.upper_bound().is_finite() {
            bounds.push(bucket.upper_bound());
            counts.push(bucket.cumulative_count().saturating_sub(below));
            below = bucket.cumulative_count();
        }
    }
    counts.push(measured.get_sample_count().saturating_sub(below));
    HistogramDataPoint {
        attributes: labels(sample),
        start_time_unix_nano: start,
        time_unix_nano: now,
        count: measured.get_sample_count(),
        sum: Some(measured.get_sample_sum()),
        bucket_counts: counts,
        explicit_bounds: bounds,
        ..HistogramDataPoint::default()
    }
}

/// Returns the unit in UCUM's notation, from the name.
fn unit(name: &str) -> &'static str {
    let base = name.strip_suffix("_total").unwrap_or(name);
    if base.ends_with("_seconds") {
        "s"
    } else if base.ends_with("_bytes") {
        "By"
    } else {
        ""
    }
}
