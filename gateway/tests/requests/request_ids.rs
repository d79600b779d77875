//! Request IDs and trace contexts.

use aws_sigv4::http_request::SignatureLocation;
use serde_json::json;

use crate::support::{
    ACCESS_KEY_ID, TestOrigin, config, exchange,
    logging::{LoggingGateway, OK, signed_request, with_log, with_verified_callers},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test]
async fn valid_trace_contexts_are_forwarded() {
    let origin = TestOrigin::start(OK).await;
    let config = config(&format!("http://{}", origin.address), "");
    let logged = LoggingGateway::start(&with_log(&config, "format = \"json\"\naccess = true"));
    let parent = format!("traceparent: 00-{TRACE}-b7ad6b7169203331-01");
    let state = "tracestate: congo=t61rcWkgMzE,rojo=00f067aa0ba902b7";
    let amazon = "x-amzn-trace-id: Root=1-5e9f0c65-1de4d666d4dd26aced652b6c";
    let headers = [
        format!("{parent}\r\n{state}\r\n{amazon}\r\n"),
        format!("{parent}x\r\n{state}\r\n"),
    ];
    for headers in &headers {
        assert_eq!(logged.send("GET", "/orders", headers).await.status, 200);
    }
    assert_eq!(logged.send("GET", "/orders", "").await.status, 200);
    let seen = origin.requests();
    for header in [&*parent, state, amazon] {
        assert!(
            seen[0].contains(&format!("\r\n{header}\r\n")),
            "{}",
            seen[0]
        );
    }
    let signed = seen[0].split_once("SignedHeaders=").expect("signed").1;
    assert!(
        !signed.split(',').next().expect("names").contains("trace"),
        "{signed}"
    );
    assert!(
        !seen[1].contains("\r\ntrace") && !seen[2].contains("\r\ntrace"),
        "{seen:?}"
    );
    let trace_ids: Vec<_> = logged
        .access_events()
        .iter()
        .map(|event| event.get("trace_id").cloned())
        .collect();
    assert_eq!(trace_ids, [Some(json!(TRACE)), None, None]);
}

#[tokio::test]
async fn request_id_is_the_callers_and_the_same_everywhere() {
    let origin = TestOrigin::start(OK).await;
    let config = config(&format!("http://{}", origin.address), "");
    let logged = LoggingGateway::start(&with_log(&config, "format = \"json\"\naccess = true"));
    let long = "a".repeat(129);
    for (headers, expected) in [
        ("x-request-id: mine-17\r\n", Some("mine-17")),
        ("", None),
        ("x-request-id: two words\r\n", None),
        (&*format!("x-request-id: {long}\r\n"), None),
        ("x-request-id: one\r\nx-request-id: two\r\n", None),
    ] {
        let response = logged.send("GET", "/orders", headers).await;
        let id = response.header("x-request-id").expect("an id");
        assert!(
            expected.map_or(id.len() == 36, |expected| id == expected),
            "{headers}: {id}"
        );
        let seen = origin.requests();
        let seen = seen.last().expect("valid request");
        assert!(
            seen.contains(&format!("\r\nx-request-id: {id}\r\n")),
            "{seen}"
        );
        assert_eq!(seen.matches("x-request-id").count(), 1, "{seen}");
        assert_eq!(logged.events().last().expect("an event")["request_id"], id);
    }
}

/// Changing a signed header would invalidate the caller's signature.
#[tokio::test]
async fn signed_ids_are_forwarded_but_not_logged() {
    let origin = TestOrigin::start(OK).await;
    let config = with_verified_callers(&config(&format!("http://{}", origin.address), ""));
    let logged = LoggingGateway::start(&with_log(&config, "format = \"json\"\naccess = true"));
    let invalid = [("traceparent", "no-trace"), ("x-request-id", "two words")];
    for location in [SignatureLocation::Headers, SignatureLocation::QueryParams] {
        let (request, _) = signed_request("/orders", &invalid, location);
        let response = exchange(logged.gateway.address, &request).await;
        assert_eq!(
            (response.status, response.header("x-request-id")),
            (200, Some("two words"))
        );
    }
    for event in logged.events() {
        assert_eq!(
            (event.get("request_id"), event.get("trace_id")),
            (None, None),
            "{event:?}"
        );
        assert_eq!(event["access_key_id"], ACCESS_KEY_ID);
    }
}
