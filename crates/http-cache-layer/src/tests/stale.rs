//! Stale answers that are served while the origin is asked.

use super::*;

const SERVED: &str = "hit; ttl=-5; detail=stale-while-revalidate";

#[tokio::test(start_paused = true)]
async fn a_stale_answer_is_served_while_one_revalidates_it() {
    let (stack, count) = cached(200, SWR);
    send(&stack, request("GET", "/", "")).await;
    time::advance(Duration::from_secs(65)).await;
    for _ in 0..20 {
        let start = time::Instant::now();
        let (head, body) = send(&stack, request("GET", "/", "")).await;
        assert_eq!((told(&head), &*body), (SERVED, "body"));
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
    time::sleep(Duration::from_secs(1)).await;
    assert_eq!(count.load(Ordering::SeqCst), 2);
    assert_eq!(told(&send(&stack, request("GET", "/", "")).await.0), "hit");
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_is_not_served_where_that_is_forbidden() {
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
            told(&head).starts_with("fwd="),
            "{more} {line}: {}",
            told(&head)
        );
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_revalidation_of_an_origin_that_hangs_ends() {
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
    let shared = Shared::in_memory(1 << 20, 8);
    let stack: Stack = BoxCloneSyncService::new(shared.layer("").layer(origin));
    send(&stack, request("GET", "/", "")).await;
    time::advance(Duration::from_secs(65)).await;
    send(&stack, request("GET", "/", "")).await;
    time::sleep(Duration::from_millis(1)).await;
    assert_eq!(
        shared.background.available_permits(),
        super::super::BACKGROUND - 1
    );
    time::sleep(Duration::from_secs(61)).await;
    assert_eq!(
        shared.background.available_permits(),
        super::super::BACKGROUND
    );
}

#[tokio::test(start_paused = true)]
async fn a_revalidation_does_not_hold_the_place_of_a_client_that_has_left() {
    use tokio::sync::{Semaphore, mpsc};
    let (stack, _) = cached(200, SWR);
    send(&stack, request("GET", "/", "")).await;
    time::advance(Duration::from_secs(65)).await;
    let places = Arc::new(Semaphore::new(1));
    let place = places.clone().try_acquire_owned().expect("a place");
    let open =
        crate::connection::ClientConnection::new(place, None, mpsc::channel(1).0, Duration::MAX);
    let mut request = request("GET", "/", "");
    request.extensions_mut().insert(open);
    assert_eq!(told(&send(&stack, request).await.0), SERVED);
    time::sleep(Duration::from_millis(50)).await;
    assert_eq!(places.available_permits(), 1);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_are_revalidated_in_the_background_at_once() {
    let (stack, _) = cached(200, SWR);
    let targets: Vec<_> = (0..=super::super::BACKGROUND)
        .map(|n| format!("/{n}"))
        .collect();
    for target in &targets {
        send(&stack, request("GET", target, "")).await;
        time::advance(Duration::from_millis(1)).await;
    }
    time::advance(Duration::from_secs(64)).await;
    for (number, target) in targets.iter().enumerate() {
        let (head, _) = send(&stack, request("GET", target, "")).await;
        let served = told(&head).ends_with("stale-while-revalidate");
        assert_eq!(
            served,
            number < super::super::BACKGROUND,
            "{number}: {}",
            told(&head)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_revalidation_leaves_out_what_its_client_has() {
    let (stack, _) = cached(200, SWR);
    send(&stack, request("GET", "/", "")).await;
    time::advance(Duration::from_secs(65)).await;
    let (head, _) = send(&stack, request("GET", "/", "if-none-match: \"own\"")).await;
    assert_eq!(told(&head), SERVED);
    time::sleep(Duration::from_secs(1)).await;
    assert_eq!(told(&send(&stack, request("GET", "/", "")).await.0), "hit");
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_helps_out_where_the_origin_allows_it() {
    for (lines, helps) in [
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
            let answer = first.then(|| response(200, lines, Body::from("body")));
            std::future::ready(answer.ok_or_else(|| BoxError::from("unreachable")))
        });
        let layer = Shared::in_memory(1 << 20, 8).layer("");
        let stack: Stack = BoxCloneSyncService::new(layer.layer(origin));
        send(&stack, request("GET", "/", "")).await;
        time::advance(Duration::from_secs(70)).await;
        let answer = stack.clone().oneshot(request("GET", "/", "")).await;
        assert_eq!(answer.is_ok(), helps, "{lines}");
    }
}
