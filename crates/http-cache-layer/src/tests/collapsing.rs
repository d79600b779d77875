//! Requests that wait for others, and requests that must not.

use http_body_util::StreamBody;

use super::*;

/// Sends requests at once, and returns how long each took, in milliseconds.
async fn send_all(stack: &Stack, count: usize, lines: &'static str) -> Vec<u128> {
    let all: Vec<_> = (0..count)
        .map(|_| {
            let clone = stack.clone();
            tokio::spawn(async move {
                let start = time::Instant::now();
                send(&clone, request("GET", "/", lines)).await;
                start.elapsed().as_millis()
            })
        })
        .collect();
    let mut times = Vec::new();
    for one in all {
        times.push(one.await.expect("not cancelled"));
    }
    times
}

#[tokio::test(start_paused = true)]
async fn concurrent_requests_collapse_if_the_response_is_shared() {
    for (lines, requests) in [(A, 1), ("cache-control: private", 20)] {
        let (stack, count) = cached(200, lines);
        let start = time::Instant::now();
        let all: Vec<_> = (0..20)
            .map(|_| {
                let clone = stack.clone();
                tokio::spawn(async move { send(&clone, request("GET", "/", "")).await.1 })
            })
            .collect();
        for one in all {
            assert_eq!(one.await.expect("not cancelled"), "body");
        }
        assert_eq!(count.load(Ordering::SeqCst), requests);
        assert!(start.elapsed() < Duration::from_millis(300), "in parallel");
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_takes_over_when_the_leader_is_dropped() {
    let (stack, count) = cached(200, A);
    let leader = tokio::spawn(stack.clone().oneshot(request("GET", "/", "")));
    time::sleep(Duration::from_millis(10)).await;
    let clone = stack.clone();
    let waiter = tokio::spawn(async move { send(&clone, request("GET", "/", "")).await.1 });
    time::sleep(Duration::from_millis(10)).await;
    leader.abort();
    assert_eq!(waiter.await.expect("not cancelled"), "body");
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

/// An origin that never ends its first body, and responds to later requests after this many seconds.
fn with_slow_leader(seconds: u64) -> (Stack, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let origin = service_fn(move |_: Request<Body>| {
        let number = seen.fetch_add(1, Ordering::SeqCst);
        async move {
            time::sleep(Duration::from_secs(seconds)).await;
            let body = if number == 0 {
                Body::new(StreamBody::new(tokio_stream::pending::<
                    Result<Frame<Bytes>, BoxError>,
                >()))
            } else {
                Body::from("body")
            };
            Ok(response(200, A, body))
        }
    });
    (stack(&layer(1 << 20, 8), origin), count)
}

#[tokio::test(start_paused = true)]
async fn after_the_timeout_one_more_request_goes_to_the_origin() {
    let (stack, count) = with_slow_leader(1);
    let leader = tokio::spawn(stack.clone().oneshot(request("GET", "/", "")));
    time::sleep(Duration::from_millis(10)).await;
    let times = send_all(&stack, 100, "").await;
    assert_eq!(count.load(Ordering::SeqCst), 2);
    assert!(
        times.iter().all(|time| (5900..6100).contains(time)),
        "{times:?}"
    );
    drop(leader);
}

#[tokio::test(start_paused = true)]
async fn waiters_use_the_first_of_several_responses() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let origin = service_fn(move |_: Request<Body>| {
        seen.fetch_add(1, Ordering::SeqCst);
        async {
            time::sleep(Duration::from_secs(6)).await;
            Ok(response(200, A, Body::from("body")))
        }
    });
    let layer = layer(1 << 20, 8).with_wait_timeout(Duration::from_secs(2));
    let stack = stack(&layer, origin);
    let times = send_all(&stack, 100, "").await;
    // At the beginning, after two seconds, and after four.
    assert_eq!(count.load(Ordering::SeqCst), 3);
    let slow = times.iter().filter(|time| **time > 6100).count();
    assert!(
        slow <= 2,
        "all but the later leaders end with the first response: {times:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn uncacheable_responses_are_not_waited_for() {
    const NO_CACHE: &str = "cache-control: no-cache";
    const RANGE: &str = "range: bytes=0-1";
    for (status, lines, sent) in [
        (200, "cache-control: private, max-age=60", ""),
        (200, "cache-control: no-store", ""),
        (200, "cache-control: max-age=60|set-cookie: a=b", ""),
        (500, "", ""),
        (200, A, "authorization: x"),
        (200, A, "x-api-key: x"),
        (200, A, NO_CACHE),
        (200, A, "cache-control: no-store"),
        (200, A, RANGE),
    ] {
        let (stack, count) = cached(status, lines);
        if sent != NO_CACHE && sent != RANGE {
            send(&stack, request("GET", "/", sent)).await;
        }
        let before = count.load(Ordering::SeqCst);
        let times = send_all(&stack, 50, sent).await;
        assert!(
            times.iter().all(|time| *time <= 101),
            "{lines} {sent}: {times:?}"
        );
        assert_eq!(count.load(Ordering::SeqCst), before + 50, "{lines} {sent}");
    }
}

#[tokio::test(start_paused = true)]
async fn large_responses_are_not_waited_for() {
    let origin = service_fn(async |_: Request<Body>| {
        time::sleep(Duration::from_millis(100)).await;
        // The length is not declared.
        let frames = [Ok::<_, BoxError>(Frame::data(Bytes::from("123456789")))];
        let body = Body::new(StreamBody::new(tokio_stream::iter(frames)));
        Ok(response(200, A, body))
    });
    let stack = stack(&layer(1 << 20, 8), origin);
    send(&stack, request("GET", "/", "")).await;
    let times = send_all(&stack, 50, "").await;
    assert!(times.iter().all(|time| *time <= 101), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_response_that_becomes_cacheable_is_shared_again() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let origin = service_fn(move |_: Request<Body>| {
        let lines = if seen.fetch_add(1, Ordering::SeqCst) == 0 {
            "cache-control: private"
        } else {
            A
        };
        async move {
            time::sleep(Duration::from_millis(100)).await;
            Ok(response(200, lines, Body::from("body")))
        }
    });
    let stack = stack(&layer(1 << 20, 8), origin);
    for _ in 0..2 {
        send(&stack, request("GET", "/", "")).await;
    }
    send_all(&stack, 50, "").await;
    assert_eq!(count.load(Ordering::SeqCst), 2);
    time::advance(Duration::from_secs(61)).await;
    send_all(&stack, 50, "").await;
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn conditional_requests_collapse() {
    let (stack, count) = cached(200, TAG);
    send_all(&stack, 200, "if-none-match: \"own\"").await;
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let (head, body) = send(&stack, request("GET", "/", "")).await;
    assert_eq!((status(&head), &*body), ("hit", "body"));
}

#[tokio::test(start_paused = true)]
async fn authorized_requests_share_a_public_response() {
    let (stack, count) = cached(200, "cache-control: public, max-age=60");
    send_all(&stack, 200, "authorization: x").await;
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn changes_of_other_urls_do_not_keep_a_response_from_being_stored() {
    let (stack, count) = cached(200, A);
    let waiting = stack.clone();
    let all = tokio::spawn(async move { send_all(&waiting, 200, "").await });
    for number in 0..20 {
        send(&stack, request("POST", &format!("/{number}"), "")).await;
    }
    all.await.expect("not cancelled");
    assert_eq!(count.load(Ordering::SeqCst), 1 + 20);
}

#[tokio::test(start_paused = true)]
async fn waiters_behind_a_leader_that_fails_slowly_do_not_queue() {
    let origin = service_fn(async |_: Request<Body>| {
        time::sleep(Duration::from_secs(6)).await;
        Err::<Response, _>(BoxError::from("unreachable"))
    });
    let stack = stack(&layer(1 << 20, 8), origin);
    let all: Vec<_> = (0..50)
        .map(|_| {
            let clone = stack.clone();
            tokio::spawn(async move {
                let start = time::Instant::now();
                let result = clone.oneshot(request("GET", "/", "")).await;
                (result.is_err(), start.elapsed().as_secs())
            })
        })
        .collect();
    for one in all {
        let (failed, seconds) = one.await.expect("not cancelled");
        assert!(failed && seconds <= 12, "{seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn waiters_share_a_stale_response_when_the_origin_fails() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let origin = service_fn(move |_: Request<Body>| {
        let first = seen.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            time::sleep(Duration::from_secs(1)).await;
            if first {
                let lines = "cache-control: max-age=60, stale-if-error=60";
                return Ok(response(200, lines, Body::from("body")));
            }
            Err(BoxError::from("unreachable"))
        }
    });
    let stack = stack(&layer(1 << 20, 8), origin);
    send(&stack, request("GET", "/", "")).await;
    time::advance(Duration::from_secs(70)).await;
    let times = send_all(&stack, 50, "").await;
    assert!(times.iter().all(|time| *time <= 1001), "{times:?}");
    assert_eq!(count.load(Ordering::SeqCst), 2);
}
