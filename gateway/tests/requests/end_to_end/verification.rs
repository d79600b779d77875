//! Signatures of callers and of the gateway, verified by AWS's signer.

use crate::support::{self, Gateway, TempFile, TestOrigin, config, exchange, get};

pub(super) const SECRET: &str = support::SECRET_ACCESS_KEY;

pub(super) const TARGETS: [&str; 4] = [
    "/orders",
    "/v1/items:batch?b=2&a=1+1&c=%2f",
    "/a%2fb/(c)/../d//e",
    "/%C3%A9?%c3%a9",
];

/// The demo verifies with the crate that signs; this origin does not.
#[tokio::test]
async fn signatures_are_accepted_by_awss_signer() {
    let origin = support::aws_verifier::start().await;
    let unsigned = get(origin, "/orders").await;
    assert_eq!((unsigned.status, &*unsigned.body), (403, "not signed"));
    let gateway = Gateway::with_config(&format!(
        "[credentials]\nsource = \"static\"\naccess_key_id = \"{}\"\nsecret_access_key = \"{SECRET}\"\n\
         [[origin]]\nname = \"a\"\nurl = \"http://{origin}\"\nservice = \"execute-api\"\n\
         region = \"us-east-1\"\n[[route]]\npath = \"/\"\norigin = \"a\"\n\
         [server]\nlisten = \"127.0.0.1:0\"\n",
        support::ACCESS_KEY_ID,
    ));
    for target in TARGETS {
        let response = get(gateway.address, target).await;
        assert_eq!(
            (response.status, &*response.body),
            (200, "AWS's signer agrees"),
            "{target}"
        );
    }
    let post = "POST /orders HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\
        content-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let post = exchange(gateway.address, post).await;
    assert_eq!((post.status, &*post.body), (200, "AWS's signer agrees"));
}

#[tokio::test]
async fn callers_are_verified_if_configured() {
    let origin = TestOrigin::start("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let keys = TempFile::new(
        "[[key]]\naccess_key_id = \"AKIDBOB\"\nsecret_access_key = \"bobs secret\"\n",
    );
    let url = format!("http://{}/prod", origin.address);
    let config = config(&url, "").replace(
        "path = \"/orders\"",
        "path = \"/public\"\nverify = false\norigin = \"orders\"\n[[route]]\npath = \"/orders\"",
    ) + "[verify]\nservice = \"execute-api\"\nregion = \"us-east-1\"\nkeys_file_env = \"BOBS_KEYS\"\n\
           [[verify.key]]\naccess_key_id = \"AKIDALICE\"\nsecret_access_key = \"alices secret\"\n";
    let gateway = Gateway::with_config_and_env(&config, &[("BOBS_KEYS", &keys.path)]);
    let signed = |method, target, body, id, secret| {
        support::signed_request(method, target, "api.example.com", body, id, secret)
    };
    for (request, status) in [
        (signed("GET", "/orders/1?a=1", "", "AKIDALICE", "alices secret"), 200),
        (signed("POST", "/orders/1", "a body", "AKIDBOB", "bobs secret"), 200),
        (signed("GET", "/orders/1", "", "AKIDBOB", "alices secret"), 403),
        (signed("GET", "/orders/1", "", "AKIDMALLORY", "alices secret"), 403),
        (signed("POST", "/orders/1", "a body", "AKIDBOB", "bobs secret").replace("a body", "A body"), 403),
        (signed("GET", "/orders/1", "", "AKIDBOB", "bobs secret").replace("s/1", "s/2"), 403),
        (signed("GET", "/orders/1", "", "AKIDBOB", "bobs secret").replace("s/1", "s/./1"), 400),
        (signed("GET", "/elsewhere", "", "AKIDBOB", "bobs secret"), 404),
        ("GET /orders/1 HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\r\n".to_owned(), 403),
        ("GET /elsewhere HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\r\n".to_owned(), 403),
        ("GET /public/1 HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n".to_owned(), 200),
        ("GET /public/../orders/1 HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\r\n".to_owned(), 403),
    ] {
        let response = exchange(gateway.address, &request).await;
        assert_eq!(response.status, status, "{request}\n{}", response.body);
    }
    // A path that another server might normalize differently is not open.
    for path in [
        "..%2forders",
        "%2e%2e%2Forders",
        "..;/orders",
        "..%5corders",
        "%252e%252e/orders",
    ] {
        let request =
            format!("GET /public/{path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        assert_eq!(
            exchange(gateway.address, &request).await.status,
            403,
            "{path}"
        );
    }
    let seen = origin.requests();
    assert_eq!(seen.len(), 3);
    assert!(
        seen[0].starts_with("GET /prod/1?a=1 HTTP/1.1\r\n"),
        "{}",
        seen[0]
    );
    for head in &seen {
        assert_eq!(head.matches("authorization:").count(), 1);
        assert!(
            head.contains("Credential=AKID/") && head.contains("/eu-west-1/"),
            "{head}"
        );
        assert!(!head.contains("ALICE") && !head.contains("BOB"), "{head}");
    }
}
