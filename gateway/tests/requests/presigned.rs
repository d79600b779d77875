//! Callers with presigned URLs.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use http::Request;
use tower_sigv4::{
    SigningSettings,
    sigv4::{Identity, Payload, Signer, SigningParams},
};

use crate::support::{Gateway, TestOrigin, config, exchange};

const HOST: &str = "api.example.com";

/// Accepts unsigned bodies in presigned requests only.
const SIGNED_BODIES: &str = "unsigned_payload = false\npresigned_uploads = true\n";

/// Returns a request presigned for S3.
fn presigned(method: &str, headers: &str, body: &str) -> String {
    let credentials = Credentials::new("AKIDALICE", "alices secret", None, None, "test");
    let identity = Identity::new(credentials).expect("valid");
    let settings = SigningSettings::new("s3", "us-east-1").expect("a scope");
    let params = SigningParams::new(&settings, &identity, Payload::Unsigned, SystemTime::now());
    let request = Request::builder()
        .method(method)
        .uri("/orders/1")
        .header("host", HOST);
    let (mut head, ()) = request.body(()).expect("a request").into_parts();
    Signer::new()
        .presign(&mut head, &params, Duration::from_secs(60))
        .expect("presigned");
    let target = &head.uri;
    format!(
        "{method} {target} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n{headers}\r\n{body}"
    )
}

#[tokio::test]
async fn presigned_uploads_pass_unless_bodies_must_be_signed() {
    let origin = TestOrigin::start("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let url = format!("http://{}", origin.address);
    let download = presigned("GET", "", "");
    let upload = presigned("PUT", "content-length: 6\r\n", "a file");
    let chunked = presigned(
        "PUT",
        "transfer-encoding: chunked\r\n",
        "6\r\na file\r\n0\r\n\r\n",
    );
    for (setting, body, uploaded) in [
        ("", "collected", 200),
        ("", "streamed", 200),
        ("unsigned_payload = false\n", "collected", 400),
        ("unsigned_payload = false\n", "streamed", 400),
        (SIGNED_BODIES, "collected", 200),
        (SIGNED_BODIES, "streamed", 200),
    ] {
        let config = config(&url, "")
            + "[verify]\nservice = \"s3\"\nregion = \"us-east-1\"\n"
            + setting
            + &format!("body = \"{body}\"\n")
            + "[[verify.key]]\naccess_key_id = \"AKIDALICE\"\nsecret_access_key = \"alices secret\"\n";
        let gateway = Gateway::with_config(&config);
        let before = origin.requests().len();
        for (request, status) in [(&download, 200), (&upload, uploaded), (&chunked, uploaded)] {
            let response = exchange(gateway.address, request).await;
            assert_eq!(
                response.status, status,
                "{setting}{request}\n{}",
                response.body
            );
        }
        let passed = if uploaded == 200 { 3 } else { 1 };
        assert_eq!(origin.requests().len() - before, passed, "{setting}");
    }
}
