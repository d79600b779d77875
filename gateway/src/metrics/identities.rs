//! Metrics of identities, read on demand. Labels are the names in the configuration.

use std::{sync::Arc, time::SystemTime};

use prometheus::{GaugeVec, IntCounterVec, Opts, core::Collector, proto::MetricFamily};

use super::prefixed;
use crate::identity::Identity;

/// Returns the state of each identity.
///
/// The counters begin at zero when a reload replaces the identity, which Prometheus handles as a restart.
pub(super) fn families(identities: &[Arc<Identity>]) -> prometheus::Result<Vec<MetricFamily>> {
    let gauges = |name, help| GaugeVec::new(Opts::new(prefixed(name), help), &["identity"]);
    let remaining = gauges(
        "credentials_remaining_seconds",
        "Time until the current credentials expire; absent if they do not.",
    )?;
    let sessions = gauges(
        "identity_sessions",
        "Sessions whose credentials are kept, of an identity that differs by request.",
    )?;
    let calls = IntCounterVec::new(
        Opts::new(
            prefixed("identity_calls_total"),
            "Calls of an identity's source, or of STS for its role, by result.",
        ),
        &["identity", "result"],
    )?;
    for identity in identities {
        let label = [identity.name()];
        if let Some(expiry) = identity.credentials().expiry() {
            let left = expiry.duration_since(SystemTime::now()).unwrap_or_default();
            remaining.with_label_values(&label).set(left.as_secs_f64());
        }
        if let Some(count) = identity.session_count() {
            sessions.with_label_values(&label).set(count as f64);
        }
        let (succeeded, failed) = identity.calls();
        for (result, count) in [("succeeded", succeeded), ("failed", failed)] {
            calls
                .with_label_values(&[identity.name(), result])
                .inc_by(count);
        }
    }
    let collectors: [&dyn Collector; 3] = [&remaining, &sessions, &calls];
    let families = collectors.into_iter().flat_map(Collector::collect);
    // The encoder rejects a family without samples.
    Ok(families
        .filter(|family| !family.get_metric().is_empty())
        .collect())
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use crate::{build::ActiveConfig, metrics::Metrics};

    #[tokio::test]
    async fn remaining_lifetime_of_credentials_is_reported_once_known() {
        let file =
            std::env::temp_dir().join(format!("identity-metrics-{}.json", std::process::id()));
        let keys = r#"{"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": "s", "Expiration": "2999-01-01T00:00:00Z"}"#;
        std::fs::write(&file, keys).expect("written");
        let config = format!(
            "[[identity]]\nname = \"orders\"\nsource = \"file\"\nfile = {file:?}\n\
             [[origin]]\nname = \"o\"\nurl = \"http://127.0.0.1:1\"\nservice = \"s3\"\nregion = \"eu-west-1\"\n\
             [[route]]\npath = \"/\"\norigin = \"o\"\nidentity = \"orders\"\n"
        );
        let active = ActiveConfig::parse(&config).expect("valid");
        let metrics = Metrics::new().expect("valid metrics");
        let encode = || {
            let families = metrics.families(&active, 0).expect("valid metrics");
            TextEncoder::new()
                .encode_to_string(&families)
                .expect("valid metrics")
        };
        let remaining = "sigv4_gateway_credentials_remaining_seconds{identity=\"orders\"} ";
        assert!(!encode().contains(remaining));
        let orders = &active.used_identities[0];
        orders.credentials().ready().await.expect("keys");
        std::fs::remove_file(&file).expect("removed");
        let text = encode();
        let (_, rest) = text.split_once(remaining).expect("a sample");
        let seconds: f64 = rest
            .lines()
            .next()
            .and_then(|it| it.parse().ok())
            .expect("a number");
        assert!(seconds > 1e9, "{seconds}");
        let calls =
            "sigv4_gateway_identity_calls_total{identity=\"orders\",result=\"succeeded\"} 1\n";
        assert!(text.contains(calls), "{text}");
    }
}
