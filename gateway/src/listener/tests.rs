//! What becomes of clients over HTTP/2 that do not take their answers.

use std::sync::Arc;

use axum::body::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2 as client;
use hyper_util::rt::TokioExecutor;
use tokio::{
    io::duplex,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tower::service_fn;

use super::*;
use crate::config::Config;

/// What the client takes of a stream that it does not read.
const WINDOW: u32 = 1000;
const HOUR: Duration = Duration::from_secs(60 * 60);

/// What an origin answers: `/endless` has no end, `/short` is a little more than the window, of `/events` there is
/// one each ten minutes.
fn answered(path: &str, held: watch::Receiver<()>) -> Body {
    let pieces = |every: Duration, size: usize| {
        let pieces = stream::unfold(held, move |held| async move {
            sleep(every).await;
            Some((Ok::<_, Infallible>(vec![b'a'; size]), held))
        });
        Body::from_stream(Box::pin(pieces))
    };
    match path {
        "/endless" => pieces(Duration::ZERO, 100),
        "/events" => pieces(HOUR / 6, 10),
        _ => Body::from(vec![b'a'; WINDOW as usize + 1]),
    }
}

type Client = client::SendRequest<Full<Bytes>>;

/// A client that answers pings, its connection, and what is closed while there are no answers.
async fn connect() -> (Client, JoinHandle<()>, watch::Sender<()>) {
    let address = "127.0.0.1:1".parse().expect("an address");
    let config = Config::parse(&crate::demo::config(address)).expect("sound");
    let held = watch::Sender::new(());
    let answers = held.clone();
    let service = service_fn(move |request: Request<Body>| {
        let body = answered(request.uri().path(), answers.subscribe());
        async { Ok::<_, Infallible>(Response::new(body)) }
    });
    let (stop, stopped) = watch::channel(false);
    let front = Front::new(service, config.server(), stopped);
    let place = Arc::new(Semaphore::new(1))
        .try_acquire_owned()
        .expect("a place");
    let open = Open::new(mpsc::channel(1).0, (place, None), Duration::MAX);
    let (ours, theirs) = duplex(1 << 16);
    let served = tokio::spawn(async move {
        let _stop = stop;
        front.serve(theirs, true, address, Scheme::HTTP, open).await;
    });
    let mut client = client::Builder::new(TokioExecutor::new());
    client.initial_stream_window_size(WINDOW);
    let (client, connection) = client.handshake(TokioIo::new(ours)).await.expect("HTTP/2");
    tokio::spawn(connection);
    (client, served, held)
}

async fn ask(client: &mut Client, path: &str) -> Incoming {
    let request = Request::get(format!("http://h{path}")).body(Full::default());
    let answer = client
        .send_request(request.expect("a request"))
        .await
        .expect("an answer");
    answer.into_body()
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_taken_is_reset_and_one_whose_origin_is_silent_lives_on() {
    let (mut client, served, _) = connect().await;
    let mut events = ask(&mut client, "/events").await;
    let endless = ask(&mut client, "/endless").await;
    sleep(Duration::from_secs(59)).await;
    let mut taken = ask(&mut client, "/endless").await;
    sleep(Duration::from_secs(2)).await;
    let error = endless.collect().await.expect_err("reset");
    assert!(format!("{error:?}").contains("CANCEL"), "{error:?}");
    // Each window is a second and two of time.
    for _ in 0..100 {
        for _ in 0..10 {
            taken.frame().await.expect("more").expect("sound");
        }
        sleep(Duration::from_millis(1900)).await;
    }
    drop(taken);
    // The connection takes no more requests by now, for want of them, and lives on as well.
    for _ in 0..6 {
        events.frame().await.expect("an event").expect("sound");
    }
    assert!(!served.is_finished());
    drop(events);
    timeout(Duration::from_secs(1), served)
        .await
        .expect("no other request")
        .expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_gives_up_its_place() {
    for path in ["/endless", "/short"] {
        let start = Instant::now();
        let (mut client, served, answers) = connect().await;
        let _untaken = ask(&mut client, path).await;
        timeout(HOUR, answers.closed()).await.expect("dropped");
        assert!(
            start.elapsed() < Duration::from_secs(62),
            "{path}: {:?}",
            start.elapsed()
        );
        timeout(HOUR, served)
            .await
            .expect("left")
            .expect("no panic");
        assert!(
            start.elapsed() < Duration::from_secs(200),
            "{path}: {:?}",
            start.elapsed()
        );
    }
}
