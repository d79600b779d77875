//! End-to-end tests of the gateway process over loopback.

mod shutdown;
mod verification;

use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;

use crate::support::{self, Gateway, TempFile, TestOrigin, config, exchange, get};
use verification::{SECRET, TARGETS};

#[tokio::test]
async fn demo_shows_403_and_200() {
    let gateway = Gateway::start(&["--listen", "127.0.0.1:0"], &[]);
    let origin: SocketAddr = gateway
        .printed_after("origin  http://")
        .parse()
        .expect("an address");

    let direct = get(origin, "/prod/orders").await;
    assert_eq!(direct.status, 403);
    assert!(
        direct.body.contains("Missing Authentication Token"),
        "{}",
        direct.body
    );

    let forged = "GET /prod/orders HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\
        x-amz-date: 20150830T123600Z\r\nauthorization: AWS4-HMAC-SHA256 \
        Credential=AKIDEXAMPLE/20150830/us-east-1/execute-api/aws4_request, \
        SignedHeaders=host;x-amz-date, Signature=SIGNATURE\r\n\r\n";
    let forged = exchange(origin, &forged.replace("SIGNATURE", &"0".repeat(64))).await;
    assert_eq!(forged.status, 403);
    assert_eq!(
        forged.header("x-amzn-errortype"),
        Some("InvalidSignatureException")
    );

    let for_another_host = support::signed_request(
        "GET",
        "/prod/orders",
        "api.example.com",
        "",
        "AKIDEXAMPLE",
        SECRET,
    );
    let for_another_host = exchange(origin, &for_another_host).await;
    assert_eq!(for_another_host.status, 403);
    let host = format!("GET\\n/prod/orders\\n\\nhost:{origin}\\n");
    assert!(
        for_another_host.body.contains(&host),
        "{}",
        for_another_host.body
    );

    for target in TARGETS {
        let through = get(gateway.address, target).await;
        assert_eq!(through.status, 200, "{target}: {}", through.body);
        assert!(
            through.body.contains("the signature is valid"),
            "{}",
            through.body
        );
    }
    let post = "POST /orders HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\
        transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let post = exchange(gateway.address, post).await;
    assert_eq!(post.status, 200, "{}", post.body);
    assert!(post.body.contains(r#""body bytes":5"#), "{}", post.body);
    assert!(
        post.body
            .contains(r#""x-forwarded-host":"api.example.com""#),
        "{}",
        post.body
    );
    assert!(
        post.body.contains(r#""x-forwarded-for":"127.0.0.1""#),
        "{}",
        post.body
    );
}

#[tokio::test]
async fn origin_rejection_is_logged_and_its_cause_reported_to_the_client() {
    let demo = Gateway::start(&["--listen", "127.0.0.1:0"], &[]);
    let origin = demo.printed_after("origin  http://");
    let file = TempFile::new(&format!(
        "[credentials]\nsource = \"static\"\naccess_key_id = \"{}\"\nsecret_access_key = \"hunter2\"\n\
         [[origin]]\nname = \"a\"\nurl = \"http://{origin}/prod\"\nservice = \"execute-api\"\n\
         region = \"us-east-1\"\n[[route]]\npath = \"/\"\norigin = \"a\"\n\
         [server]\nlisten = \"127.0.0.1:0\"\n",
        support::ACCESS_KEY_ID,
    ));
    let gateway = Gateway::spawn(
        support::gateway_command()
            .args(["--config", &file.path])
            .stderr(std::process::Stdio::piped()),
    );
    for _ in 0..3 {
        let rejected = get(gateway.address, "/orders?token=hunter2").await;
        assert_eq!(rejected.status, 502);
        assert!(
            rejected.body.contains("signature (wrong-secret)"),
            "{}",
            rejected.body
        );
    }
    let log = gateway.stop_and_read_log();
    assert_eq!(log.matches("wrong-secret").count(), 1, "{log}");
    assert!(
        log.contains("the secret access key does not belong to the access key ID"),
        "{log}"
    );
    assert!(!log.contains("hunter2"), "{log}");
}

/// Origins quote the gateway's session token when they reject its signature.
#[tokio::test]
async fn rejections_unrelated_to_the_gateways_signature_are_forwarded() {
    let mismatch = "HTTP/1.1 403 Forbidden\r\nx-amzn-errortype: InvalidSignatureException\r\n\
        content-type: application/json\r\ncontent-length: 360\r\n\r\n{\"message\":\"The request signature we \
        calculated does not match the signature you provided.\\n\\nThe Canonical String for this request should \
        have been\\n'GET\\n/orders\\n\\nhost:other\\nx-amz-date:20261126T000000Z\\n\
        x-amz-security-token:token-of-the-gateway\\n\\nhost;x-amz-date;x-amz-security-token\\n\
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'\\n\"}";
    let not_allowed = "HTTP/1.1 403 Forbidden\r\nx-amzn-errortype: AccessDeniedException\r\n\
        content-type: application/json\r\ncontent-length: 107\r\n\r\n{\"Message\":\"User: \
        arn:aws:iam::123456789012:user/gateway is not authorized to perform: execute-api:Invoke\"}";
    for (response, status, message) in [
        (
            mismatch,
            502,
            "the origin rejected the gateway's signature (",
        ),
        (
            not_allowed,
            403,
            "is not authorized to perform: execute-api:Invoke\"}",
        ),
    ] {
        let origin = TestOrigin::start(response).await;
        let secret = "secret_access_key = \"secret\"";
        let with_token = format!("{secret}\nsession_token = \"token-of-the-gateway\"");
        let config = config(&format!("http://{}", origin.address), "").replace(secret, &with_token);
        let gateway = Gateway::with_config(&(config + "max_attempts = 3\n"));
        let request = "GET /orders HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\r\n";
        let rejected = exchange(gateway.address, request).await;
        assert_eq!(rejected.status, status, "{}", rejected.body);
        assert!(rejected.body.contains(message), "{}", rejected.body);
        assert!(
            !rejected.body.contains("token-of-the-gateway"),
            "{}",
            rejected.body
        );
        assert_eq!(origin.requests().len(), 1, "rejections are not retried");
    }
}

#[tokio::test]
async fn requests_are_routed_by_the_configuration() {
    let origin = TestOrigin::start(
        "HTTP/1.1 201 Created\r\ncontent-length: 2\r\nx-a: 1\r\nx-a: 2\r\n\
        connection: keep-alive, x-private\r\nx-private: 1\r\nkeep-alive: timeout=5\r\n\r\nok",
    )
    .await;
    let url = format!("http://{}/prod", origin.address);
    let gateway = Gateway::with_config(&config(&url, "signed_host = \"api.internal:8443\""));

    let response = exchange(
        gateway.address,
        "PUT /orders/1?b=2&a=1 HTTP/1.1\r\nhost: api.example.com:8080\r\nconnection: close\r\n\
         transfer-encoding: chunked\r\ncontent-type: text/plain\r\nauthorization: Bearer x\r\n\
         expect: 100-continue\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    )
    .await;
    assert_eq!((response.status, &*response.body), (201, "ok"));
    assert_eq!(
        response
            .headers
            .iter()
            .filter(|(name, _)| name == "x-a")
            .count(),
        2
    );
    assert_eq!(response.header("x-private"), None);
    assert_eq!(response.header("keep-alive"), None);

    let seen = origin.requests();
    let head = seen.first().expect("one request");
    assert!(
        head.starts_with("PUT /prod/1?b=2&a=1 HTTP/1.1\r\n"),
        "{head}"
    );
    for line in [
        "host: api.internal:8443",
        "content-length: 5",
        "content-type: text/plain",
        "x-forwarded-host: api.example.com:8080",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
        "x-amz-content-sha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    ] {
        assert!(
            head.contains(&format!("\r\n{line}\r\n")),
            "{line} is not in {head}"
        );
    }
    assert!(
        head.contains("\r\nauthorization: AWS4-HMAC-SHA256 Credential=AKID/"),
        "{head}"
    );
    assert!(head.contains("/eu-west-1/execute-api/aws4_request, SignedHeaders=content-type;host;"));
    assert!(
        !head.contains("transfer-encoding") && !head.contains("expect"),
        "{head}"
    );

    for (host, method, target, status) in [
        ("api.example.com", "GET", "/orders", 201),
        ("api.example.com", "DELETE", "/orders", 404),
        ("other.example.com", "GET", "/orders", 404),
        ("api.example.com", "GET", "/orders/../admin", 404),
        ("api.example.com", "GET", "/orders/%zz", 400),
        ("api.example.com", "OPTIONS", "*", 404),
    ] {
        let request =
            format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let response = exchange(gateway.address, &request).await;
        assert_eq!(
            response.status, status,
            "{method} {host}{target}: {}",
            response.body
        );
        if status >= 400 {
            assert!(
                response.body.contains(r#","message":""#),
                "{}",
                response.body
            );
            assert_eq!(response.header("content-type"), Some("application/json"));
        }
    }
    assert_eq!(origin.requests().len(), 2);
    assert_eq!(origin.connections(), 1, "connections are pooled");
}

#[tokio::test]
async fn each_failure_has_its_status() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = nobody.local_addr().expect("an address");
    drop(nobody);
    let config = config(&format!("http://{address}"), "body_limit = \"10 B\"");
    let gateway = Gateway::with_config(&config);
    let post = |body: &str| {
        format!(
            "POST /orders HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    assert_eq!(
        exchange(gateway.address, &post("0123456789")).await.status,
        502
    );
    assert_eq!(
        exchange(gateway.address, &post("0123456789a")).await.status,
        413
    );

    // Without credentials the request fails; it is not sent unsigned.
    let origin = TestOrigin::start("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let text = support::without_credentials(
        &config.replace(&address.to_string(), &origin.address.to_string()),
    );
    let gateway = Gateway::with_config(&text);
    let response = exchange(gateway.address, &post("")).await;
    assert_eq!(response.status, 503, "{}", response.body);
    assert!(origin.requests().is_empty());

    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIDENV"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let gateway = Gateway::with_config_and_env(&text, &keys);
    assert_eq!(exchange(gateway.address, &post("")).await.status, 200);
    assert!(origin.requests()[0].contains("Credential=AKIDENV/"));
}

#[tokio::test]
async fn https_origins_are_verified() {
    let router = |_| Router::new().fallback(async || "over TLS");
    let tls = support::tls::TlsOrigin::start(router, &["http/1.1"], None).await;
    let config = config(&format!("https://{}", tls.authority), "");
    let trusting = Gateway::with_config_and_env(&config, &[("SSL_CERT_FILE", &tls.ca_file)]);
    let request = "GET /orders HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\r\n";
    let response = exchange(trusting.address, request).await;
    assert_eq!((response.status, &*response.body), (200, "over TLS"));

    let distrusting = Gateway::with_config(&config);
    let response = exchange(distrusting.address, request).await;
    assert_eq!(response.status, 502, "{}", response.body);
}

#[tokio::test]
async fn unrequested_protocol_switch_is_a_bad_gateway() {
    let origin = TestOrigin::start(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    )
    .await;
    let gateway = Gateway::with_config(&config(&format!("http://{}", origin.address), ""));
    let request = "GET /orders HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\r\n";
    assert_eq!(exchange(gateway.address, request).await.status, 502);
}

#[tokio::test]
async fn declined_websocket_response_is_forwarded() {
    let origin =
        TestOrigin::start("HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\n\r\n").await;
    let gateway = Gateway::with_config(&config(&format!("http://{}", origin.address), ""));
    let request = "GET /orders HTTP/1.1\r\nhost: api.example.com\r\nconnection: close, upgrade\r\n\
        upgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_eq!(exchange(gateway.address, request).await.status, 426);
    let seen = origin.requests();
    assert!(
        seen.len() == 1 && seen[0].contains("\r\nupgrade: websocket\r\n"),
        "{seen:?}"
    );
}
