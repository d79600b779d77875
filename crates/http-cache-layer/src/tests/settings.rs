//! Settings of the layer.

use std::sync::Mutex;

use http::{HeaderName, StatusCode, header};

use super::*;
use crate::{Key, Observer, StoreOutcome};

/// Sends two requests, and returns the second one's outcome.
async fn second(layer: &CacheLayer, origin: (u16, &'static str), lines: [&str; 2]) -> String {
    let (stack, _) = cached_by(layer, origin.0, origin.1);
    let [first, last] = lines.map(|line| request("GET", "/", line));
    send(&stack, first).await;
    status(&send(&stack, last).await.0).to_owned()
}

fn small() -> CacheLayer {
    layer(1 << 20, 8)
}

#[tokio::test(start_paused = true)]
async fn caller_headers_replace_the_defaults() {
    let layer = small().with_caller_headers([HeaderName::from_static("x-user")]);
    for (sent, expected) in [("x-user: a", "fwd=uri-miss; stored"), ("cookie: a", "hit")] {
        let found = second(&layer.clone().with_partition(sent), (200, A), [sent, ""]).await;
        assert_eq!(found.replace("vary", "uri"), expected, "{sent}");
    }
}

#[tokio::test(start_paused = true)]
async fn request_directives_can_be_ignored() {
    for sent in [
        "cache-control: no-cache",
        "cache-control: no-store",
        "cache-control: max-age=0",
        "pragma: no-cache",
    ] {
        let layer = small().with_request_directives(false);
        assert_eq!(
            second(&layer, (200, A), [sent, sent]).await,
            "hit",
            "{sent}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_valid_targeted_field_counts() {
    let lines = "own-control: max-age=60|cdn-cache-control: no-store|cache-control: no-store";
    let names = ["own-control", "cdn-cache-control"].map(HeaderName::from_static);
    let layer = small().with_targeted_fields(names);
    assert_eq!(second(&layer, (200, lines), ["", ""]).await, "hit");
    let none = small().with_targeted_fields([]);
    let targeted = (200, "cdn-cache-control: max-age=60|cache-control: no-store");
    assert_eq!(second(&none, targeted, ["", ""]).await, "fwd=uri-miss");
}

#[tokio::test(start_paused = true)]
async fn heuristics_apply_to_responses_without_directives() {
    let now = std::time::SystemTime::now();
    let date = |hours: u64| httpdate::fmt_http_date(now - Duration::from_secs(hours * 3600));
    let modified: &'static str = format!("last-modified: {}|date: {}", date(24), date(0)).leak();
    let public: &'static str = format!("{modified}|cache-control: public").leak();
    let forbidden: &'static str = format!("{modified}|cache-control: no-cache").leak();
    for (code, lines, fresh) in [
        (200, modified, true),
        (404, modified, true),
        (201, modified, false),
        (403, modified, false),
        (503, modified, false),
        (599, modified, false),
        (599, public, true),
        (200, forbidden, false),
        (200, "", false),
    ] {
        let on = small().with_heuristics(Duration::from_secs(3600));
        let found = second(&on, (code, lines), ["", ""]).await;
        assert_eq!(found == "hit", fresh, "{code} {lines}: {found}");
        assert_ne!(second(&small(), (code, lines), ["", ""]).await, "hit");
    }
    let (stack, _) = cached_by(
        &small().with_heuristics(Duration::from_secs(60)),
        200,
        modified,
    );
    send(&stack, request("GET", "/", "")).await;
    time::advance(Duration::from_secs(61)).await;
    let (head, _) = send(&stack, request("GET", "/", "")).await;
    assert!(status(&head).starts_with("fwd=stale"), "{}", status(&head));
}

#[tokio::test(start_paused = true)]
async fn cookies_are_stored_if_enabled() {
    let lines = "cache-control: max-age=60|set-cookie: a=b";
    assert_eq!(
        second(&small().with_cookies(true), (200, lines), ["", ""]).await,
        "hit"
    );
}

#[tokio::test(start_paused = true)]
async fn stale_responses_are_served_on_errors_if_enabled() {
    for (lines, expected) in [
        (A, "fwd=stale; detail=stale-if-error"),
        ("cache-control: max-age=60, must-revalidate", "fwd=stale"),
        ("cache-control: max-age=60, stale-if-error=1", "fwd=stale"),
    ] {
        let shared = Arc::new(AtomicUsize::new(0));
        let origin = service_fn(move |_: Request<Body>| {
            let first = shared.fetch_add(1, Ordering::SeqCst) == 0;
            let reply = if first {
                response(200, lines, Body::from("body"))
            } else {
                response(503, "", Body::empty())
            };
            std::future::ready(Ok(reply))
        });
        let layer = small().with_stale_if_error(Duration::from_secs(30));
        let stack = stack(&layer, origin);
        send(&stack, request("GET", "/", "")).await;
        time::advance(Duration::from_secs(70)).await;
        let (head, _) = send(&stack, request("GET", "/", "")).await;
        assert_eq!(status(&head), expected, "{lines}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_policy_hook_decides() {
    let layer = small().with_policy(|request, response, policy| {
        match request.uri.path() {
            "/never" => policy.set_storable(false),
            "/always" => policy.set_storable(true),
            _ => {}
        }
        if response.status == StatusCode::NOT_FOUND {
            policy.set_freshness(Duration::from_secs(5));
        }
    });
    for (path, code, lines, expected) in [
        ("/never", 200, A, "fwd=uri-miss"),
        ("/always", 200, "cache-control: private, max-age=60", "hit"),
        ("/a", 404, "", "hit"),
        ("/b", 404, "cache-control: no-store", "fwd=uri-miss"),
    ] {
        let (stack, _) = cached_by(&layer, code, lines);
        send(&stack, request("GET", path, "")).await;
        let (head, _) = send(&stack, request("GET", path, "")).await;
        assert_eq!(status(&head), expected, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_key_hook_separates_responses_and_removals_include_all() {
    let layer = small().with_key(|head| {
        let scheme = head.headers.get("x-scheme")?;
        Some(Key::from_request(head)?.with_part(scheme.as_bytes()))
    });
    let (stack, _) = cached_by(&layer, 200, A);
    let get = async |line| status(&send(&stack, request("GET", "/", line)).await.0).to_owned();
    assert_eq!(get("x-scheme: http").await, "fwd=uri-miss; stored");
    assert_eq!(get("x-scheme: https").await, "fwd=vary-miss; stored");
    assert_eq!(get("x-scheme: http").await, "hit");
    assert_eq!(get("").await, "fwd=bypass");
    send(&stack, request("POST", "/", "x-scheme: http")).await;
    assert_eq!(get("x-scheme: https").await, "fwd=uri-miss; stored");
}

#[derive(Default)]
struct Events(Mutex<Vec<String>>);

impl Observer for Events {
    fn on_response(&self, status: CacheStatus) {
        self.push(status.to_string());
    }

    fn on_store(&self, outcome: StoreOutcome) {
        let name = format!("{outcome:?}");
        let word = name.split('(').next().unwrap_or_default();
        self.push(word.to_owned());
    }
}

impl Events {
    fn push(&self, event: String) {
        self.0.lock().expect("no panic").push(event);
    }
}

#[tokio::test(start_paused = true)]
async fn the_observer_receives_each_event() {
    let events = Arc::new(Events::default());
    let layer = small().with_observer(events.clone());
    let origin = service_fn(async |request: Request<Body>| {
        let body = match request.uri().path() {
            "/large" => "123456789",
            _ => "body",
        };
        let mut reply = response(200, A, Body::from(body));
        if request.uri().path() == "/private" {
            reply.headers_mut().remove(header::CACHE_CONTROL);
        }
        Ok(reply)
    });
    let stack = stack(&layer, origin);
    for path in ["/", "/", "/private", "/large"] {
        send(&stack, request("GET", path, "")).await;
    }
    send(&stack, request("DELETE", "/", "")).await;
    let found = events.0.lock().expect("no panic").join(", ");
    let expected = "fwd=uri-miss; stored, Stored, hit, NotStorable, fwd=uri-miss, TooLarge, \
                    fwd=uri-miss, fwd=method";
    assert_eq!(found, expected);
}
