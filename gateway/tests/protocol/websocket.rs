//! WebSockets: signed handshakes, then bytes in both directions.

use std::{net::SocketAddr, time::Duration};

use aws_credential_types::Credentials;
use axum::{Router, body::Body, extract::Request, response::Response};
use futures_util::{SinkExt, StreamExt};
use http::{StatusCode, Uri, header};
use hyper::{body::Incoming, client::conn::http2::SendRequest, ext::Protocol, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, frame::coding::CloseCode},
    },
};
use tower_sigv4::{
    VerifyLayer,
    verify::{StaticKeys, VerifySettings},
};

use crate::support::{self, Gateway, config};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Starts an origin that accepts signed handshakes, echoes messages, and closes after `bye`.
async fn echo_origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let settings = VerifySettings::new("execute-api", "eu-west-1").expect("a scope");
    let key = Credentials::new("AKID", "secret", None, None, "test");
    let keys = StaticKeys::new([key]).expect("a key");
    let router = Router::new()
        .fallback(accept_handshake)
        .layer(VerifyLayer::new(keys, settings));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn accept_handshake(mut request: Request) -> Response {
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) else {
        return Response::new(Body::from("no WebSocket"));
    };
    let accept = derive_accept_key(key.as_bytes());
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let connection = TokioIo::new(upgrade.await.expect("upgraded"));
        let mut socket = WebSocketStream::from_raw_socket(connection, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if message == Message::text("bye") {
                let frame = CloseFrame {
                    code: CloseCode::Away,
                    reason: "bye".into(),
                };
                drop(socket.close(Some(frame)).await);
            } else if message.is_text() || message.is_binary() {
                drop(socket.send(message).await);
            }
        }
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .body(Body::empty())
        .expect("a response")
}

async fn connect(gateway: &Gateway) -> Result<Socket, Error> {
    let mut request = format!("ws://{}/orders", gateway.address).into_client_request()?;
    request
        .headers_mut()
        .insert(header::HOST, "api.example.com".parse().expect("a value"));
    Ok(connect_async(request).await?.0)
}

async fn next_message(socket: &mut Socket) -> Message {
    socket.next().await.expect("a message").expect("sound")
}

#[tokio::test]
async fn messages_flow_both_ways_and_either_side_can_close() {
    let url = format!("http://{}", echo_origin().await);
    let gateway = Gateway::with_config(&config(&url, ""));
    let mut socket = connect(&gateway).await.expect("opened");
    let large: Vec<u8> = (0..=255).cycle().take(4 << 20).collect();
    for message in [
        Message::text("é"),
        Message::binary(vec![0, 255]),
        Message::binary(large),
    ] {
        socket.send(message.clone()).await.expect("sent");
        assert!(next_message(&mut socket).await == message);
    }
    socket.send(Message::Ping("p".into())).await.expect("sent");
    assert_eq!(next_message(&mut socket).await, Message::Pong("p".into()));

    socket.send(Message::text("bye")).await.expect("sent");
    let Message::Close(Some(frame)) = next_message(&mut socket).await else {
        panic!("not closed")
    };
    assert_eq!(
        (frame.code, frame.reason.as_str()),
        (CloseCode::Away, "bye")
    );
    assert!(socket.next().await.is_none());

    let mut socket = connect(&gateway).await.expect("opened");
    socket.close(None).await.expect("sent");
    assert_eq!(next_message(&mut socket).await, Message::Close(None));
    assert!(socket.next().await.is_none());
}

#[tokio::test]
async fn rejected_handshake_returns_the_whole_response() {
    let url = format!("http://{}", echo_origin().await);
    let gateway = Gateway::with_config(&config(&url, "").replace("\"secret\"", "\"another\""));
    let Err(Error::Http(response)) = connect(&gateway).await else {
        panic!("not rejected")
    };
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    let body = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default());
    assert!(body.ends_with('}'), "{body}");
}

const HANDSHAKE: &str = "GET /orders HTTP/1.1\r\nhost: api.example.com\r\nconnection: upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    sec-websocket-version: 13\r\n\r\n";

