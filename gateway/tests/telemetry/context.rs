//! Trace context in and out, and sampling.

use aws_sigv4::http_request::SignatureLocation;
use serde_json::Value;

use crate::{
    collector::{Collector, with_telemetry},
    support::{
        TestOrigin, config, exchange,
        logging::{LoggingGateway, OK, signed_request, with_log, with_verified_callers},
    },
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n")
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

async fn start(origin: &TestOrigin, collector: &Collector, keys: &str) -> LoggingGateway {
    let plain = config(&format!("http://{}", origin.address), "");
    let telemetry = with_telemetry(&plain, collector.address, keys);
    LoggingGateway::start(&with_log(&telemetry, "format = \"json\"\naccess = true"))
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_continue_from_the_client_to_the_origin() {
    let origin = TestOrigin::start(OK).await;
    let collector = Collector::start().await;
    let logged = start(&origin, &collector, "sample = 0").await;
    let headers = format!(
        "traceparent: 00-{TRACE}-{PARENT}-01\r\ntracestate: a=1\r\nbaggage: user=alice;p=1,b=2\r\n"
    );
    assert_eq!(logged.send("GET", "/orders", &headers).await.status, 200);
    let received = collector.wait_for_span("GET api.example.com/orders").await;
    let root = received.span("GET api.example.com/orders");
    assert_eq!(hex(&root.trace_id), TRACE);
    assert_eq!(hex(&root.parent_span_id), PARENT);
    assert_eq!(root.trace_state, "a=1");
    let span = hex(&received.span("GET").span_id);
    let seen = &origin.requests()[0];
    assert_eq!(
        header(seen, "traceparent"),
        Some(&*format!("00-{TRACE}-{span}-01"))
    );
    assert_eq!(header(seen, "tracestate"), Some("a=1"));
    assert_eq!(header(seen, "baggage"), Some("user=alice;p=1,b=2"));
    assert_eq!(logged.access_events()[0]["trace_id"], TRACE);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_traces_begin_without_a_valid_context() {
    for headers in ["", "traceparent: 00-xyz-01\r\ntracestate: a=1\r\n"] {
        let origin = TestOrigin::start(OK).await;
        let collector = Collector::start().await;
        let logged = start(&origin, &collector, "").await;
        assert_eq!(logged.send("GET", "/orders", headers).await.status, 200);
        let received = collector.wait_for_span("GET api.example.com/orders").await;
        let root = received.span("GET api.example.com/orders");
        assert!(root.parent_span_id.is_empty());
        let trace = hex(&root.trace_id);
        let seen = &origin.requests()[0];
        let span = hex(&received.span("GET").span_id);
        assert_eq!(
            header(seen, "traceparent"),
            Some(&*format!("00-{trace}-{span}-01"))
        );
        assert_eq!(header(seen, "tracestate"), None);
        assert_eq!(logged.access_events()[0]["trace_id"], *trace);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unsampled_requests_have_no_span_and_an_unsampled_context() {
    let origin = TestOrigin::start(OK).await;
    let collector = Collector::start().await;
    let logged = start(&origin, &collector, "sample = 0").await;
    let unsampled = format!("traceparent: 00-{TRACE}-{PARENT}-00\r\n");
    for headers in ["", &unsampled] {
        assert_eq!(logged.send("GET", "/orders", headers).await.status, 200);
    }
    // Later spans are exported after earlier ones.
    let sampled = format!("traceparent: 00-{TRACE}-{PARENT}-01\r\n");
    assert_eq!(logged.send("GET", "/orders", &sampled).await.status, 200);
    let received = collector.wait_for_span("GET api.example.com/orders").await;
    assert_eq!(
        hex(&received.span("GET api.example.com/orders").trace_id),
        TRACE
    );
    let seen = origin.requests();
    let first = header(&seen[0], "traceparent").expect("a context");
    assert!(
        first.starts_with("00-") && first.ends_with("-00"),
        "{first}"
    );
    assert!(!first.contains(TRACE));
    assert_eq!(
        header(&seen[1], "traceparent"),
        Some(&*format!("00-{TRACE}-{PARENT}-00"))
    );
    let events = logged.access_events();
    let ids: Vec<_> = events
        .iter()
        .map(|event| event.get("trace_id").and_then(Value::as_str))
        .collect();
    assert_eq!(ids, [None, Some(TRACE), Some(TRACE)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ratio_samples_about_its_share() {
    let origin = TestOrigin::start(OK).await;
    let collector = Collector::start().await;
    let logged = start(&origin, &collector, "sample = 0.5").await;
    for _ in 0..100 {
        assert_eq!(logged.send("GET", "/orders", "").await.status, 200);
    }
    let flags = origin.requests();
    let sampled = flags
        .iter()
        .filter(|head| header(head, "traceparent").is_some_and(|it| it.ends_with("-01")));
    let count = sampled.count();
    assert!((20..=80).contains(&count), "{count}"); // fails once in 10^9 runs
    collector
        .wait_for(|it| {
            it.spans
                .iter()
                .filter(|span| span.name == "GET api.example.com/orders")
                .count()
                == count
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contexts_are_signed_if_the_origin_signs_all_headers() {
    let origin = TestOrigin::start(OK).await;
    let collector = Collector::start().await;
    let plain = config(
        &format!("http://{}", origin.address),
        "signed_headers = [\"traceparent\"]",
    );
    let logged = LoggingGateway::start(&with_telemetry(&plain, collector.address, ""));
    assert_eq!(logged.send("GET", "/orders", "").await.status, 200);
    let seen = &origin.requests()[0];
    let (_, names) = seen.split_once("SignedHeaders=").expect("signed");
    assert!(
        names
            .split(',')
            .next()
            .expect("names")
            .contains("traceparent"),
        "{seen}"
    );
    let received = collector.wait_for_span("GET api.example.com/orders").await;
    let span = hex(&received.span("GET").span_id);
    assert!(
        header(seen, "traceparent").is_some_and(|it| it.contains(&span)),
        "{seen}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn contexts_that_callers_have_signed_pass_verification() {
    let origin = TestOrigin::start(OK).await;
    let collector = Collector::start().await;
    let plain = config(&format!("http://{}", origin.address), "");
    let verified = with_telemetry(&with_verified_callers(&plain), collector.address, "");
    let logged = LoggingGateway::start(&verified);
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let (signed, _) = signed_request(
        "/orders",
        &[("traceparent", &parent)],
        SignatureLocation::Headers,
    );
    let response = exchange(logged.gateway.address, &signed).await;
    assert_eq!(response.status, 200, "{}", response.body);
    let received = collector.wait_for_span("GET api.example.com/orders").await;
    assert_eq!(
        hex(&received.span("GET api.example.com/orders").parent_span_id),
        PARENT
    );
    assert_eq!(header(&origin.requests()[0], "traceparent"), Some(&*parent));
}
