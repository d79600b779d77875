//! Streamed responses of a function URL with the invoke mode `RESPONSE_STREAM`.

use std::{convert::Infallible, fs, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes},
    response::IntoResponse,
    routing::any,
};
use futures_util::stream;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::{
    Function, event, origin_with,
    runtime::{Truncated, serve},
    start,
    support::{self, TempFile, config},
};

const STREAM: (&str, &str) = ("SIGV4_GATEWAY_INVOKE_MODE", "RESPONSE_STREAM");
const FRAME: usize = 64 * 1024;
const FRAMES: usize = 320;

/// Starts a function that streams, in front of a router.
async fn streaming(router: Router) -> Function {
    let config = config(&format!("http://{}", serve(router).await), "");
    let config = support::without_credentials(&config);
    // The allocator returns free memory at once.
    Function::start(
        &config,
        &[STREAM, ("_RJEM_MALLOC_CONF", "dirty_decay_ms:0")],
    )
    .await
}

#[tokio::test]
async fn head_and_body_are_streamed() {
    let (mut function, seen) = origin_with(&[STREAM]).await;
    let mut streamed = function
        .runtime
        .invoke_streaming(event("GET", "/orders", ""))
        .await;
    let head = &streamed.head;
    assert_eq!(head["statusCode"], 200, "{head}");
    assert_eq!(head["headers"]["link"], "</a>, </b>");
    assert_eq!(head["headers"]["content-type"], "text/plain; charset=utf-8");
    assert!(head["headers"].get("set-cookie").is_none(), "{head}");
    assert_eq!(head["cookies"], json!(["a=1", "b=2"]));
    assert_eq!(streamed.read_to_end().await, Ok("grün".into()));
    assert_eq!(seen.lock().expect("not poisoned").len(), 1);
}

#[tokio::test]
async fn long_responses_stream_in_bounded_memory() {
    let frame = Bytes::from(vec![7; FRAME]);
    let large = move || {
        let frames = vec![Ok::<_, Infallible>(frame.clone()); FRAMES];
        async { Body::from_stream(stream::iter(frames)) }
    };
    let router = Router::new().route("/large", any(large)).fallback(any(""));
    let mut function = streaming(router).await;
    let small = event("GET", "/orders", "");
    let mut streamed = function.runtime.invoke_streaming(small).await;
    assert_eq!(streamed.read_to_end().await, Ok(Vec::new()));
    let before = peak_memory(&function);
    let large = event("GET", "/orders/large", "");
    let mut streamed = function.runtime.invoke_streaming(large).await;
    assert_eq!(streamed.head["statusCode"], 200);
    let body = streamed.read_to_end().await.expect("a whole response");
    assert_eq!(body.len(), FRAME * FRAMES);
    assert!(body.iter().all(|byte| *byte == 7));
    if let (Some(before), Some(after)) = (before, peak_memory(&function)) {
        assert!(after - before < 8 * 1024, "{before} KiB, then {after} KiB");
    }
}

/// Returns the largest resident memory of the process in KiB, on Linux.
fn peak_memory(function: &Function) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", function.process.id())).ok()?;
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    value.trim().strip_suffix(" kB")?.parse().ok()
}

#[tokio::test]
async fn server_sent_events_arrive_one_by_one() {
    let permits = Arc::new(Semaphore::new(0));
    let sent = permits.clone();
    let events = move || {
        let events = stream::unfold((0, sent.clone()), async |(number, permits)| {
            permits.acquire().await.expect("open").forget();
            let event = format!("data: {number}\n\n");
            (number < 3).then_some((Ok::<_, Infallible>(event), (number + 1, permits)))
        });
        async {
            let body = Body::from_stream(events);
            ([("content-type", "text/event-stream")], body).into_response()
        }
    };
    let mut function = streaming(Router::new().fallback(any(events))).await;
    let event = event("GET", "/orders", "");
    let mut streamed = function.runtime.invoke_streaming(event).await;
    assert_eq!(
        streamed.head["headers"]["content-type"],
        "text/event-stream"
    );
    // The origin sends each event after the one before has arrived.
    for number in 0..3 {
        permits.add_permits(1);
        let expected = Bytes::from(format!("data: {number}\n\n"));
        assert_eq!(streamed.next().await, Some(Ok(expected)));
    }
    permits.add_permits(1);
    assert_eq!(streamed.next().await, None);
}

#[tokio::test]
async fn failure_of_the_origin_truncates_the_response() {
    let (mut function, _) = origin_with(&[STREAM]).await;
    let broken = event("GET", "/orders/broken", "");
    let mut streamed = function.runtime.invoke_streaming(broken).await;
    assert_eq!(streamed.head["statusCode"], 200);
    assert_eq!(streamed.next().await, Some(Ok(Bytes::from("a"))));
    assert_eq!(streamed.next().await, Some(Err(Truncated)));
    // The function continues.
    let whole = event("GET", "/orders", "");
    let mut streamed = function.runtime.invoke_streaming(whole).await;
    assert_eq!(streamed.read_to_end().await, Ok("grün".into()));
}

#[tokio::test]
async fn errors_before_the_first_byte_are_responses() {
    let (mut function, seen) = origin_with(&[STREAM]).await;
    let mut websocket = event("GET", "/orders", "");
    websocket["headers"]["upgrade"] = json!("websocket");
    for (event, status, message) in [
        (event("GET", "/customers", ""), 404, "no rule matches"),
        (event("GET", "/orders/%zz", ""), 400, "%25"),
        (event("GET", "/orders", "a b"), 400, "not a valid HTTP"),
        (websocket, 501, "WebSockets"),
    ] {
        let mut streamed = function.runtime.invoke_streaming(event).await;
        assert_eq!(streamed.head["statusCode"], status, "{}", streamed.head);
        assert_eq!(streamed.head["headers"]["content-type"], "application/json");
        let body = streamed.read_to_end().await.expect("a whole response");
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains(message), "{text}");
    }
    assert!(seen.lock().expect("not poisoned").is_empty());
    // Another kind of event, such as the console's test event, fails its invocation only.
    let (end, _) = function.invoke(json!({ "key1": "value1" })).await;
    assert_eq!(end, "error");
}

#[tokio::test]
async fn unreachable_origin_is_a_502() {
    // Nothing listens on a port that was closed.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = closed.local_addr().expect("an address");
    drop(closed);
    let config = support::without_credentials(&config(&format!("http://{address}"), ""));
    let mut function = Function::start(&config, &[STREAM]).await;
    let event = event("GET", "/orders", "");
    let mut streamed = function.runtime.invoke_streaming(event).await;
    assert_eq!(streamed.head["statusCode"], 502, "{}", streamed.head);
    assert!(streamed.read_to_end().await.is_ok());
}

#[tokio::test]
async fn unknown_invoke_modes_prevent_the_start() {
    let file = TempFile::new(&support::without_credentials(&config("http://h", "")));
    let api = "127.0.0.1:1".parse().expect("an address");
    let variables = [("SIGV4_GATEWAY_INVOKE_MODE", "stream")];
    let output = start(api, &file.path, &variables)
        .wait_with_output()
        .expect("output");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{log}");
    assert!(
        log.contains("SIGV4_GATEWAY_INVOKE_MODE is \"stream\"; set it to \"BUFFERED\" or"),
        "{log}"
    );
}
