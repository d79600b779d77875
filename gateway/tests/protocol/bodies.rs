//! Request and response bodies.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower_sigv4::{
    SigningSettings,
    sigv4::{Identity, PayloadHash, Signer, SigningParams},
};

use crate::support::{Gateway, TestOrigin, config, exchange, read_until};

#[tokio::test]
async fn every_payload_mode_sends_the_whole_body() {
    let close = "host: api.example.com\r\nconnection: close\r\n";
    let get = format!("GET /orders HTTP/1.1\r\n{close}\r\n");
    let delete = format!("DELETE /orders HTTP/1.1\r\n{close}\r\n");
    let put = format!("PUT /orders HTTP/1.1\r\n{close}content-length: 3\r\n\r\nabc");
    let chunks = "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let search = format!("GET /orders HTTP/1.1\r\n{close}{chunks}");
    let upload = format!("PUT /orders HTTP/1.1\r\n{close}{chunks}");
    let policy = format!("PUT /orders?policy HTTP/1.1\r\n{close}content-length: 3\r\n\r\nabc");
    for (mode, request, status, framing) in [
        ("buffer", &get, 201, ""),
        ("unsigned", &get, 201, ""),
        ("unsigned", &delete, 201, ""),
        ("unsigned", &put, 201, "content-length: 3"),
        ("unsigned", &search, 201, "transfer-encoding: chunked"),
        ("unsigned", &upload, 201, "transfer-encoding: chunked"),
        ("trust", &get, 400, ""),
        ("chunked", &get, 201, ""),
        ("chunked", &delete, 201, ""),
        ("chunked", &put, 201, "x-amz-decoded-content-length: 3"),
        ("chunked", &policy, 201, "content-length: 3"),
        (
            "chunked-trailer",
            &put,
            201,
            "x-amz-trailer: x-amz-checksum-crc32",
        ),
        (
            "unsigned-trailer",
            &put,
            201,
            "x-amz-trailer: x-amz-checksum-crc32",
        ),
        ("unsigned-trailer", &policy, 201, "content-length: 3"),
        ("chunked", &upload, 411, ""),
        ("spool", &get, 201, ""),
        ("spool", &put, 201, "content-length: 3"),
        ("spool", &upload, 201, "content-length: 3"),
        ("auto", &get, 201, ""),
        ("auto", &put, 201, "content-length: 3"),
        ("auto", &upload, 201, "content-length: 3"),
    ] {
        let origin = TestOrigin::start("HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n").await;
        let url = format!("http://{}", origin.address);
        let spool = std::env::temp_dir();
        let config = config(&url, &format!("payload = \"{mode}\""))
            .replace(
                "[credentials]",
                &format!("[bodies]\nspool_directory = {spool:?}\n[credentials]"),
            )
            .replace("\"execute-api\"", "\"s3\"")
            .replace("\"PUT\"", "\"PUT\", \"DELETE\"");
        let gateway = Gateway::with_config(&config);
        let response = exchange(gateway.address, request).await;
        assert_eq!(
            response.status, status,
            "{mode} {request}: {}",
            response.body
        );
        let received = origin.requests();
        assert_eq!(
            received.len(),
            usize::from(status == 201),
            "{mode} {request}"
        );
        for head in received {
            assert!(head.contains(framing), "{mode} {request}: {head}");
            if framing.is_empty() {
                assert!(
                    !head.contains("transfer-encoding"),
                    "{mode} {request}: {head}"
                );
            }
        }
    }
}

