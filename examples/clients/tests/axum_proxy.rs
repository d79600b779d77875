//! Errors of the layer become responses of a router.

mod support;

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{Request, StatusCode, header::CONTENT_LENGTH};
use http_body::Body;
use http_body_util::{BodyExt, Full, channel::Channel};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use support::{CREDENTIALS, Origin, command, credentials};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpSocket,
    process::Child,
};

/// The example as a process, which ends with the test.
struct Proxy {
    address: SocketAddr,
    _process: Child,
}

impl Proxy {
    async fn start(origin: &str, variables: &[(&str, &str)]) -> Self {
        let arguments = ["127.0.0.1:0", origin];
        let mut command = command(env!("CARGO_BIN_EXE_axum_proxy"), &arguments, variables);
        let mut process = command.spawn().expect("process starts");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let line = lines.next_line().await.expect("UTF-8").expect("a line");
        let address = line
            .strip_prefix("listening on http://")
            .expect("an address")
            .parse();
        Self {
            address: address.expect("an address"),
            _process: process,
        }
    }

    async fn post(&self, path: &str) -> (StatusCode, String) {
        self.send(Request::post(self.uri(path)).body(Full::from("an order")))
            .await
    }

    fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn send<B>(&self, request: http::Result<Request<B>>) -> (StatusCode, String)
    where
        B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
    {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client
            .request(request.expect("a request"))
            .await
            .expect("a response");
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .expect("a complete body")
            .to_bytes();
        (status, String::from_utf8(body.into()).expect("UTF-8"))
    }
}

#[tokio::test]
async fn matching_requests_are_signed_and_forwarded() {
    let origin = Origin::start(credentials(), "execute-api").await;
    let proxy = Proxy::start(&origin.url(), &CREDENTIALS).await;
    let response = proxy.post("/orders?id=1").await;
    assert_eq!(response, (StatusCode::OK, "an order".to_owned()));
    let [seen] = &origin.seen()[..] else {
        panic!("one request")
    };
    assert_eq!(seen.host, origin.address.to_string());

    let (status, body) = proxy.post("/customers").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(
        body.starts_with(
            r#"{"__type":"NotFoundException","message":"no rule matches POST \"/customers\""#
        ),
        "{body}"
    );

    // Only the length is sent: a client that still sends a body might see the connection close before the response.
    let (_sender, body) = Channel::<Bytes>::new(1);
    let request = Request::post(proxy.uri("/orders")).header(CONTENT_LENGTH, 1024 * 1024 + 1);
    let (status, body) = proxy.send(request.body(body)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{body}");
    assert!(origin.seen().is_empty());
}

#[tokio::test]
async fn missing_credentials_become_503() {
    let origin = Origin::start(credentials(), "execute-api").await;
    let proxy = Proxy::start(&origin.url(), &[]).await;
    let (status, body) = proxy.post("/orders").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    assert!(origin.seen().is_empty());
}

#[tokio::test]
async fn unreachable_origin_becomes_502() {
    // Bound but not listening: connections are refused, and no other process gets the port.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind("127.0.0.1:0".parse().expect("an address"))
        .expect("a port");
    let origin = format!("http://{}", socket.local_addr().expect("an address"));
    let proxy = Proxy::start(&origin, &CREDENTIALS).await;
    let (status, body) = proxy.post("/orders").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    let expected = r#"{"__type":"BadGatewayException","message":"Bad Gateway"}"#;
    assert_eq!(body, expected);
}
