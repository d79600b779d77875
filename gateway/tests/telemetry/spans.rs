//! Structure and attributes of the spans.

use aws_sigv4::http_request::SignatureLocation;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};

use crate::{
    collector::{Collector, Received, texts, with_telemetry},
    support::{
        Gateway, TestOrigin, config, exchange,
        logging::{LoggingGateway, OK, request, signed_request, with_log, with_verified_callers},
    },
};

const CACHEABLE: &str =
    "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncache-control: public, max-age=60\r\n\r\nok";
const ROOT: &str = "GET api.example.com/orders";

fn is_error(span: &Span) -> bool {
    let status = span.status.as_ref();
    status.is_some_and(|it| it.code == i32::from(StatusCode::Error))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_of_a_request_is_a_child_of_its_span() {
    for protocol in ["grpc", "http"] {
        let origin = TestOrigin::start(CACHEABLE).await;
        let collector = Collector::start().await;
        let plain = config(&format!("http://{}", origin.address), "") + "cache = true\n";
        let keys = format!(
            "protocol = \"{protocol}\"\nservice_name = \"mine\"\n[telemetry.resource]\nteam = \"t\"\n\
             [telemetry.headers]\nx-key = \"env:COLLECTOR_KEY\"\n"
        );
        let telemetry = with_telemetry(&with_verified_callers(&plain), collector.address, &keys);
        let gateway = Gateway::with_config_and_env(&telemetry, &[("COLLECTOR_KEY", "k")]);
        let (signed, _) = signed_request(
            "/orders/1?token=s3cret",
            &[("user-agent", "ua")],
            SignatureLocation::Headers,
        );
        let response = exchange(gateway.address, &signed).await;
        assert_eq!(response.status, 200, "{}", response.body);
        let received = collector.wait_for_span(ROOT).await;
        let root = received.span(ROOT);
        assert_eq!(root.kind, i32::from(SpanKind::Server));
        assert!(root.parent_span_id.is_empty());
        assert!(!is_error(root));
        let mut names: Vec<_> = received.spans.iter().map(|it| &*it.name).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["GET", ROOT, "cache", "credentials", "sign", "verify"]
        );
        for name in ["verify", "cache", "credentials", "sign", "GET"] {
            let child = received.span(name);
            assert_eq!(child.trace_id, root.trace_id, "{name}");
            assert_eq!(child.parent_span_id, root.span_id, "{name}");
            assert!(!is_error(child), "{name}");
            assert!(
                child.start_time_unix_nano >= root.start_time_unix_nano,
                "{name}"
            );
            assert!(
                child.end_time_unix_nano <= root.end_time_unix_nano,
                "{name}"
            );
        }
        let steps =
            ["verify", "cache", "credentials", "sign", "GET"].map(|name| received.span(name));
        assert!(steps.is_sorted_by_key(|span| span.start_time_unix_nano));
        let attributes = texts(&root.attributes);
        let host = attributes["server.address"].clone();
        for (name, value) in [
            ("http.request.method", "GET"),
            ("http.route", "api.example.com/orders"),
            ("http.response.status_code", "200"),
            ("url.path", "/orders/1"),
            ("url.scheme", "http"),
            ("network.protocol.version", "1.1"),
            ("client.address", "127.0.0.1"),
            ("user_agent.original", "ua"),
            ("server.address", &*host),
            ("sigv4_gateway.origin", "orders"),
        ] {
            assert_eq!(attributes.get(name).map(|it| &**it), Some(value), "{name}");
        }
        assert_eq!(host, "api.example.com");
        let sent = received.span("GET");
        assert_eq!(sent.kind, i32::from(SpanKind::Client));
        let sent_attributes = texts(&sent.attributes);
        assert_eq!(sent_attributes["http.response.status_code"], "200");
        assert_eq!(sent_attributes["server.address"], "127.0.0.1");
        let url = format!("http://{}/1", origin.address);
        assert_eq!(sent_attributes["url.full"], url);
        assert_eq!(
            sent_attributes["server.port"],
            origin.address.port().to_string()
        );
        assert_eq!(
            texts(&received.span("verify").attributes)["sigv4_gateway.mechanism"],
            "sigv4"
        );
        assert_eq!(
            texts(&received.span("cache").attributes)["sigv4_gateway.cache"],
            "uri-miss"
        );
        assert_eq!(received.resource["service.name"], "mine");
        assert_eq!(received.resource["team"], "t");
        assert_eq!(received.heads[0].1["x-key"], "k");

        // A hit ends in the cache.
        assert_eq!(exchange(gateway.address, &signed).await.status, 200);
        let is_hit = |span: &&Span| {
            texts(&span.attributes)
                .get("sigv4_gateway.cache")
                .is_some_and(|it| it == "hit")
        };
        let both = collector
            .wait_for(|it| it.spans.iter().filter(|span| span.name == ROOT).count() == 2)
            .await;
        let hit = both.spans.iter().find(is_hit).expect("a hit");
        let names = both
            .spans
            .iter()
            .filter(|span| span.trace_id == hit.trace_id);
        let mut names: Vec<_> = names.map(|span| &*span.name).collect();
        names.sort_unstable();
        assert_eq!(names, [ROOT, "cache", "verify"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_have_a_status_and_a_type() {
    let failing =
        TestOrigin::start("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await;
    let missing = TestOrigin::start("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
    let unreached = "http://127.0.0.1:1".to_owned();
    let url = |origin: &TestOrigin| format!("http://{}", origin.address);
    for (url, status, root_error, origin_error) in [
        (url(&failing), 503, Some("503"), "503"),
        (url(&missing), 404, None, "404"),
        (unreached, 502, Some("502"), "connection"),
    ] {
        let collector = Collector::start().await;
        let gateway =
            Gateway::with_config(&with_telemetry(&config(&url, ""), collector.address, ""));
        let response = exchange(gateway.address, &request("GET", "/orders", "")).await;
        assert_eq!(response.status, status);
        let received = collector.wait_for_span(ROOT).await;
        let root = received.span(ROOT);
        assert_eq!(is_error(root), root_error.is_some(), "{url}");
        let root_type = texts(&root.attributes).remove("error.type");
        assert_eq!(root_type.as_deref(), root_error, "{url}");
        let sent = received.span("GET");
        assert!(is_error(sent), "{url}");
        assert_eq!(texts(&sent.attributes)["error.type"], origin_error);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_a_route_and_unknown_methods_have_their_own_names() {
    let origin = TestOrigin::start(OK).await;
    let collector = Collector::start().await;
    let plain = config(&format!("http://{}", origin.address), "").replace("\"PUT\"", "\"BREW\"");
    let gateway = Gateway::with_config(&with_telemetry(&plain, collector.address, ""));
    let unrouted = request("GET", "/unrouted", "");
    assert_eq!(exchange(gateway.address, &unrouted).await.status, 404);
    let received = collector.wait_for_span("GET").await;
    let attributes = texts(&received.span("GET").attributes);
    assert!(!attributes.contains_key("http.route"), "{attributes:?}");
    assert!(!attributes.contains_key("sigv4_gateway.origin"));

    let brewed = request("BREW", "/orders", "");
    assert_eq!(exchange(gateway.address, &brewed).await.status, 200);
    let received = collector.wait_for_span("HTTP api.example.com/orders").await;
    let attributes = texts(&received.span("HTTP api.example.com/orders").attributes);
    assert_eq!(attributes["http.request.method"], "_OTHER");
    assert_eq!(attributes["http.request.method_original"], "BREW");
    received.span("HTTP");
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_callers_and_missing_credentials_end_in_their_step() {
    let origin = TestOrigin::start(OK).await;
    let plain = config(&format!("http://{}", origin.address), "");
    let collector = Collector::start().await;
    let verified = with_telemetry(&with_verified_callers(&plain), collector.address, "");
    let gateway = Gateway::with_config(&verified);
    let response = exchange(gateway.address, &request("GET", "/orders", "")).await;
    assert_eq!(response.status, 403);
    let received = collector.wait_for_span(ROOT).await;
    assert_eq!(received.spans.len(), 2);
    let verify = received.span("verify");
    assert!(is_error(verify));
    assert_eq!(
        texts(&verify.attributes)["error.type"],
        "missing-authentication"
    );
    let root = received.span(ROOT);
    assert!(!is_error(root), "the caller's mistake");
    assert_eq!(
        texts(&root.attributes)["sigv4_gateway.rejection"],
        "missing-authentication"
    );

    let collector = Collector::start().await;
    let without = plain
        + "identity = \"missing\"\n[[identity]]\nname = \"missing\"\nsource = \"file\"\n\
           file = \"/nonexistent/keys.json\"\n";
    let gateway = Gateway::with_config(&with_telemetry(&without, collector.address, ""));
    let response = exchange(gateway.address, &request("GET", "/orders", "")).await;
    assert_eq!(response.status, 503);
    let received = collector.wait_for_span(ROOT).await;
    let credentials = received.span("credentials");
    assert!(is_error(credentials));
    assert_eq!(texts(&credentials.attributes)["error.type"], "Credentials");
    assert!(is_error(received.span(ROOT)));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_export_contains_a_secret() {
    let origin = TestOrigin::start(OK).await;
    let collector = Collector::start().await;
    let plain = config(&format!("http://{}", origin.address), "");
    let telemetry = with_telemetry(
        &with_verified_callers(&plain),
        collector.address,
        "metrics_interval = \"100ms\"\n[telemetry.headers]\nauthorization = \"Bearer collect0r\"\n",
    );
    let logged = LoggingGateway::start(&with_log(&telemetry, "access = true"));
    let mut secrets = [
        "s3cret",
        "token-of-the-caller",
        "collect0r",
        "X-Amz-",
        "AWS4-HMAC",
    ]
    .map(str::to_owned)
    .to_vec();
    for (location, target) in [
        (SignatureLocation::Headers, "/orders/1?q=s3cret"),
        (SignatureLocation::QueryParams, "/orders/1"),
    ] {
        let (signed, signature) = signed_request(target, &[], location);
        secrets.push(signature);
        let response = exchange(logged.gateway.address, &signed).await;
        assert_eq!(response.status, 200, "{}", response.body);
    }
    let is_complete = |it: &Received| {
        let roots = it.spans.iter().filter(|span| span.name == ROOT);
        roots.count() == 2 && !it.metrics.is_empty()
    };
    let received = collector.wait_for(is_complete).await;
    for secret in secrets {
        assert!(!received.contains(&secret), "{secret}");
    }
    assert!(received.contains("/orders/1"));
}