#[tokio::test]
async fn request_body_streams_if_configured() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let more = "payload = \"unsigned\"\nbody_limit = \"1 B\"";
    let gateway = Gateway::with_config(&config(&url, more));
    let mut client = TcpStream::connect(gateway.address)
        .await
        .expect("connected");
    let head = b"PUT /orders HTTP/1.1\r\nhost: api.example.com\r\ncontent-length: 9\r\n\r\nfirst";
    client.write_all(head).await.expect("sent");

    let (mut origin, _) = listener.accept().await.expect("a connection");
    let received = read_until(&mut origin, "first").await; // before the client ends its body
    assert!(
        received.contains("\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD\r\n"),
        "{received}"
    );
    assert!(received.contains("\r\ncontent-length: 9\r\n"), "{received}");
    client.write_all(b"last").await.expect("sent");
    read_until(&mut origin, "last").await;
}

#[tokio::test]
async fn response_body_streams() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let config = config(
        &format!("http://{}", listener.local_addr().expect("an address")),
        "",
    );
    let gateway = Gateway::with_config(&config);
    let mut client = TcpStream::connect(gateway.address)
        .await
        .expect("connected");
    let request = b"GET /orders HTTP/1.1\r\nhost: api.example.com\r\n\r\n";
    client.write_all(request).await.expect("sent");

    let (mut origin, _) = listener.accept().await.expect("a connection");
    read_until(&mut origin, "\r\n\r\n").await;
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";
    origin.write_all(head).await.expect("sent");
    read_until(&mut client, "first").await; // before the origin ends its response
    origin
        .write_all(b"4\r\nlast\r\n0\r\n\r\n")
        .await
        .expect("sent");
    read_until(&mut client, "last").await;
}

/// Chunks override the length (RFC 9112, section 6.3), which would truncate the response.
#[tokio::test]
async fn response_with_length_and_chunks_arrives_whole() {
    let origin = TestOrigin::start(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n\
         a\r\n0123456789\r\n0\r\n\r\n",
    )
    .await;
    let gateway = Gateway::with_config(&config(&format!("http://{}", origin.address), ""));
    let request = "GET /orders HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\r\n";
    let response = exchange(gateway.address, request).await;
    assert_eq!(response.header("content-length"), None);
    assert!(response.body.contains("0123456789"), "{}", response.body);
}

