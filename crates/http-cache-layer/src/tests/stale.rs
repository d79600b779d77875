//! Stale responses.

use super::*;
use crate::shared::MAX_BACKGROUND;

const SERVED: &str = "hit; ttl=-5; detail=stale-while-revalidate";

#[tokio::test(start_paused = true)]
async fn stale_responses_are_served_during_one_revalidation() {
    let (stack, count) = cached(200, SWR);
    send(&stack, request("GET", "/", "")).await;
    time::advance(Duration::from_secs(65)).await;
    for _ in 0..20 {
        let start = time::Instant::now();
        let (head, body) = send(&stack, request("GET", "/", "")).await;
        assert_eq!((status(&head), &*body), (SERVED, "body"));
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
    time::sleep(Duration::from_secs(1)).await;
    assert_eq!(count.load(Ordering::SeqCst), 2);
    assert_eq!(
        status(&send(&stack, request("GET", "/", "")).await.0),
        "hit"
    );
}

#[tokio::test(start_paused = true)]
async fn stale_responses_are_not_served_if_forbidden() {
    for (more, wait, line) in [
        ("", 91, ""),
        (", must-revalidate", 65, ""),
        (", s-maxage=60", 65, ""),
        ("", 65, "cache-control: no-cache"),
        ("", 65, "cache-control: max-age=100"),
        ("", 65, "pragma: no-cache"),
    ] {
        let lines: &'static str = format!("{SWR}{more}").leak();
        let (stack, count) = cached(200, lines);
        send(&stack, request("GET", "/", "")).await;
        time::advance(Duration::from_secs(wait)).await;
        let (head, _) = send(&stack, request("GET", "/", line)).await;
        assert!(
            status(&head).starts_with("fwd="),
            "{more} {line}: {}",
            status(&head)
        );
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn revalidations_of_a_hanging_origin_time_out() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let origin = service_fn(move |_: Request<Body>| {
        let first = seen.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if !first {
                std::future::pending::<()>().await;
            }
            Ok::<_, BoxError>(response(200, SWR, Body::from("body")))
        }
    });
    let layer = layer(1 << 20, 8);
    let stack = stack(&layer, origin);
    send(&stack, request("GET", "/", "")).await;
    time::advance(Duration::from_secs(65)).await;
    send(&stack, request("GET", "/", "")).await;
    time::sleep(Duration::from_millis(1)).await;
    assert_eq!(
        layer.shared().background.available_permits(),
        MAX_BACKGROUND - 1
    );
    time::sleep(Duration::from_secs(61)).await;
    assert_eq!(
        layer.shared().background.available_permits(),
        MAX_BACKGROUND
    );
}

#[tokio::test(start_paused = true)]
async fn revalidations_do_not_hold_extensions_of_the_client_connection() {
    use tokio::sync::{OwnedSemaphorePermit, Semaphore};
    type Connection = Arc<OwnedSemaphorePermit>;
    let layer = layer(1 << 20, 8).with_detach(|head| {
        head.extensions.remove::<Connection>();
    });
    let (stack, _) = cached_by(&layer, 200, SWR);
    send(&stack, request("GET", "/", "")).await;
    time::advance(Duration::from_secs(65)).await;
    let connections = Arc::new(Semaphore::new(1));
    let permit = connections.clone().try_acquire_owned().expect("a permit");
    let mut request = request("GET", "/", "");
    request.extensions_mut().insert(Arc::new(permit));
    assert_eq!(status(&send(&stack, request).await.0), SERVED);
    time::sleep(Duration::from_millis(50)).await;
    assert_eq!(connections.available_permits(), 1);
}

#[tokio::test(start_paused = true)]
async fn concurrent_background_revalidations_are_limited() {
    let (stack, _) = cached(200, SWR);
    let targets: Vec<_> = (0..=MAX_BACKGROUND).map(|n| format!("/{n}")).collect();
    for target in &targets {
        send(&stack, request("GET", target, "")).await;
        time::advance(Duration::from_millis(1)).await;
    }
    time::advance(Duration::from_secs(64)).await;
    for (number, target) in targets.iter().enumerate() {
        let (head, _) = send(&stack, request("GET", target, "")).await;
        let served = status(&head).ends_with("stale-while-revalidate");
        assert_eq!(
            served,
            number < MAX_BACKGROUND,
            "{number}: {}",
            status(&head)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn revalidations_omit_the_conditions_of_the_client() {
    let (stack, _) = cached(200, SWR);
    send(&stack, request("GET", "/", "")).await;
    time::advance(Duration::from_secs(65)).await;
    let (head, _) = send(&stack, request("GET", "/", "if-none-match: \"own\"")).await;
    assert_eq!(status(&head), SERVED);
    time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        status(&send(&stack, request("GET", "/", "")).await.0),
        "hit"
    );
}

#[tokio::test(start_paused = true)]
async fn stale_if_error_serves_stale_responses_when_the_origin_fails() {
    for (lines, served) in [
        ("cache-control: max-age=60, stale-if-error=30", true),
        ("cache-control: max-age=60, stale-if-error=5", false),
        (
            "cache-control: max-age=60, stale-if-error=30, must-revalidate",
            false,
        ),
        (A, false),
    ] {
        let count = Arc::new(AtomicUsize::new(0));
        let origin = service_fn(move |_: Request<Body>| {
            let first = count.fetch_add(1, Ordering::SeqCst) == 0;
            let response = first.then(|| response(200, lines, Body::from("body")));
            std::future::ready(response.ok_or_else(|| BoxError::from("unreachable")))
        });
        let stack = stack(&layer(1 << 20, 8), origin);
        send(&stack, request("GET", "/", "")).await;
        time::advance(Duration::from_secs(70)).await;
        let response = stack.clone().oneshot(request("GET", "/", "")).await;
        assert_eq!(response.is_ok(), served, "{lines}");
    }
}
