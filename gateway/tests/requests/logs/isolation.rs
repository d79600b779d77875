//! Hostile values, secrets, and readers that stop.

use std::{process::Stdio, time::Duration};

use aws_sigv4::http_request::SignatureLocation;
use axum::body::Body;
use http::Request;
use tokio::{net::TcpStream, time};

use crate::support::{
    self, Gateway, SECRET_ACCESS_KEY, TempFile, TestOrigin, config, connect_http2, exchange,
    logging::{LoggingGateway, OK, request, signed_request, with_log, with_verified_callers},
};

#[tokio::test]
async fn values_cannot_break_out_of_their_line_or_quotes() {
    let origin = TestOrigin::start(OK).await;
    let config = config(&format!("http://{}", origin.address), "");
    let long = format!("/orders/{}é", "a".repeat(1015));
    let hostile = [
        (
            "GET",
            "/orders/%0a%0d\"http.response.status_code=200",
            "x-request-id: \" level=ERROR\r\n",
        ),
        ("G'|ET", "/orders/\"}{\"a\":\"b", "traceparent: \"}\r\n"),
        (
            "GET",
            "/orders/é\u{85}\u{9b}",
            "x-request-id: a\tb\r\nx-request-id: c\r\n",
        ),
        ("GET", &long, "user-agent: \"\r\n"),
    ];
    for format in ["text", "json"] {
        let section = format!("format = \"{format}\"\naccess = true");
        let logged = LoggingGateway::start(&with_log(&config, &section));
        for (method, target, headers) in hostile {
            logged.send(method, target, headers).await;
        }
        // An invalid host is not logged.
        let host = "GET / HTTP/1.1\r\nhost: a\"b c\r\nconnection: close\r\n\r\n";
        assert_eq!(exchange(logged.gateway.address, host).await.status, 400);
        assert_eq!(
            logged.lines().len(),
            hostile.len() + 1,
            "{:?}",
            logged.lines()
        );
        if format == "text" {
            for line in logged.lines() {
                let start =
                    "  INFO access: request client.address=127.0.0.1 http.request.method=\"G";
                assert!(
                    line.starts_with("20") && line[27..].starts_with(start),
                    "{line}"
                );
                assert!(!line.contains(char::is_control), "{line:?}");
                // Outside of quotes there is one status.
                let bare = line.replace("\\\"", "");
                let bare: String = bare.split('"').step_by(2).collect();
                assert_eq!(bare.matches("status_code=").count(), 1, "{line}");
                assert!(!bare.contains("level"), "{line}");
            }
        } else {
            let events = logged.access_events();
            assert_eq!(events[0]["url.path"], hostile[0].1);
            assert_eq!(events[1]["http.request.method"], "G'|ET");
            assert_eq!(events[1]["url.path"], hostile[1].1);
            assert_eq!(events[2]["url.path"], hostile[2].1);
            // The limit would split the é.
            assert_eq!(
                events[3]["url.path"].as_str().expect("a string").len(),
                1023
            );
            assert_eq!(events[4].get("server.address"), None);
            assert!(events.iter().all(|event| event.get("trace_id").is_none()));
        }
    }
}