#[tokio::test]
async fn truncated_body_is_not_forwarded() {
    let connections = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let config = config(
        &format!("http://{}", listener.local_addr().expect("an address")),
        "",
    );
    let counted = connections.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let gateway = Gateway::with_config(&config);
    for request in [
        "POST /orders HTTP/1.1\r\nhost: api.example.com\r\ncontent-length: 10\r\n\r\nhalf",
        "POST /orders HTTP/1.1\r\nhost: api.example.com\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf",
        "POST /orders HTTP/1.1\r\nhost: api.example.com\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
    ] {
        let mut client = TcpStream::connect(gateway.address)
            .await
            .expect("connected");
        client.write_all(request.as_bytes()).await.expect("sent");
        client.shutdown().await.expect("shutdown");
        let mut rest = String::new();
        client
            .read_to_string(&mut rest)
            .await
            .expect("a response or the end");
        assert!(
            rest.is_empty() || rest.starts_with("HTTP/1.1 400"),
            "{rest}"
        );
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

/// Returns a PUT whose head contains the hash of its body.
fn signed_put(body: &str) -> String {
    let head = http::Request::put("/orders")
        .header("host", "api.example.com")
        .body(());
    let (mut head, ()) = head.expect("a request").into_parts();
    let settings = SigningSettings::new("execute-api", "us-east-1").expect("a scope");
    let identity = Credentials::new("AKIDALICE", "secret", None, None, "test");
    let identity = Identity::new(identity).expect("valid");
    let payload = PayloadHash::of(body.as_bytes());
    let params = SigningParams::new(&settings, &identity, payload, SystemTime::now());
    Signer::new().sign(&mut head, &params).expect("signed");
    let fields = head
        .headers
        .iter()
        .map(|(name, value)| (name, value.to_str().expect("ASCII")));
    let fields: String = fields
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let length = body.len();
    format!(
        "PUT /orders HTTP/1.1\r\n{fields}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// The client gets the blame, no matter how the exchange with the origin ends.
#[tokio::test]
async fn streamed_body_with_wrong_hash_is_rejected() {
    let origin = TestOrigin::start("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let url = format!("http://{}", origin.address);
    let gateway = Gateway::with_config(
        &(config(&url, "payload = \"unsigned\"")
            + "[verify]\nservice = \"execute-api\"\nregion = \"us-east-1\"\nbody = \"streamed\"\n\
               [[verify.key]]\naccess_key_id = \"AKIDALICE\"\nsecret_access_key = \"secret\"\n"),
    );
    let signed = signed_put("abc");
    let response = exchange(gateway.address, &signed).await;
    assert_eq!(response.status, 200, "{}", response.body);
    let response = exchange(
        gateway.address,
        &signed.replace("\r\n\r\nabc", "\r\n\r\nabd"),
    )
    .await;
    assert_eq!(response.status, 400, "{}", response.body);
    assert!(
        response.body.contains("is not the one that was signed"),
        "{}",
        response.body
    );
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn origin_that_stops_reading_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let config = config(&url, "payload = \"unsigned\"") + "timeout = \"300ms\"\n";
    let gateway = Gateway::with_config(&config);
    let mut client = TcpStream::connect(gateway.address)
        .await
        .expect("connected");
    let head =
        "PUT /orders HTTP/1.1\r\nhost: api.example.com\r\ncontent-length: 1000000000\r\n\r\n";
    client.write_all(head.as_bytes()).await.expect("sent");
    let (mut reads, mut writes) = client.split();
    let response = async {
        let mut response = [0; 12];
        reads.read_exact(&mut response).await.expect("a response");
        response
    };
    let body = async {
        while writes.write_all(&[7; 64 * 1024]).await.is_ok() {}
        std::future::pending().await
    };
    let response = async {
        tokio::select! { response = response => response, () = body => [0; 12] }
    };
    let response = tokio::time::timeout(Duration::from_secs(20), response)
        .await
        .expect("no timeout");
    assert_eq!(&response, b"HTTP/1.1 504");
    drop(listener);
}

#[tokio::test]
async fn connection_continues_or_closes_after_early_rejection() {
    let origin = TestOrigin::start("HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n").await;
    let url = format!("http://{}", origin.address);
    let gateway = Gateway::with_config(&config(&url, "body_limit = \"1 KiB\""));
    let chunk = [&b"19000\r\n"[..], &[b'a'; 100 << 10], b"\r\n0\r\n\r\n"].concat();
    for (framing, body, stays) in [
        ("content-length: 102400", &[b'a'; 100 << 10][..], true),
        ("transfer-encoding: chunked", &chunk, true),
        ("content-length: 102400", b"a", false),
        ("content-length: 102400\r\nexpect: 100-continue", b"", false),
        ("content-length: 1073741824", b"a", false),
    ] {
        let mut client = TcpStream::connect(gateway.address)
            .await
            .expect("connected");
        let head = format!("PUT /orders HTTP/1.1\r\nhost: api.example.com\r\n{framing}\r\n\r\n");
        client.write_all(head.as_bytes()).await.expect("sent");
        for piece in body.chunks(40 << 10) {
            tokio::time::sleep(Duration::from_millis(50)).await; // the rejection comes first
            client.write_all(piece).await.expect("sent");
        }
        let response = read_until(&mut client, "\r\n\r\n").await;
        assert!(
            response.starts_with("HTTP/1.1 413 "),
            "{framing}: {response}"
        );
        assert_eq!(
            !response.contains("connection: close\r\n"),
            stays,
            "{framing}: {response}"
        );
        if stays {
            let next = b"GET /orders HTTP/1.1\r\nhost: api.example.com\r\n\r\n";
            client.write_all(next).await.expect("sent");
            read_until(&mut client, "HTTP/1.1 201 Created").await;
        }
    }
}
