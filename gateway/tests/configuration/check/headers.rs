//! Mistakes in the headers that routes change and that origins sign.

use super::{VALID, check, mistakes::Mistake};

const SIGNING: &str = "signing = \"no-override\"";
const LAST: &str = "origin = \"orders\"";

/// Mistakes in the form of signatures.
pub(super) const SIGNATURE: &[Mistake] = &[
    (
        SIGNING,
        "expires = \"1m\"",
        12,
        "expires needs signature = \"query\"",
    ),
    (
        SIGNING,
        "signature = \"query\"\nexpires = \"8days\"",
        13,
        "691200",
    ),
    (
        SIGNING,
        "signature = \"query\"\nexpires = \"soon\"",
        13,
        "not a valid duration",
    ),
    (
        SIGNING,
        "signed_headers = [\"a b\"]",
        12,
        "\"a b\" is not a valid header name",
    ),
    (
        SIGNING,
        "unsigned_headers = [\"accept\"]",
        12,
        "unsigned_headers needs signed_headers = \"all\"",
    ),
];

fn mistakes_of_a_route(keys: &str) -> (Option<i32>, String) {
    let text = VALID.replace(SIGNING, "signing = \"always\"");
    check(&text.replace(LAST, &format!("{LAST}\n{keys}")))
}

#[test]
fn headers_that_a_route_must_not_change_are_reported_with_the_remedy() {
    for (keys, line, expected) in [
        (
            "set = { host = \"a\" }",
            19,
            "host is that of the origin; set signed_host",
        ),
        (
            "set = { content-length = \"1\" }",
            19,
            "content-length belongs to the connection",
        ),
        (
            "add = { Transfer-Encoding = \"a\" }",
            19,
            "transfer-encoding belongs to the connection",
        ),
        (
            "remove = [\"connection\"]",
            19,
            "connection belongs to the connection",
        ),
        (
            "set = { x-amz-date = \"a\" }",
            19,
            "x-amz-date is set by signing",
        ),
        (
            "set = { x-amz-content-sha256 = \"a\" }",
            19,
            "is set by signing",
        ),
        (
            "set = { x-amz-security-token = \"a\" }",
            19,
            "is set by signing",
        ),
        (
            "set = { authorization = \"a\" }",
            19,
            "set authorization of the route",
        ),
        (
            "set = { x-forwarded-for = \"a\" }",
            19,
            "set forwarded of the origin",
        ),
        ("set = { x_tenant = \"a\" }", 19, "write hyphens"),
        (
            "set = { x-request-id = \"a\" }",
            19,
            "x-request-id is set by the gateway",
        ),
        (
            "remove = [\"content-encoding\"]",
            19,
            "set payload of the origin",
        ),
        ("add = { x-amz-acl = \"private\" }", 19, "use set"),
        (
            "copy = { x-amz-copy-source = \"x-a\" }",
            19,
            "use set with a fixed value",
        ),
        (
            "copy = { x-a = \"authorization\" }",
            19,
            "move:x-client-authorization",
        ),
        (
            "copy = { x-a = \"x-amz-security-token\" }",
            19,
            "the client's signature",
        ),
        (
            "remove = [\"x-a\"]\ncopy = { x-b = \"x-a\" }",
            20,
            "take it out of remove",
        ),
        (
            "copy = { x-b = \"x-a\" }\nset = { x-b = \"1\" }",
            20,
            "is in copy and in set",
        ),
        (
            "set = { x-a = \"1\", X-A = \"2\" }",
            19,
            "x-a is listed twice",
        ),
        ("remove = [\"x-a\", \"X-A\"]", 19, "x-a is listed twice"),
        (
            "copy = { x-a = \"x-b\", X-A = \"x-c\" }",
            19,
            "x-a is listed twice",
        ),
        (
            "set = { \"a b\" = \"1\" }",
            19,
            "\"a b\" is not a valid header name",
        ),
        ("set = { x-a = \"1\\n2\" }", 19, "not a valid header value"),
        ("set = { x-a = \"\u{fc}\" }", 19, "not ASCII"),
        (
            "set = { x-a = \"env:SIGV4_GATEWAY_UNSET\" }",
            19,
            "\"SIGV4_GATEWAY_UNSET\" is not set",
        ),
        (
            "set = { x-a = \"file:/nonexistent\" }",
            19,
            "cannot read the file \"/nonexistent\"",
        ),
        ("sets = { x-a = \"1\" }", 19, "unknown field"),
    ] {
        let (code, text) = mistakes_of_a_route(&format!("[route.request_headers]\n{keys}"));
        assert_eq!(code, Some(1), "{keys}: {text}");
        let start = format!("sigv4-gateway: FILE:{line}: ");
        assert!(
            text.starts_with(&start) && text.contains(expected),
            "{keys}: {text}"
        );
    }
    for (keys, expected) in [
        (
            "set = { content-length = \"1\" }",
            "belongs to the connection",
        ),
        (
            "add = { access-control-allow-origin = \"*\" }",
            "set [route.cors]",
        ),
        ("remove = [\"x-request-id\"]", "is set by the gateway"),
    ] {
        let (code, text) = mistakes_of_a_route(&format!("[route.response_headers]\n{keys}"));
        assert_eq!(code, Some(1), "{keys}: {text}");
        assert!(
            text.contains("FILE:19: ") && text.contains(expected),
            "{keys}: {text}"
        );
    }
}

#[test]
fn authorization_that_cannot_be_forwarded_is_an_error() {
    for (setting, expected) in [
        ("forward", "write \"drop\", \"keep\" or"),
        ("move:", "not a valid header name"),
        ("move:host", "is that of the origin"),
        ("move:te", "belongs to the connection"),
        ("move:x-amz-meta-token", "is one that AWS reads"),
        ("move:x-forwarded-authorization", "is a forwarding header"),
        ("keep", "set signature = \"query\" of the origin"),
    ] {
        let (code, text) = mistakes_of_a_route(&format!("authorization = \"{setting}\""));
        assert_eq!(code, Some(1), "{setting}: {text}");
        assert!(
            text.contains("FILE:18: ") && text.contains(expected),
            "{setting}: {text}"
        );
    }
    let no_override = VALID.replace(LAST, &format!("{LAST}\nauthorization = \"move:x-token\""));
    let (code, text) = check(&no_override);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("set signing = \"always\""), "{text}");
    let twice = "authorization = \"move:x-a\"\nrequest_headers = { set = { x-a = \"1\" } }";
    let (_, text) = mistakes_of_a_route(twice);
    assert!(text.contains("x-a is in request_headers, too"), "{text}");

    let s3 = VALID
        .replace(SIGNING, "signature = \"query\"")
        .replace("execute-api\"", "s3\"")
        .replace("abc123.execute-api", "bucket.s3");
    let (code, text) = check(&s3);
    assert_eq!(code, Some(0), "{text}");
    let (_, text) = check(&s3.replace(LAST, &format!("{LAST}\nauthorization = \"keep\"")));
    assert!(
        text.contains("S3 rejects requests with authorization"),
        "{text}"
    );
}
