//! Web pages of other origins.

use super::{OK, gateway, request};
use crate::support::{TestOrigin, exchange};

#[tokio::test]
async fn allowed_web_pages_can_call_and_read_rejections() {
    let origin = TestOrigin::start(OK).await;
    let gateway = gateway(
        &[origin.address],
        "[[route]]\npath = \"/open\"\nmethods = [\"GET\"]\norigin = \"a\"\nverify = false\n\
         [route.cors]\norigins = [\"https://app.example.com\"]\nheaders = [\"authorization\", \"x-amz-date\"]\n\
         max_age = \"1h\"\n\
         [[route]]\npath = \"/closed\"\norigin = \"a\"\n[route.cors]\norigins = [\"*\"]\n\
         [verify]\nservice = \"execute-api\"\nregion = \"us-east-1\"\n\
         [[verify.key]]\naccess_key_id = \"AKID\"\nsecret_access_key = \"secret\"\n",
    );
    let page = "origin: https://app.example.com\r\n";
    let preflight_headers = format!(
        "{page}access-control-request-method: GET\r\naccess-control-request-headers: authorization\r\n"
    );
    let preflight = exchange(
        gateway.address,
        &request("OPTIONS", "/open", &preflight_headers, ""),
    )
    .await;
    assert_eq!(preflight.status, 200);
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example.com"),
        ("access-control-allow-headers", "authorization,x-amz-date"),
        ("access-control-max-age", "3600"),
    ] {
        assert_eq!(preflight.header(name), Some(value), "{name}");
    }
    assert!(
        origin.requests().is_empty(),
        "a preflight is handled by the gateway"
    );

    let response = exchange(gateway.address, &request("GET", "/open", page, "")).await;
    let allowed = response.header("access-control-allow-origin");
    assert_eq!(
        (response.status, allowed),
        (200, Some("https://app.example.com"))
    );
    let rejected = exchange(gateway.address, &request("GET", "/closed", page, "")).await;
    let allowed = rejected.header("access-control-allow-origin");
    assert_eq!(
        (rejected.status, allowed),
        (403, Some("*")),
        "{}",
        rejected.body
    );
    // Other pages get no CORS headers, and methods without a route no preflight.
    let other = preflight_headers.replace("app.example.com", "evil.example.com");
    let preflight = exchange(gateway.address, &request("OPTIONS", "/open", &other, "")).await;
    assert_eq!(preflight.header("access-control-allow-origin"), None);
    let put = preflight_headers.replace("method: GET", "method: PUT");
    let preflight = exchange(gateway.address, &request("OPTIONS", "/open", &put, "")).await;
    assert_eq!(
        preflight.status, 403,
        "requests without a route are verified too"
    );
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn cors_headers_come_from_the_route_not_the_origin() {
    const FOR_ALL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\naccess-control-allow-origin: *\r\n\
                           access-control-allow-credentials: true\r\n\r\nok";
    let origin = TestOrigin::start(FOR_ALL).await;
    let gateway = gateway(
        &[origin.address],
        "[[route]]\npath = \"/named\"\norigin = \"a\"\n\
         [route.cors]\norigins = [\"https://app.example.com\"]\n\
         [[route]]\npath = \"/\"\norigin = \"a\"\n",
    );
    for (path, page, allowed, credentials) in [
        (
            "/named",
            "https://app.example.com",
            Some("https://app.example.com"),
            None,
        ),
        ("/named", "https://evil.example.com", None, None),
        ("/", "https://evil.example.com", Some("*"), Some("true")), // the origin's own business
    ] {
        let page = format!("origin: {page}\r\n");
        let response = exchange(gateway.address, &request("GET", path, &page, "")).await;
        assert_eq!(
            response.header("access-control-allow-origin"),
            allowed,
            "{path} {page}"
        );
        assert_eq!(
            response.header("access-control-allow-credentials"),
            credentials,
            "{path} {page}"
        );
    }
}