/// Starts an origin that sends this response to the handshake, and then echoes all bytes after the client closes.
async fn half_closing_origin(response: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            support::read_until(&mut stream, "\r\n\r\n").await;
            drop(stream.write_all(response.as_bytes()).await);
            let mut read = Vec::new();
            drop(stream.read_to_end(&mut read).await);
            drop(stream.write_all(&read).await);
        }
    });
    address
}

const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

#[tokio::test]
async fn half_closed_tunnel_stays_open() {
    let url = format!("http://{}", half_closing_origin(SWITCHED).await);
    let gateway = Gateway::with_config(&config(&url, ""));
    let mut stream = TcpStream::connect(gateway.address)
        .await
        .expect("connected");
    // Bytes behind the handshake belong to the tunnel.
    stream
        .write_all(format!("{HANDSHAKE}early ").as_bytes())
        .await
        .expect("sent");
    support::read_until(&mut stream, "\r\n\r\n").await;
    stream.write_all(b"late").await.expect("sent");
    stream.shutdown().await.expect("ended");
    let mut response = String::new();
    stream
        .read_to_string(&mut response)
        .await
        .expect("a response");
    assert_eq!(response, "early late");
}

#[tokio::test]
async fn switch_to_another_protocol_is_a_bad_gateway() {
    let response = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    let url = format!("http://{}", half_closing_origin(response).await);
    let gateway = Gateway::with_config(&config(&url, ""));
    let request = HANDSHAKE.replace("connection: upgrade", "connection: close, upgrade");
    assert_eq!(
        support::exchange(gateway.address, &request).await.status,
        502
    );
}

#[cfg(unix)]
#[tokio::test]
async fn websocket_ends_after_the_shutdown_grace() {
    let url = format!("http://{}", echo_origin().await);
    let config = config(&url, "").replacen("[server]", "[server]\nshutdown_grace = \"500ms\"", 1);
    let mut gateway = Gateway::with_config(&config);
    let mut socket = connect(&gateway).await.expect("opened");
    gateway.terminate();
    // A connection during shutdown may be lost, and is retried only after a second.
    let connect = || TcpStream::connect(gateway.address);
    while let Ok(Ok(_)) = tokio::time::timeout(Duration::from_millis(100), connect()).await {}
    socket.send(Message::text("still")).await.expect("sent");
    assert_eq!(next_message(&mut socket).await, Message::text("still"));
    let end = tokio::time::timeout(Duration::from_secs(20), socket.next()).await;
    assert!(!matches!(end.expect("no timeout"), Some(Ok(_))));
    assert!(gateway.wait().success());
}

