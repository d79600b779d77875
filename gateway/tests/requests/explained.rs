//! `--explain` names the cause of each rejection that the gateway itself sends.

use std::time::{Duration, SystemTime};

use tower_sigv4::sigv4::PayloadHash;

use crate::support::{
    Gateway, TempFile, TestOrigin, TestResponse, exchange, gateway_command,
    s3::{Key, UNSIGNED, UNSIGNED_TRAILER},
};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const BUCKET_HOST: &str = "http://photos.s3.example.com/cat.jpg";
const URL: &str = "http://gw.example.com/bucket/key";
const EVENTS: &str = "STREAMING-AWS4-HMAC-SHA256-EVENTS";
const KEY: &str = "[[verify.key]]\naccess_key_id = \"AKID\"\nsecret_access_key = \"secret\"\n";

/// Returns what `--explain` prints for a response.
fn explain(response: &TestResponse) -> String {
    let headers: String = response
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let saved = format!(
        "HTTP/1.1 {} \r\n{headers}\r\n{}",
        response.status, response.body
    );
    let file = TempFile::new(&saved);
    let mut command = gateway_command();
    let output = command
        .args(["--explain", &file.path])
        .output()
        .expect("output");
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
    format!("{text}\n{saved}")
}

/// Returns a request with these headers, as text.
fn request(method: &str, url: &str, headers: &[(String, String)], body: &str) -> String {
    let rest = url.strip_prefix("http://").expect("a URL");
    let (host, path) = rest.split_once('/').expect("a path");
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let length = body.len();
    format!(
        "{method} /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{lines}\
         content-length: {length}\r\n\r\n{body}"
    )
}

fn signed(method: &str, url: &str, key: &Key, payload: &str, body: &str) -> String {
    let headers = key.sign(method, url, &[], payload, SystemTime::now());
    request(method, url, &headers.expect("signed"), body)
}

/// Returns an upload of an SDK whose checksum is that of another body.
fn wrong_checksum(key: &Key) -> String {
    let framing = [
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "6"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
    ];
    let added = key.sign("PUT", URL, &framing, UNSIGNED_TRAILER, SystemTime::now());
    let own = framing.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let headers = [own.to_vec(), added.expect("signed")].concat();
    let body = "6\r\na body\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n";
    request("PUT", URL, &headers, body)
}

fn expired(key: &Key) -> String {
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    let parameters = key.presign("GET", URL, &[], hour_ago, Duration::from_secs(60));
    let query: Vec<_> = parameters
        .expect("presigned")
        .iter()
        .map(|(name, value)| format!("{name}={}", value.replace('/', "%2F")))
        .collect();
    request("GET", &format!("{URL}?{}", query.join("&")), &[], "")
}

#[tokio::test]
async fn each_rejected_shape_is_explained() {
    let origin = TestOrigin::start(OK).await;
    let s3 = "service = \"s3\"\nregion = \"us-east-1\"\n".to_owned();
    let listed = "service = \"client\"\nservices = [\"s3\"]\nregion = \"us-east-1\"\n";
    let verify = |more: &str| format!("[verify]\n{s3}{more}{KEY}");
    let host_route = "[[route]]\nhost = \"s3.example.com\"\npath = \"/\"\norigin = \"a\"\n";
    let key = |service: &str, region: &str| Key::new("AKID", "secret", service, region);
    let own = key("s3", "us-east-1");
    let empty = PayloadHash::EMPTY.to_string();
    for (scope, more, text, cause) in [
        (
            listed,
            String::new(),
            signed("GET", URL, &key("iam", "us-east-1"), &empty, ""),
            "scope-not-allowed",
        ),
        (
            &s3,
            verify(""),
            signed("GET", URL, &key("s3", "eu-west-1"), &empty, ""),
            "wrong-region",
        ),
        (
            &s3,
            host_route.to_owned(),
            signed("GET", BUCKET_HOST, &own, &empty, ""),
            "bucket-host",
        ),
        (&s3, String::new(), expired(&own), "url-expired"),
        (&s3, verify(""), expired(&own), "url-expired"),
        (
            &s3,
            String::new(),
            signed("PUT", URL, &own, &empty, "a body"),
            "body-changed",
        ),
        (
            &s3,
            verify(""),
            signed("PUT", URL, &own, &empty, "a body"),
            "body-changed",
        ),
        (&s3, String::new(), wrong_checksum(&own), "body-changed"),
        (&s3, verify(""), wrong_checksum(&own), "body-changed"),
        (
            &s3,
            String::new(),
            signed("PUT", URL, &own, EVENTS, "a body"),
            "payload-kind",
        ),
        (
            &s3,
            verify("unsigned_payload = false\n"),
            signed("PUT", URL, &own, UNSIGNED, "a body"),
            "payload-kind",
        ),
    ] {
        let address = origin.address;
        let gateway = Gateway::with_config(&format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n\
             [credentials]\nsource = \"static\"\naccess_key_id = \"AKIDGATEWAY\"\n\
             secret_access_key = \"the real secret\"\n\
             [[origin]]\nname = \"a\"\nurl = \"http://{address}\"\n{scope}\
             [[route]]\npath = \"/\"\norigin = \"a\"\n{more}"
        ));
        let response = exchange(gateway.address, &text).await;
        assert!(
            (400..500).contains(&response.status),
            "{cause}: {}",
            response.body
        );
        let explained = explain(&response);
        assert!(
            explained.starts_with(&format!("cause  {cause}\n")),
            "{cause}: {explained}"
        );
    }
    assert_eq!(origin.requests().len(), 0);
}
