//! HTTP/2 and TLS between clients and the gateway.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::{Body, Bytes};
use http::{HeaderMap, HeaderValue, Request, Version};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    CipherSuite, ClientConfig, HandshakeKind, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::{self, Gateway, TempFile, TestOrigin, config, connect_http2, read_until};

const WITH_TRAILERS: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\
    connection: x-a\r\nx-a: 1\r\nkeep-alive: timeout=5\r\n\r\n\
    2\r\nok\r\n0\r\nx-sum: 2\r\n\r\n";

fn certificate() -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let certificate = certificate.self_signed(&key).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

/// Returns the settings of a client that trusts only this certificate.
fn tls_config(pem: &str, alpn: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM"))
        .expect("sound");
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    Arc::new(config)
}

async fn connect_tls(
    address: SocketAddr,
    config: Arc<ClientConfig>,
) -> Option<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await.expect("connected");
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(config).connect(name, stream).await.ok()
}

/// Connects with this certificate as the only trusted one.
async fn tls(address: SocketAddr, pem: &str, alpn: &str) -> Option<TlsStream<TcpStream>> {
    connect_tls(address, tls_config(pem, alpn)).await
}

#[tokio::test]
async fn trailers_are_forwarded_both_ways_over_plain_http2() {
    let origin = TestOrigin::start(WITH_TRAILERS).await;
    let gateway = Gateway::with_config(&config(
        &format!("http://{}", origin.address),
        "payload = \"unsigned\"",
    ));
    let mut client = connect_http2(
        TcpStream::connect(gateway.address)
            .await
            .expect("connected"),
    )
    .await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sent", HeaderValue::from_static("1"));
    let frames = [Frame::data(Bytes::from("abc")), Frame::trailers(trailers)];
    let frames = frames.map(Ok::<_, std::convert::Infallible>);
    let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
    let request = Request::post("http://api.example.com/orders").header("trailer", "x-sent");
    let response = client
        .send_request(request.body(body).expect("valid request"))
        .await;
    let response = response.expect("a response");
    assert_eq!(
        (response.status().as_u16(), response.version()),
        (200, Version::HTTP_2)
    );
    for name in ["connection", "x-a", "keep-alive", "transfer-encoding"] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
    let body = response.into_body().collect().await.expect("complete body");
    assert_eq!(body.trailers().expect("trailers")["x-sum"], "2");
    assert_eq!(body.to_bytes(), "ok");

    let request = Request::get("http://api.example.com/orders").body(Body::empty());
    let response = client
        .send_request(request.expect("valid request"))
        .await
        .expect("a response");
    assert_eq!(response.status(), 200);
    let [post, get] = &origin.requests()[..] else {
        panic!("not two requests: {:?}", origin.requests())
    };
    assert!(
        post.contains("\r\ntransfer-encoding: chunked\r\n"),
        "{post}"
    );
    assert!(post.ends_with("\r\nx-sent: 1\r\n\r\n"), "{post}");
    assert!(
        get.starts_with("GET / ") && !get.contains("chunked"),
        "{get}"
    );
    for head in [post, get] {
        assert!(
            head.contains("\r\nx-forwarded-host: api.example.com\r\n"),
            "{head}"
        );
    }
}

