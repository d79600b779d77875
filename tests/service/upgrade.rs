//! Requests that open a WebSocket, and the connection behind them.

use std::{net::SocketAddr, time::Duration};

use aws_credential_types::Credentials;
use bytes::Bytes;
use http::{Request, StatusCode, Version, request::Parts};
use http_body_util::Empty;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tower::{Layer, ServiceExt};
use tower_sigv4::{
    Clock, Origin, SigningLayer, SigningSettings,
    body::SignedBody,
    sigv4::{PayloadHash, SessionToken},
    verify::{Verifier, VerifySettings},
};

use crate::common::{self, header, now};

const HANDSHAKE: [(&str, &str); 7] = [
    ("connection", "keep-alive, Upgrade"),
    ("upgrade", "WebSocket"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-version", "13"),
    ("sec-websocket-protocol", "mqtt"),
    ("sec-websocket-extensions", "permessage-deflate"),
    ("origin", "https://www.example.com"),
];

/// Parses the head of a request, as an origin does.
fn parse(text: &str) -> Parts {
    let mut lines = text.trim_end().lines();
    let target = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .expect("a request line");
    let mut request = Request::get(target);
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a header");
        request = request.header(name, value);
    }
    request.body(()).expect("a request").into_parts().0
}

/// Starts an origin that switches protocols for a valid signature and then echoes.
async fn origin(settings: VerifySettings, key: Credentials) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a head"));
        }
        let head = parse(std::str::from_utf8(&head).expect("ASCII"));
        for (name, value) in HANDSHAKE {
            let value = match name {
                "connection" => "upgrade",
                "upgrade" => "websocket",
                _ => value,
            };
            assert_eq!(header(&head.headers, name), value);
        }
        let verifier = Verifier::new(settings);
        let claim = verifier.parse(&head, now()).expect("valid claim");
        let accepted = verifier
            .verify(claim, &key, &PayloadHash::EMPTY)
            .expect("signed");
        assert!(
            accepted
                .to_verified()
                .signed_headers()
                .all(|name| !name.contains("websocket"))
        );
        let response = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
            upgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        stream.write_all(response).await.expect("written");
        let mut message = [0; 5];
        stream.read_exact(&mut message).await.expect("read");
        stream.write_all(&message).await.expect("written");
    });
    address
}

async fn echoes_over(origin: Origin, credentials: Credentials) {
    let client: Client<_, SignedBody<Empty<Bytes>>> =
        Client::builder(TokioExecutor::new()).build_http();
    let client = SigningLayer::new(credentials, origin)
        .with_clock(Clock::manual(now()))
        .layer(client);
    let mut request = Request::get("/mqtt?b=2&a=1");
    for (name, value) in HANDSHAKE {
        request = request.header(name, value);
    }
    let request = request.body(Empty::new()).expect("a request");
    let response = client.oneshot(request).await.expect("a response");
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut connection = TokioIo::new(hyper::upgrade::on(response).await.expect("upgraded"));
    connection.write_all(b"hello").await.expect("written");
    let mut message = [0; 5];
    connection.read_exact(&mut message).await.expect("read");
    assert_eq!(&message, b"hello");
}

#[tokio::test]
async fn websockets_open_with_header_and_query_signatures() {
    for (service, token, in_query) in [
        ("execute-api", SessionToken::Signed, false),
        ("transcribe", SessionToken::Signed, true),
        ("iotdevicegateway", SessionToken::Unsigned, true),
        ("iotdevicegateway", SessionToken::Unsigned, false),
    ] {
        let credentials = common::credentials_with_token(Some("a/token+".to_owned()));
        let verify = VerifySettings::new(service, "us-east-1").expect("a scope");
        let address = origin(verify.with_session_token(token), credentials.clone()).await;
        let settings = SigningSettings::new(service, "us-east-1").expect("a scope");
        let mut origin = Origin::new(
            &format!("http://{address}"),
            settings.with_session_token(token),
        )
        .expect("an origin");
        if in_query {
            origin = origin
                .with_query_signature(Duration::from_secs(300))
                .expect("in range");
        }
        echoes_over(origin, credentials).await;
    }
}

#[tokio::test]
async fn other_upgrades_are_not_forwarded() {
    type Change = fn(&mut Request<http_body_util::Full<Bytes>>);
    let changes: [(&str, bool, Change); 10] = [
        ("as it is", true, |_| {}),
        ("another protocol", false, |request| {
            request
                .headers_mut()
                .insert("upgrade", "h2c".parse().expect("a value"));
        }),
        ("two protocols", false, |request| {
            request
                .headers_mut()
                .append("upgrade", "h2c".parse().expect("a value"));
        }),
        ("two protocols in a line", false, |request| {
            request
                .headers_mut()
                .insert("upgrade", "websocket, h2c".parse().expect("a value"));
        }),
        ("not named by connection", false, |request| {
            request
                .headers_mut()
                .insert("connection", "keep-alive".parse().expect("a value"));
        }),
        ("without a key", false, |request| {
            request.headers_mut().remove("sec-websocket-key");
        }),
        ("with a length", false, |request| {
            request.headers_mut().insert("content-length", 0.into());
        }),
        ("with chunks", false, |request| {
            request
                .headers_mut()
                .insert("transfer-encoding", "chunked".parse().expect("a value"));
        }),
        ("another method", false, |request| {
            *request.method_mut() = http::Method::POST
        }),
        ("over HTTP/2", false, |request| {
            *request.version_mut() = Version::HTTP_2
        }),
    ];
    let layer = common::layer(common::api(&format!("https://{}", common::HOST)));
    for (name, forwarded, change) in changes {
        let mut request = common::get("/");
        for (name, value) in HANDSHAKE {
            request
                .headers_mut()
                .insert(name, value.parse().expect("a value"));
        }
        change(&mut request);
        let sent = common::send(&layer, request).await.expect("sent");
        for hop in ["connection", "upgrade"] {
            assert_eq!(sent.headers().contains_key(hop), forwarded, "{name}: {hop}");
        }
    }
}