#[tokio::test]
async fn log_lines_contain_no_secret() {
    let origin = TestOrigin::start(OK).await;
    let config = with_verified_callers(&config(&format!("http://{}", origin.address), "")).replace(
        "secret_access_key = \"secret\"",
        "secret_access_key = \"secret-of-the-gateway\"\nsession_token = \"token-of-the-gateway\"",
    );
    let header = SignatureLocation::Headers;
    let query = SignatureLocation::QueryParams;
    for format in ["text", "json"] {
        let section = format!("format = \"{format}\"\nlevel = \"trace\"\naccess = true");
        let logged = LoggingGateway::start(&with_log(&config, &section));
        let mut secrets: Vec<_> = [
            "secret-of",
            "token-of",
            SECRET_ACCESS_KEY,
            "Signature=",
            "hunter2",
        ]
        .map(str::to_owned)
        .into();
        for location in [header, query] {
            let (request, signature) = signed_request("/orders", &[], location);
            assert_eq!(exchange(logged.gateway.address, &request).await.status, 200);
            secrets.push(signature);
            let (request, signature) = signed_request("/orders", &[], location);
            let wrong = request.replacen("GET", "PUT", 1);
            assert_eq!(exchange(logged.gateway.address, &wrong).await.status, 403);
            secrets.push(signature);
        }
        for headers in ["authorization: Basic hunter2\r\n", "cookie: hunter2\r\n"] {
            assert_eq!(
                logged
                    .send("GET", "/orders?key=hunter2", headers)
                    .await
                    .status,
                403
            );
        }
        // At "trace" the HTTP/2 codec logs many details.
        let stream = TcpStream::connect(logged.gateway.address)
            .await
            .expect("connected");
        let request = Request::get("http://api.example.com/orders?hunter2").header("a", "hunter2");
        let request = request
            .header("authorization", "hunter2")
            .body(Body::empty());
        let response = connect_http2(stream)
            .await
            .send_request(request.expect("a request"))
            .await;
        assert_eq!(response.expect("a response").status(), 403);
        for seen in origin.requests() {
            let (_, signature) = seen.split_once("Signature=").expect("signed");
            secrets.push(signature[..64].to_owned());
        }
        let log = logged.lines().join("\n");
        assert!(
            log.contains("TRACE") && log.contains("h2::codec") && log.contains("access_key_id")
        );
        for secret in secrets {
            assert!(!log.contains(&secret), "{secret} in {log}");
        }
    }
}

/// The log collector may restart.
#[tokio::test]
async fn requests_succeed_with_closed_standard_error() {
    let origin = TestOrigin::start(OK).await;
    let config = config(&format!("http://{}", origin.address), "");
    let file = TempFile::new(&with_log(&config, "access = true"));
    let mut command = support::gateway_command();
    let mut gateway = Gateway::spawn(
        command
            .args(["--config", &file.path])
            .stderr(Stdio::piped()),
    );
    drop(gateway.stderr());
    for _ in 0..3 {
        let response = exchange(gateway.address, &request("GET", "/orders", "")).await;
        assert_eq!(response.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_log_does_not_block() {
    let origin = TestOrigin::start(OK).await;
    let config = config(&format!("http://{}", origin.address), "");
    let section = "level = \"trace\"\naccess = true\n[admin]\nlisten = \"127.0.0.1:0\"";
    let file = TempFile::new(&with_log(&config, section));
    let mut gateway = Gateway::spawn(
        support::gateway_command()
            .args(["--config", &file.path])
            .stderr(Stdio::piped()),
    );
    let unread = gateway.stderr();
    let admin = gateway
        .printed_after("admin http://")
        .parse()
        .expect("an address");
    let request = request("GET", "/orders", "");
    let lost = async {
        loop {
            // Each request logs some dozen lines; together they overflow the pipe.
            for _ in 0..50 {
                assert_eq!(exchange(gateway.address, &request).await.status, 200);
            }
            let metrics_request =
                "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            let metrics = exchange(admin, metrics_request).await.body;
            if !metrics.contains("\nsigv4_gateway_log_lines_dropped_total 0\n") {
                assert!(
                    metrics.contains("\nsigv4_gateway_log_lines_dropped_total "),
                    "{metrics}"
                );
                break;
            }
        }
    };
    time::timeout(Duration::from_secs(60), lost)
        .await
        .expect("responses");
    gateway.terminate();
    let ended = tokio::task::spawn_blocking(move || gateway.wait());
    let status = time::timeout(Duration::from_secs(20), ended)
        .await
        .expect("no timeout");
    assert!(status.expect("no panic").success());
    drop(unread);
}