#[tokio::test]
async fn tls_sessions_are_resumed_and_prefer_aes_128() {
    let origin = TestOrigin::start("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let (certificate, key) = certificate();
    let (pem, key) = (TempFile::new(&certificate), TempFile::new(&key));
    let files = format!(
        "[server]\ntls_certificate = {:?}\ntls_key = {:?}",
        pem.path, key.path
    );
    let config = config(&format!("http://{}", origin.address), "");
    let gateway = Gateway::with_config(&config.replacen("[server]", &files, 1));
    let client = tls_config(&certificate, "http/1.1");
    for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let connected = connect_tls(gateway.address, client.clone()).await;
        let mut stream = connected.expect("trusted");
        let request = b"GET /orders HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.expect("sent");
        // The session's ticket comes before the response.
        let mut response = String::new();
        stream
            .read_to_string(&mut response)
            .await
            .expect("a response");
        assert!(response.ends_with("\r\n\r\nok"), "{response}");
        let tls = stream.get_ref().1;
        assert_eq!(tls.handshake_kind(), Some(expected));
        let suite = tls.negotiated_cipher_suite().map(|suite| suite.suite());
        assert_eq!(suite, Some(CipherSuite::TLS13_AES_128_GCM_SHA256));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_uses_the_current_certificate_files() {
    let origin = TestOrigin::start("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let (first, first_key) = certificate();
    let (pem, key) = (TempFile::new(&first), TempFile::new(&first_key));
    let files = format!(
        "[server]\ntls_certificate = {:?}\ntls_key = {:?}",
        pem.path, key.path
    );
    let config = config(&format!("http://{}", origin.address), "");
    let config = TempFile::new(&config.replacen("[server]", &files, 1));
    let mut command = support::gateway_command();
    command
        .args(["--config", &config.path])
        .stderr(Stdio::piped());
    let mut gateway = Gateway::spawn(&mut command);
    let mut log = BufReader::new(gateway.stderr()).lines();

    let stream = tls(gateway.address, &first, "h2").await.expect("trusted");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut client = connect_http2(stream).await;
    let request = Request::get("https://api.example.com/orders").body(Body::empty());
    let response = client
        .send_request(request.expect("valid request"))
        .await
        .expect("a response");
    assert_eq!(response.status(), 200);
    assert!(
        origin.requests()[0].contains("\r\nx-forwarded-proto: https\r\n"),
        "{:?}",
        origin.requests()
    );
    let stream = tls(gateway.address, &first, "http/1.1")
        .await
        .expect("trusted");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));

    // A certificate without its key is logged and changes nothing; with its key it is loaded.
    let (second, second_key) = certificate();
    fs::write(&pem.path, &second).expect("written");
    let (line, mut log) = task::spawn_blocking(|| (log.next(), log))
        .await
        .expect("read");
    let line = line.expect("a line").expect("UTF-8");
    assert!(
        line.contains("keeping the previous certificate: "),
        "{line}"
    );
    assert!(!line.contains("BEGIN"), "{line}");
    assert!(tls(gateway.address, &first, "h2").await.is_some());
    assert!(tls(gateway.address, &second, "h2").await.is_none());
    fs::write(&key.path, &second_key).expect("written");
    tokio::time::timeout(Duration::from_secs(20), async {
        while tls(gateway.address, &second, "h2").await.is_none() {}
    })
    .await
    .expect("the reloaded certificate");

    // Open connections end with the gateway.
    gateway.terminate();
    assert!(gateway.wait().success());
    assert!(log.next().is_none(), "the error is logged once");
}

#[cfg(unix)]
#[tokio::test]
async fn shutdown_finishes_http2_requests_and_accepts_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("valid address"));
    let mut gateway = Gateway::with_config(&config(&url, ""));
    let mut client = connect_http2(
        TcpStream::connect(gateway.address)
            .await
            .expect("connected"),
    )
    .await;
    let get = || Request::get("http://api.example.com/orders").body(Body::empty());
    let response = tokio::spawn(client.send_request(get().expect("valid request")));
    let (mut origin, _) = listener.accept().await.expect("a connection");
    read_until(&mut origin, "\r\n\r\n").await;
    gateway.terminate();
    while TcpStream::connect(gateway.address).await.is_ok() {
        task::yield_now().await;
    }
    let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let others = tokio::spawn(async move {
        while let Ok((mut origin, _)) = listener.accept().await {
            read_until(&mut origin, "\r\n\r\n").await;
            origin.write_all(ok).await.expect("sent");
        }
    });
    let rejected = async {
        while client
            .send_request(get().expect("valid request"))
            .await
            .is_ok()
        {}
    };
    tokio::time::timeout(Duration::from_secs(20), rejected)
        .await
        .expect("in time");
    others.abort();
    origin.write_all(ok).await.expect("sent");
    let response = response.await.expect("no panic").expect("a response");
    assert_eq!(
        response
            .into_body()
            .collect()
            .await
            .expect("complete body")
            .to_bytes(),
        "ok"
    );
    drop(client);
    assert!(gateway.wait().success());
}

#[tokio::test]
async fn clients_beyond_max_connections_wait() {
    let origin = TestOrigin::start("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let config = config(&format!("http://{}", origin.address), "");
    let gateway =
        Gateway::with_config(&config.replacen("[server]", "[server]\nmax_connections = 2", 1));
    let send = async || {
        let mut client = TcpStream::connect(gateway.address)
            .await
            .expect("connected");
        let request = b"GET /orders HTTP/1.1\r\nhost: api.example.com\r\n\r\n";
        client.write_all(request).await.expect("sent");
        read_until(&mut client, "\r\n\r\nok").await;
        client
    };
    let (first, _second) = (send().await, send().await);
    let mut third = std::pin::pin!(send());
    let early = tokio::time::timeout(Duration::from_millis(200), &mut third).await;
    assert!(early.is_err());
    drop(first);
    tokio::time::timeout(Duration::from_secs(20), third)
        .await
        .expect("a free connection");
}

#[tokio::test]
async fn idle_timeout_and_header_timeout_are_separate() {
    let origin = TestOrigin::start("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let config = config(&format!("http://{}", origin.address), "");
    let server = "[server]\nheader_timeout = \"500ms\"\nidle_timeout = \"2s\"";
    let gateway = Gateway::with_config(&config.replacen("[server]", server, 1));
    let request = b"GET /orders HTTP/1.1\r\nhost: api.example.com\r\n\r\n";
    // Returns a connection after one request.
    let connect = async || {
        let mut client = TcpStream::connect(gateway.address)
            .await
            .expect("connected");
        client.write_all(request).await.expect("sent");
        read_until(&mut client, "\r\n\r\nok").await;
        client
    };
    let closed_after = async |mut client: TcpStream| {
        let start = Instant::now();
        let mut rest = Vec::new();
        drop(tokio::time::timeout(Duration::from_secs(20), client.read_to_end(&mut rest)).await);
        start.elapsed()
    };
    let idle = closed_after(connect().await).await;
    assert!(
        (Duration::from_millis(1900)..Duration::from_secs(10)).contains(&idle),
        "{idle:?}"
    );
    let mut client = connect().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    client.write_all(&request[..7]).await.expect("sent");
    tokio::time::sleep(Duration::from_millis(100)).await;
    client.write_all(&request[7..]).await.expect("sent");
    read_until(&mut client, "\r\n\r\nok").await;
    client.write_all(&request[..7]).await.expect("sent");
    let slow_head = closed_after(client).await;
    assert!(slow_head < Duration::from_millis(1800), "{slow_head:?}");
}
