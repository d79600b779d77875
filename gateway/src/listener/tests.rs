//! HTTP/2 clients that do not read their responses, and clients that connect while the gateway stops.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use futures_util::stream;
use http::{Request, uri::Scheme};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http2 as client};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::{Semaphore, mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tower::service_fn;

use super::acceptor::Acceptor;
use crate::{build::ActiveConfig, connection::ClientConnection, service::Respond};

/// Bytes that the client accepts on a stream that it does not read.
const WINDOW: u32 = 1000;
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Returns the origin's response: `/endless` has no end, `/short` is one byte longer than the window, `/events` sends an
/// event every ten minutes.
fn response_body(path: &str, open: watch::Receiver<()>) -> Body {
    let repeat = |interval: Duration, size: usize| {
        let chunks = stream::unfold(open, move |open| async move {
            sleep(interval).await;
            Some((Ok::<_, Infallible>(vec![b'a'; size]), open))
        });
        Body::from_stream(Box::pin(chunks))
    };
    match path {
        "/endless" => repeat(Duration::ZERO, 100),
        "/events" => repeat(HOUR / 6, 10),
        _ => Body::from(vec![b'a'; WINDOW as usize + 1]),
    }
}

type Client = client::SendRequest<Full<Bytes>>;

/// Serves a connection as long as the sender of the stop exists. Returns its other end and its task.
fn serve(
    acceptor: Acceptor<impl Respond>,
    is_http2: bool,
    scheme: Scheme,
    stop: watch::Sender<bool>,
) -> (DuplexStream, JoinHandle<()>) {
    let permit = Arc::new(Semaphore::new(1))
        .try_acquire_owned()
        .expect("a free permit");
    let connection = ClientConnection::new(permit, None, mpsc::channel(1).0, Duration::MAX);
    let (ours, theirs) = duplex(1 << 16);
    let address = "127.0.0.1:1".parse().expect("an address");
    let served = tokio::spawn(async move {
        let _stop = stop;
        acceptor
            .serve(theirs, is_http2, address, scheme, connection)
            .await;
    });
    (ours, served)
}

/// Returns a client that responds to pings, its connection's task, and a sender that is closed while there are no responses.
async fn connect() -> (Client, JoinHandle<()>, watch::Sender<()>) {
    let address = "127.0.0.1:1".parse().expect("an address");
    let config = ActiveConfig::parse(&crate::demo::config(address)).expect("valid configuration");
    let responses = watch::Sender::new(());
    let open = responses.clone();
    let service = service_fn(move |request: Request<Body>| {
        let body = response_body(request.uri().path(), open.subscribe());
        async { Ok::<_, Infallible>(Response::new(body)) }
    });
    let (stop, stopped) = watch::channel(false);
    let acceptor = Acceptor::new(service, &config.server, stopped);
    let (ours, served) = serve(acceptor, true, Scheme::HTTP, stop);
    let mut client = client::Builder::new(TokioExecutor::new());
    client.initial_stream_window_size(WINDOW);
    let (client, connection) = client.handshake(TokioIo::new(ours)).await.expect("HTTP/2");
    tokio::spawn(connection);
    (client, served, responses)
}

async fn get(client: &mut Client, path: &str) -> Incoming {
    let request = Request::get(format!("http://h{path}")).body(Full::default());
    let response = client.send_request(request.expect("valid request")).await;
    response.expect("a response").into_body()
}

#[tokio::test(start_paused = true)]
async fn unread_streams_are_reset_and_silent_origins_are_not() {
    let (mut client, served, _) = connect().await;
    let mut events = get(&mut client, "/events").await;
    let endless = get(&mut client, "/endless").await;
    sleep(Duration::from_secs(59)).await;
    let mut slow = get(&mut client, "/endless").await;
    sleep(Duration::from_secs(2)).await;
    let error = endless.collect().await.expect_err("reset");
    assert!(format!("{error:?}").contains("CANCEL"), "{error:?}");
    // 1000 bytes, each window, earn two seconds.
    for _ in 0..100 {
        for _ in 0..10 {
            slow.frame().await.expect("more").expect("valid frame");
        }
        sleep(Duration::from_millis(1900)).await;
    }
    drop(slow);
    // By now the idle connection accepts no more requests, but stays open.
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
async fn unread_responses_close_the_connection() {
    for path in ["/endless", "/short"] {
        let start = Instant::now();
        let (mut client, served, responses) = connect().await;
        let _unread = get(&mut client, path).await;
        timeout(HOUR, responses.closed()).await.expect("dropped");
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

/// Returns a client over HTTP/1.1 of a gateway that stops, and its connection's task.
fn connect_after_stop() -> (DuplexStream, JoinHandle<()>) {
    let address = "127.0.0.1:1".parse().expect("an address");
    let config = ActiveConfig::parse(&crate::demo::config(address)).expect("valid configuration");
    let service =
        service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::from("ok"))));
    let (stop, stopped) = watch::channel(true);
    let acceptor = Acceptor::new(service, &config.server, stopped.clone()).with_draining(stopped);
    serve(acceptor, false, Scheme::HTTPS, stop)
}

#[tokio::test(start_paused = true)]
async fn first_request_of_an_accepted_connection_is_served_after_the_stop() {
    let (mut client, served) = connect_after_stop();
    // For example after a TLS handshake.
    sleep(Duration::from_secs(1)).await;
    for part in ["GET / HT", "TP/1.1\r\nhost: h\r\n\r\n"] {
        client.write_all(part.as_bytes()).await.expect("open");
        sleep(Duration::from_secs(1)).await;
    }
    let mut response = String::new();
    client.read_to_string(&mut response).await.expect("read");
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    assert!(response.contains("connection: close\r\n"), "{response}");
    served.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn accepted_connections_without_a_request_end_after_the_stop() {
    let start = Instant::now();
    let (client, served) = connect_after_stop();
    served.await.expect("no panic");
    assert!(start.elapsed() <= Duration::from_secs(31));
    drop(client);
}
