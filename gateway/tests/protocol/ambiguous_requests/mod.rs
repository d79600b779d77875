//! Ambiguous and hostile requests, as bytes on the wire.

mod framing;
mod heads;

use std::{net::SocketAddr, time::Duration};

use futures_util::future;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::support::{Gateway, TestOrigin};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Longer than any test may wait for the gateway.
const NEVER: Duration = Duration::from_secs(20);

/// Starts a gateway with an open route and a verified one.
fn gateway(origin: SocketAddr) -> Gateway {
    Gateway::with_config(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nheader_timeout = \"1s\"\nbody_timeout = \"1s\"\n\
         [credentials]\nsource = \"static\"\naccess_key_id = \"AKID\"\nsecret_access_key = \"secret\"\n\
         [verify]\nservice = \"execute-api\"\nregion = \"us-east-1\"\n\
         [[verify.key]]\naccess_key_id = \"AKIDALICE\"\nsecret_access_key = \"alices secret\"\n\
         [[origin]]\nname = \"a\"\nurl = \"http://{origin}\"\nservice = \"execute-api\"\n\
         region = \"us-east-1\"\n\
         [[route]]\npath = \"/open\"\nhost = \"h\"\nverify = false\norigin = \"a\"\n\
         [[route]]\npath = \"/closed\"\nhost = \"h\"\norigin = \"a\"\n"
    ))
}

/// Returns all responses until the gateway closes the connection.
async fn send(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    drop(stream.write_all(bytes).await); // the gateway may close before all is sent
    let mut response = Vec::new();
    drop(
        timeout(NEVER, stream.read_to_end(&mut response))
            .await
            .expect("end of the connection"),
    );
    String::from_utf8_lossy(&response).into_owned()
}

fn statuses(responses: &str) -> Vec<u16> {
    let status = |response: &str| response.get(..3)?.parse().ok();
    responses.split("HTTP/1.1 ").filter_map(status).collect()
}

/// Name, request, responses, and a line that the origin receives; empty if it must not receive the request.
type Row = (&'static str, &'static str, &'static [u16], &'static str);

/// Sends each row to a gateway of its own until it closes the connection, and passes the response and the bytes that
/// the origin received to `check`.
async fn check_rows(rows: &[Row], request: fn(&str) -> String, check: fn(&str, &str)) {
    // Start all gateways first: it takes long, and silent clients are disconnected.
    let mut started = Vec::new();
    for rows in rows.chunks(4) {
        let origin = TestOrigin::start(OK).await;
        started.push((rows, gateway(origin.address), origin));
    }
    future::join_all(started.iter().map(async |(rows, gateway, origin)| {
        for (name, text, responses, forwarded) in *rows {
            let before = origin.requests().len();
            let response = send(gateway.address, request(text).as_bytes()).await;
            assert_eq!(statuses(&response), *responses, "{name}: {response}");
            let seen = &origin.requests()[before..];
            assert_eq!(
                seen.len(),
                usize::from(!forwarded.is_empty()),
                "{name}: {seen:?}"
            );
            for head in seen {
                assert!(
                    head.lines().any(|line| line == *forwarded),
                    "{name}: {head}"
                );
                assert!(
                    head.contains(&format!("\r\nhost: {}\r\n", origin.address)),
                    "{head}"
                );
                check(name, head);
            }
        }
    }))
    .await;
}

#[tokio::test]
async fn slow_clients_time_out() {
    let origin = TestOrigin::start(OK).await;
    let gateway = gateway(origin.address);
    let rows = [
        ("nothing", "", &[][..]),
        ("half of a preface of HTTP/2", "PRI * HTTP/2.0\r\n", &[]),
        ("a preface only", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[]),
        ("half of a line", "GET /op", &[]),
        ("half of a head", "GET /open HTTP/1.1\r\nhost: h\r\n", &[]),
        (
            "no second request",
            "GET /open HTTP/1.1\r\nhost: h\r\n\r\n",
            &[200],
        ),
        (
            "half of a second head",
            "GET /open HTTP/1.1\r\nhost: h\r\n\r\nGET /open",
            &[200],
        ),
        (
            "half of a body",
            "POST /open HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nab",
            &[408],
        ),
        (
            "half of a chunk",
            "POST /open HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n4\r\nab",
            &[408],
        ),
        (
            "half of a size",
            "POST /open HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n4",
            &[408],
        ),
    ];
    future::join_all(rows.map(async |(name, request, responses)| {
        let start = Instant::now();
        let response = send(gateway.address, request.as_bytes()).await;
        assert_eq!(statuses(&response), responses, "{name}: {response}");
        assert!(start.elapsed() < NEVER / 2, "{name}");
    }))
    .await;
}

#[tokio::test]
async fn slow_uploads_do_not_block_other_bodies() {
    let origin = TestOrigin::start(OK).await;
    // The other settings are the defaults: together the uploads need more memory than the limit.
    let gateway = gateway(origin.address);
    let address = gateway.address;
    let drips = |_| {
        tokio::spawn(async move {
            loop {
                let mut stream = TcpStream::connect(address).await.expect("connected");
                let head = "POST /open HTTP/1.1\r\nhost: h\r\ncontent-length: 16777216\r\n\r\n";
                drop(stream.write_all(head.as_bytes()).await);
                while stream.write_all(&[b'a'; 120]).await.is_ok() {
                    sleep(Duration::from_millis(200)).await;
                }
            }
        })
    };
    let slow: Vec<_> = (0..24).map(drips).collect();
    sleep(Duration::from_secs(3)).await;
    for _ in 0..3 {
        let request =
            b"POST /open HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc";
        let response = send(address, request).await;
        assert_eq!(statuses(&response), [200], "{response}");
    }
    assert!(slow.iter().all(|drips| !drips.is_finished()));
    slow.iter().for_each(JoinHandle::abort);
}
