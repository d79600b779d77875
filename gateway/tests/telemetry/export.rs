//! Collectors that fail, and the end of the process.

use std::{fs::File, time::Duration};

use tokio::net::TcpListener;

use crate::{
    collector::{Collector, with_telemetry},
    support::{
        Gateway, TempFile, TestOrigin, config, exchange, gateway_command,
        logging::{LoggingGateway, OK, request},
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn spans_are_exported_before_the_process_ends() {
    for protocol in ["grpc", "http"] {
        let origin = TestOrigin::start(OK).await;
        let collector = Collector::start().await;
        let plain = config(&format!("http://{}", origin.address), "");
        let keys = format!("protocol = \"{protocol}\"");
        let mut gateway = Gateway::with_config(&with_telemetry(&plain, collector.address, &keys));
        for _ in 0..3 {
            let response = exchange(gateway.address, &request("GET", "/orders", "")).await;
            assert_eq!(response.status, 200);
        }
        gateway.terminate();
        assert!(gateway.wait().success());
        let received = collector.received();
        let roots = received
            .spans
            .iter()
            .filter(|span| span.name == "GET api.example.com/orders");
        assert_eq!(roots.count(), 3);
        assert!(!received.metrics.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_are_sent_again_if_the_collector_is_unavailable() {
    for protocol in ["grpc", "http"] {
        let origin = TestOrigin::start(OK).await;
        let collector = Collector::start_failing(1).await;
        let plain = config(&format!("http://{}", origin.address), "");
        let keys = format!("protocol = \"{protocol}\"");
        let gateway = Gateway::with_config(&with_telemetry(&plain, collector.address, &keys));
        exchange(gateway.address, &request("GET", "/orders", "")).await;
        let received = collector.wait_for_span("GET api.example.com/orders").await;
        received.span("GET");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_collectors_are_logged_once_and_delay_no_request() {
    let origin = TestOrigin::start(OK).await;
    // It accepts connections and never responds.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("an address");
    let plain = config(&format!("http://{}", origin.address), "")
        .replace("[server]\n", "[server]\nshutdown_grace = \"1s\"\n")
        + "[admin]\nlisten = \"127.0.0.1:0\"\n";
    let keys = "timeout = \"100ms\"\nmetrics_interval = \"100ms\"";
    let mut logged = LoggingGateway::start(&with_telemetry(&plain, address, keys));
    // More spans than the queue and a batch hold.
    for _ in 0..1800 {
        let response = exchange(logged.gateway.address, &request("GET", "/orders", "")).await;
        assert_eq!(response.status, 200);
    }
    logged
        .wait_for("cannot export telemetry to http://127.0.0.1")
        .await;
    let admin = logged
        .gateway
        .printed_after("admin http://")
        .parse()
        .expect("an address");
    let scrape = format!("GET /metrics HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    let page = exchange(admin, &scrape).await.body;
    let dropped = page
        .lines()
        .find_map(|line| line.strip_prefix("sigv4_gateway_telemetry_spans_dropped_total "));
    let count: u64 = dropped.and_then(|it| it.parse().ok()).expect("a number");
    assert!(count > 0, "the queue is bounded");
    logged.gateway.terminate();
    assert!(logged.gateway.wait().success());
    let lines = logged.lines();
    let count_of = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(count_of("cannot export telemetry"), 1, "{lines:?}");
    assert_eq!(count_of("by grpc: no response within 100ms"), 1);
    // Four of each request.
    assert_eq!(
        count_of("7200 spans of this process were not exported"),
        1,
        "{lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_enable_the_export_without_a_section() {
    let origin = TestOrigin::start(OK).await;
    let collector = Collector::start().await;
    let plain = TempFile::new(&config(&format!("http://{}", origin.address), ""));
    let endpoint = format!("http://{}/base", collector.address);
    for (protocol, is_received) in [("http/protobuf", false), ("grpc", true)] {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_SERVICE_NAME", "named"),
            (
                "OTEL_SDK_DISABLED",
                if is_received { "false" } else { "true" },
            ),
        ];
        let mut command = gateway_command();
        let errors = TempFile::new("");
        let to = File::create(&errors.path).expect("created");
        command
            .args(["--config", &plain.path])
            .envs(variables)
            .stderr(to);
        let mut gateway = Gateway::spawn(&mut command);
        exchange(gateway.address, &request("GET", "/orders", "")).await;
        gateway.terminate();
        assert!(gateway.wait().success());
        let received = collector.received();
        assert_eq!(!received.spans.is_empty(), is_received);
        if is_received {
            assert_eq!(received.resource["service.name"], "named");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_pass_without_a_collector_and_the_process_ends_in_time() {
    let origin = TestOrigin::start(OK).await;
    let plain = config(&format!("http://{}", origin.address), "");
    let mut gateway = Gateway::with_config(&with_telemetry(
        &plain,
        "127.0.0.1:1".parse().expect("an address"),
        "",
    ));
    let response = exchange(gateway.address, &request("GET", "/orders", "")).await;
    assert_eq!(response.status, 200);
    gateway.terminate();
    let ended = tokio::task::spawn_blocking(move || gateway.wait().success());
    let result = tokio::time::timeout(Duration::from_secs(20), ended).await;
    assert!(result.expect("in time").expect("joined"));
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_collectors_delay_the_end_by_seconds_only() {
    let origin = TestOrigin::start(OK).await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    let plain = config(&format!("http://{}", origin.address), "");
    let mut gateway = Gateway::with_config(&with_telemetry(&plain, address, ""));
    exchange(gateway.address, &request("GET", "/orders", "")).await;
    gateway.terminate();
    let ended = tokio::task::spawn_blocking(move || gateway.wait().success());
    // Two exports would take ten seconds each.
    let result = tokio::time::timeout(Duration::from_secs(9), ended).await;
    assert!(result.expect("in time").expect("joined"));
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_are_not_interrupted_and_repeated_at_the_end() {
    const ROOT: &str = "GET api.example.com/orders";
    for protocol in ["grpc", "http"] {
        let origin = TestOrigin::start(OK).await;
        let collector = Collector::start_slow(Duration::from_millis(500)).await;
        let plain = config(&format!("http://{}", origin.address), "");
        let keys = format!("protocol = \"{protocol}\"");
        let mut gateway = Gateway::with_config(&with_telemetry(&plain, collector.address, &keys));
        exchange(gateway.address, &request("GET", "/orders", "")).await;
        // The gateway waits for the response.
        collector.wait_for_span(ROOT).await;
        gateway.terminate();
        assert!(gateway.wait().success());
        let received = collector.received();
        let roots = received.spans.iter().filter(|span| span.name == ROOT);
        assert_eq!(roots.count(), 1, "{protocol}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn further_signals_end_the_export() {
    let origin = TestOrigin::start(OK).await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    let plain = config(&format!("http://{}", origin.address), "");
    let mut logged = LoggingGateway::start(&with_telemetry(&plain, address, ""));
    exchange(logged.gateway.address, &request("GET", "/orders", "")).await;
    // One of these signals arrives while the gateway exports.
    let signals = async {
        while !logged
            .lines()
            .iter()
            .any(|line| line.contains("after a further signal"))
        {
            logged.gateway.terminate();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let result = tokio::time::timeout(Duration::from_secs(4), signals).await;
    assert!(result.is_ok(), "{:?}", logged.lines());
    assert!(logged.gateway.wait().success());
}
