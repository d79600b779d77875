//! Metrics, and secrets in any response of the admin port.

use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::{OK, admin, metrics, send, send_admin, with_admin};
use crate::support::{
    ACCESS_KEY_ID, Gateway, REGION, SECRET_ACCESS_KEY, SERVICE, TestOrigin, config, exchange,
    signed_request,
};

pub(super) const CACHED: &str =
    "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncache-control: max-age=60\r\n\r\nok";

const REJECTED: &str = "HTTP/1.1 403 Forbidden\r\nx-amzn-errortype: MissingAuthenticationTokenException\r\n\
    content-type: application/json\r\ncontent-length: 42\r\n\r\n{\"message\":\"Missing Authentication Token\"}";

/// Returns a gateway after requests of all kinds, with its metrics.
async fn gateway_after_traffic() -> (Gateway, String) {
    let origin = TestOrigin::start(OK).await;
    let rejecting = TestOrigin::start(REJECTED).await;
    let more = format!(
        "[[origin]]\nname = \"rejecting\"\nurl = \"http://{}\"\nservice = \"execute-api\"\n\
         region = \"eu-west-1\"\n[[route]]\npath = \"/rejected\"\norigin = \"rejecting\"\nverify = false\ncache = true\n\
         [verify]\nservice = \"{SERVICE}\"\nregion = \"{REGION}\"\n[[verify.key]]\n\
         access_key_id = \"{ACCESS_KEY_ID}\"\nsecret_access_key = \"{SECRET_ACCESS_KEY}\"\n",
        rejecting.address
    );
    let config = config(&format!("http://{}", origin.address), "").replace(
        "secret_access_key = \"secret\"",
        "secret_access_key = \"secret-of-the-gateway\"\nsession_token = \"token-of-the-gateway\"",
    );
    let gateway = Gateway::with_config(&with_admin(&(config + &more)));
    for (method, body) in [("GET", ""), ("POST", "12345")] {
        let request = signed_request(
            method,
            "/orders/17",
            "api.example.com",
            body,
            ACCESS_KEY_ID,
            SECRET_ACCESS_KEY,
        );
        assert_eq!(exchange(gateway.address, &request).await.status, 200);
    }
    assert_eq!(send(&gateway, "GET", "/orders", "").await.status, 403);
    assert_eq!(send(&gateway, "GET", "/rejected", "").await.status, 403);
    assert_eq!(
        send(&gateway, "BREW", "/rejected/by/path", "").await.status,
        403
    );
    assert_eq!(
        send(&gateway, "GET", "/nowhere/at/all", "").await.status,
        403
    );
    let text = metrics(admin(&gateway)).await;
    (gateway, text)
}

#[tokio::test]
async fn metrics_labels_come_from_the_configuration() {
    let (gateway, text) = gateway_after_traffic().await;
    let orders = "origin=\"orders\",route=\"api.example.com/orders\"";
    let rejecting_origin = "origin=\"rejecting\",route=\"/rejected\"";
    for sample in [
        format!("requests_total{{code=\"200\",method=\"GET\",{orders}}} 1"),
        format!("requests_total{{code=\"200\",method=\"POST\",{orders}}} 1"),
        format!("requests_total{{code=\"403\",method=\"GET\",{orders}}} 1"),
        format!("requests_total{{code=\"403\",method=\"other\",{rejecting_origin}}} 1"),
        "requests_total{code=\"403\",method=\"GET\",origin=\"none\",route=\"none\"} 1".to_owned(),
        format!("request_duration_seconds_count{{{orders}}} 3"),
        format!("hashed_bytes_total{{{orders}}} 5"),
        "body_budget_used_bytes 0".to_owned(),
        "body_budget_size_bytes 268435456".to_owned(),
        format!(
            "verify_rejections_total{{kind=\"missing-authentication\",mechanism=\"sigv4\",{orders}}} 1"
        ),
        format!("origin_rejections_total{{cause=\"route-missing\",{rejecting_origin}}} 2"),
    ] {
        assert!(
            text.contains(&format!("sigv4_gateway_{sample}\n")),
            "{sample} missing in {text}"
        );
    }
    for phase in ["buffering", "credentials", "signing", "origin"] {
        let labels = "origin=\"orders\",phase=";
        let sample = format!(
            "phase_duration_seconds_count{{{labels}\"{phase}\",route=\"api.example.com/orders\"}} 2"
        );
        assert!(text.contains(&sample), "{sample} missing in {text}");
    }
    let labels = text
        .lines()
        .filter_map(|line| line.split(['{', '}']).nth(1));
    let labels: Vec<_> = labels.filter(|labels| !labels.contains("le=")).collect();
    for unbounded in ["17", "by/path", "BREW", "nowhere"] {
        assert_eq!(
            labels.iter().find(|labels| labels.contains(unbounded)),
            None
        );
    }
    assert!(
        text.contains("\nsigv4_gateway_requests_in_flight 0\n"),
        "{text}"
    );
    let started = text
        .lines()
        .find(|line| line.starts_with("process_start_time_seconds "));
    assert!(started.is_some(), "{text}");
    let _held = TcpStream::connect(gateway.address)
        .await
        .expect("connected");
    let until = Instant::now() + Duration::from_secs(10);
    while !metrics(admin(&gateway))
        .await
        .contains("\nsigv4_gateway_connections_open 1\n")
    {
        assert!(Instant::now() < until, "{}", metrics(admin(&gateway)).await);
    }
}

