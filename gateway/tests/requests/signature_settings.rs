//! Settings of an origin that choose the form of its signatures.

use crate::support::{Gateway, TestOrigin, config, exchange};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Returns the head that the origin receives for `GET /orders//a?b=2&a=1`.
async fn seen_with(settings: &str) -> String {
    let origin = TestOrigin::start(OK).await;
    let text = config(&format!("http://{}", origin.address), settings)
        .replace("[[origin]]", "session_token = \"T0KEN\"\n[[origin]]");
    let gateway = Gateway::with_config(&text);
    let request = "GET /orders//a?b=2&a=1 HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\
        accept: a/b\r\nx-tenant: t\r\n\r\n";
    let response = exchange(gateway.address, request).await;
    assert_eq!(response.status, 200, "{settings}: {}", response.body);
    origin.requests().pop().expect("a request")
}

#[tokio::test]
async fn each_setting_changes_what_is_signed_or_sent() {
    const NAMES: &str = "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,";
    const WITH_TENANT: &str =
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token;x-tenant,";
    for (settings, expected) in [
        ("", [NAMES, "GET /a?b=2&a=1 "]),
        ("path_form = \"twice\"", [NAMES, "GET //a?b=2&a=1 "]),
        ("path_form = \"once\"", [NAMES, "GET //a?b=2&a=1 "]),
        ("path_form = \"once-folded\"", [NAMES, "GET /a?b=2&a=1 "]),
        ("wire_form = \"canonical\"", [NAMES, "GET /a?a=1&b=2 "]),
        ("wire_form = \"preserve\"", [NAMES, "GET /a?b=2&a=1 "]),
        (
            "payload_header = false",
            [
                "SignedHeaders=host;x-amz-date;x-amz-security-token,",
                "GET /a?",
            ],
        ),
        (
            "session_token = \"unsigned\"",
            [
                "SignedHeaders=host;x-amz-content-sha256;x-amz-date,",
                "\r\nx-amz-security-token: T0KEN\r\n",
            ],
        ),
        (
            "signed_headers = [\"x-tenant\"]",
            [WITH_TENANT, "x-tenant: t"],
        ),
        (
            "signed_headers = \"all\"\nforwarded = \"none\"\nunsigned_headers = [\"accept\", \"x-request-id\"]",
            [WITH_TENANT, "accept: a/b"],
        ),
        ("signature = \"header\"", [NAMES, "GET /a?b=2&a=1 "]),
        (
            "signature = \"query\"",
            ["GET /a?b=2&a=1&X-Amz-Algorithm=", "X-Amz-Expires=300&"],
        ),
    ] {
        let seen = seen_with(settings).await;
        for part in expected {
            assert!(seen.contains(part), "{settings}: {part} is missing: {seen}");
        }
    }
    let without_header = seen_with("payload_header = false").await;
    assert!(
        !without_header.contains("x-amz-content-sha256"),
        "{without_header}"
    );
    let in_query = seen_with("signature = \"query\"").await;
    assert!(!in_query.contains("authorization:"), "{in_query}");
}