#[tokio::test]
async fn idle_websocket_times_out_and_active_one_does_not() {
    let url = format!("http://{}", echo_origin().await);
    let config =
        config(&url, "").replacen("[server]", "[server]\nwebsocket_timeout = \"500ms\"", 1);
    let gateway = Gateway::with_config(&config);
    let mut used = connect(&gateway).await.expect("opened");
    let mut idle = connect(&gateway).await.expect("opened");
    let ended = tokio::time::timeout(Duration::from_secs(20), idle.next());
    let messages = async {
        loop {
            used.send(Message::text("still")).await.expect("sent");
            assert_eq!(next_message(&mut used).await, Message::text("still"));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        ended = ended => assert!(!matches!(ended.expect("no timeout"), Some(Ok(_)))),
        () = messages => {}
    }
    used.send(Message::text("still")).await.expect("sent");
    assert_eq!(next_message(&mut used).await, Message::text("still"));
}

type Http2Client = SendRequest<Body>;

/// Connects with HTTP/2, and waits for the gateway's settings.
async fn http2_client(gateway: &Gateway) -> Http2Client {
    let stream = TcpStream::connect(gateway.address).await;
    let client = support::connect_http2(stream.expect("connected")).await;
    assert_eq!(http2_status(&client).await, StatusCode::OK);
    client
}

/// Returns the status of a request that opens no WebSocket.
async fn http2_status(client: &Http2Client) -> StatusCode {
    let request = Request::get("http://api.example.com/orders").body(Body::empty());
    let sent = client.clone().send_request(request.expect("a request"));
    sent.await.expect("a response").status()
}

/// Sends an extended CONNECT (RFC 8441).
async fn connect_over_http2(
    client: &Http2Client,
    protocol: Option<&'static str>,
) -> hyper::Response<Incoming> {
    let mut request = Request::connect("http://api.example.com/orders")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .body(Body::empty())
        .expect("a request");
    match protocol {
        Some(name) => drop(request.extensions_mut().insert(Protocol::from_static(name))),
        None => *request.uri_mut() = Uri::from_static("api.example.com:443"),
    }
    client
        .clone()
        .send_request(request)
        .await
        .expect("a response")
}

async fn open_over_http2(client: &Http2Client) -> WebSocketStream<TokioIo<Upgraded>> {
    let response = connect_over_http2(client, Some("websocket")).await;
    assert_eq!(response.status(), StatusCode::OK);
    for name in [header::SEC_WEBSOCKET_ACCEPT, header::UPGRADE] {
        assert!(!response.headers().contains_key(&name), "{name}");
    }
    let upgraded = hyper::upgrade::on(response).await.expect("a tunnel");
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await
}

#[tokio::test]
async fn messages_flow_both_ways_over_http2() {
    let url = format!("http://{}", echo_origin().await);
    let gateway = Gateway::with_config(&config(&url, ""));
    let client = http2_client(&gateway).await;
    let mut sockets = [
        open_over_http2(&client).await,
        open_over_http2(&client).await,
    ];
    let large: Vec<u8> = (0..=255).cycle().take(4 << 20).collect();
    for socket in &mut sockets {
        for message in [Message::text("é"), Message::binary(large.clone())] {
            // The message is larger than the windows.
            let (mut sink, mut stream) = socket.split();
            let sent = sink.send(message.clone());
            let (sent, received) = tokio::join!(sent, stream.next());
            sent.expect("sent");
            assert!(received.expect("a message").expect("sound") == message);
        }
    }
    let [mut first, mut second] = sockets;
    first.send(Message::text("bye")).await.expect("sent");
    let frame = first.next().await.expect("a message").expect("sound");
    assert!(frame.is_close());
    assert!(first.next().await.is_none());
    // Another stream of the connection is not affected.
    second.send(Message::text("still")).await.expect("sent");
    let still = second.next().await.expect("a message").expect("sound");
    assert_eq!(still, Message::text("still"));
    assert_eq!(http2_status(&client).await, StatusCode::OK);
}

#[tokio::test]
async fn other_connects_over_http2_are_rejected() {
    let url = format!("http://{}", echo_origin().await);
    let gateway = Gateway::with_config(&config(&url, ""));
    let client = http2_client(&gateway).await;
    for protocol in [None, Some("connect-udp"), Some("WebSocket")] {
        let response = connect_over_http2(&client, protocol).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{protocol:?}");
    }
}

#[tokio::test]
async fn only_an_accepted_handshake_opens_a_tunnel_over_http2() {
    const WRONG_ACCEPT: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
        upgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    for (response, status) in [
        (SWITCHED, 502),
        (WRONG_ACCEPT, 502),
        (
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
            502,
        ),
        (
            "HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno",
            403,
        ),
    ] {
        let url = format!("http://{}", half_closing_origin(response).await);
        let gateway = Gateway::with_config(&config(&url, ""));
        let stream = TcpStream::connect(gateway.address).await;
        let client = support::connect_http2(stream.expect("connected")).await;
        http2_status(&client).await;
        let received = connect_over_http2(&client, Some("websocket")).await;
        assert_eq!(received.status().as_u16(), status, "{response}");
    }
}

#[tokio::test]
async fn idle_websocket_over_http2_times_out_alone() {
    let url = format!("http://{}", echo_origin().await);
    let config =
        config(&url, "").replacen("[server]", "[server]\nwebsocket_timeout = \"500ms\"", 1);
    let gateway = Gateway::with_config(&config);
    let client = http2_client(&gateway).await;
    let mut idle = open_over_http2(&client).await;
    let ended = tokio::time::timeout(Duration::from_secs(20), idle.next());
    assert!(!matches!(ended.await.expect("no timeout"), Some(Ok(_))));
    assert_eq!(http2_status(&client).await, StatusCode::OK);
}