#[tokio::test]
async fn admin_responses_contain_no_secret() {
    let (gateway, text) = gateway_after_traffic().await;
    let mut responses = text;
    for target in [
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/log",
        "/nothing",
        "/cache/purge",
        "/fleet",
        "/identities/sign-out",
    ] {
        responses += &send_admin(admin(&gateway), "GET", target, "", "")
            .await
            .body;
    }
    for secret in [
        "secret-of",
        "token-of",
        SECRET_ACCESS_KEY,
        ACCESS_KEY_ID,
        "AKID",
        "Signature=",
    ] {
        assert!(!responses.contains(secret), "{secret} in {responses}");
    }
}

/// Checks the rules of `promtool check metrics` for names, help texts and types.
#[tokio::test]
async fn metrics_follow_the_rules_of_prometheus() {
    let (_, text) = gateway_after_traffic().await;
    let mut families = Vec::<(&str, &str)>::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a string");
            assert!(
                !help.is_empty() && families.iter().all(|(seen, _)| *seen != name),
                "{line}"
            );
            families.push((name, ""));
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            let last = families.last_mut().expect("help first");
            assert_eq!(last.0, name, "{line}");
            last.1 = kind;
        } else {
            check_sample(line, *families.last().expect("help and type first"));
        }
    }
    assert!(families.len() > 10, "{text}");
    for (name, kind) in families {
        assert!(
            ["counter", "gauge", "histogram"].contains(&kind),
            "{name} is a {kind:?}"
        );
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        assert!(name.bytes().all(allowed), "{name}");
        for word in name.split('_') {
            let bad = [
                "counter",
                "gauge",
                "histogram",
                "summary",
                "count",
                "sum",
                "bucket",
                "info",
                "ms",
                "s",
                "sec",
                "milliseconds",
                "microseconds",
                "nanoseconds",
                "minutes",
                "hours",
                "days",
                "kb",
                "mb",
                "kilobytes",
                "megabytes",
                "kibibytes",
                "bits",
                "percent",
            ];
            assert!(!bad.contains(&word), "{name}");
        }
        if ["duration", "remaining", "time"]
            .iter()
            .any(|measure| name.contains(measure))
        {
            assert!(name.ends_with("_seconds"), "{name}");
        }
    }
}

fn check_sample(line: &str, (family, kind): (&str, &str)) {
    let (series, value) = line.rsplit_once(' ').expect("a value");
    assert!(value.parse::<f64>().is_ok(), "{line}");
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let suffix = name.strip_prefix(family).expect(line);
    let labels = labels.strip_suffix('}').expect("closed");
    match kind {
        "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line}"),
        _ => assert_eq!(suffix, "", "{line}"),
    }
    for (label, _) in labels
        .split("\",")
        .filter_map(|label| label.split_once("=\""))
    {
        assert!(
            label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            "{line}"
        );
        assert_eq!(
            label == "le",
            suffix == "_bucket" && label == "le",
            "{line}"
        );
        assert_ne!(label, "quantile", "{line}");
    }
}
