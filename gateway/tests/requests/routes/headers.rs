//! Headers that routes change: of requests before they are signed, and of responses.

use super::{OK, request};
use crate::support::{Gateway, TempFile, TestOrigin, exchange};

/// Returns a configuration with one origin and one route, with `more` keys each.
fn config(url: &str, origin: &str, route: &str) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[credentials]\nsource = \"static\"\naccess_key_id = \"AKID\"\n\
         secret_access_key = \"secret\"\n[[origin]]\nname = \"a\"\nurl = \"{url}\"\nregion = \"us-east-1\"\n\
         {origin}[[route]]\npath = \"/\"\norigin = \"a\"\n{route}"
    )
}

const API: &str = "service = \"execute-api\"\n";

/// Returns the values of a header in a head that an origin has received.
fn values<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    head.split("\r\n")
        .filter_map(|line| line.split_once(": "))
        .filter(|(other, _)| *other == name)
        .map(|(_, value)| value)
        .collect()
}

fn signed_headers(head: &str) -> Vec<&str> {
    let (_, list) = head.split_once("SignedHeaders=").expect("a signature");
    list.split(',').next().expect("a list").split(';').collect()
}

#[tokio::test]
async fn request_headers_are_removed_copied_set_and_added_before_signing() {
    let origin = TestOrigin::start(OK).await;
    let url = format!("http://{}", origin.address);
    let route = "[route.request_headers]\nremove = [\"x-internal\", \"cookie\"]\n\
        copy = { x-user = \"x-client-user\" }\nset = { x-tenant = \"a\", x-api-key = \"env:API_KEY\" }\n\
        add = { via-gateway = \"1\" }\n";
    let origin_keys = format!("{API}signed_headers = [\"x-tenant\", \"x-user\"]\n");
    let text = config(&url, &origin_keys, route);
    let gateway = Gateway::with_config_and_env(&text, &[("API_KEY", "k3y")]);
    // Servers behind CGI read `_` as `-`, and `connection` removes the headers that it names.
    let sent = "x-internal: 1\r\nX_Internal: 1\r\ncookie: a=b\r\nx-client-user: alice\r\nx-client-user: bob\r\n\
        x-user: root\r\nx_user: root\r\nx-tenant: forged\r\nx_tenant: forged\r\nx-api-key: forged\r\n\
        via-gateway: 0\r\nconnection: x-tenant, x-api-key, x-user, via-gateway, x-private\r\nx-private: 1\r\n";
    let response = exchange(gateway.address, &request("GET", "/o", sent, "")).await;
    assert_eq!(response.status, 200, "{}", response.body);
    let seen = origin.requests().pop().expect("a request");
    for (name, expected) in [
        ("x-internal", &[][..]),
        ("x_internal", &[]),
        ("cookie", &[]),
        ("x-private", &[]),
        ("x-client-user", &["alice", "bob"]),
        ("x-user", &["alice", "bob"]),
        ("x_user", &[]),
        ("x-tenant", &["a"]),
        ("x_tenant", &[]),
        ("x-api-key", &["k3y"]),
        ("via-gateway", &["0", "1"]),
    ] {
        assert_eq!(values(&seen, name), expected, "{name}: {seen}");
    }
    let signed = signed_headers(&seen);
    assert!(
        signed.contains(&"x-tenant") && signed.contains(&"x-user"),
        "{signed:?}"
    );
    assert!(!signed.contains(&"x-api-key"), "{signed:?}");
}

#[tokio::test]
async fn clients_cannot_drop_the_moved_authorization() {
    let origin = TestOrigin::start(OK).await;
    let url = format!("http://{}", origin.address);
    let gateway = Gateway::with_config(&config(&url, API, "authorization = \"move:x-token\"\n"));
    for connection in ["x-token", "close, X-Token", "close, x-private, x-token"] {
        let sent =
            format!("authorization: Bearer alice\r\nx-private: 1\r\nconnection: {connection}\r\n");
        let response = exchange(gateway.address, &request("GET", "/o", &sent, "")).await;
        assert_eq!(response.status, 200, "{}", response.body);
        let seen = origin.requests().pop().expect("a request");
        assert_eq!(values(&seen, "x-token"), ["Bearer alice"], "{seen}");
        let is_dropped = connection.contains("x-private");
        assert_eq!(values(&seen, "x-private").is_empty(), is_dropped, "{seen}");
    }
}

/// A client's copy of a header that the client does not send is removed, too.
#[tokio::test]
async fn copies_of_missing_headers_are_removed() {
    let origin = TestOrigin::start(OK).await;
    let url = format!("http://{}", origin.address);
    let route = "authorization = \"move:x-token\"\n[route.request_headers]\ncopy = { x-user = \"x-client-user\" }\n";
    let gateway = Gateway::with_config(&config(&url, API, route));
    let sent = "x-user: root\r\nx-token: forged\r\nx_token: forged\r\n";
    let response = exchange(gateway.address, &request("GET", "/o", sent, "")).await;
    assert_eq!(response.status, 200, "{}", response.body);
    let seen = origin.requests().pop().expect("a request");
    assert!(!seen.contains("root") && !seen.contains("forged"), "{seen}");
}

/// A server may merge trailers into the headers, and read `_` as `-`.
#[tokio::test]
async fn trailers_with_names_of_the_route_are_removed() {
    let origin = TestOrigin::start(OK).await;
    let url = format!("http://{}", origin.address);
    let route = "authorization = \"move:x-token\"\n[route.request_headers]\nremove = [\"x-internal\"]\n\
        copy = { x-user = \"x-client-user\" }\nset = { x-tenant = \"a\" }\nadd = { via-gateway = \"1\" }\n";
    let keys = format!("{API}payload = \"unsigned\"\n");
    let gateway = Gateway::with_config(&config(&url, &keys, route));
    let text = "POST /o HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\
        x-tenant: forged\r\nx_tenant: forged\r\nX-User: forged\r\nx-token: forged\r\nx_internal: forged\r\n\
        via-gateway: forged\r\nx-sum: 1\r\n\r\n";
    let response = exchange(gateway.address, text).await;
    assert_eq!(response.status, 200, "{}", response.body);
    let seen = origin.requests().pop().expect("a request");
    assert!(!seen.contains("forged"), "{seen}");
    assert_eq!(values(&seen, "x-tenant"), ["a"], "{seen}");
}

#[tokio::test]
async fn limits_of_clients_do_not_apply_to_headers_of_the_route() {
    let origin = TestOrigin::start(OK).await;
    let url = format!("http://{}", origin.address);
    let route = "amz_headers = []\n[route.request_headers]\nset = { x-amz-acl = \"private\" }\n";
    let gateway = Gateway::with_config(&config(&url, "service = \"s3\"\n", route));
    for (target, headers, status) in [
        ("/o", "", 200),
        ("/o", "x-amz-acl: public-read\r\n", 200),
        ("/o?x-amz-acl=public-read", "", 403),
        ("/o", "x-amz-copy-source: /a/b\r\n", 403),
    ] {
        let response = exchange(gateway.address, &request("PUT", target, headers, "a")).await;
        assert_eq!(
            response.status, status,
            "{target} {headers}: {}",
            response.body
        );
    }
    let seen = origin.requests();
    assert_eq!(seen.len(), 2);
    for head in seen {
        assert_eq!(values(&head, "x-amz-acl"), ["private"], "{head}");
        assert!(signed_headers(&head).contains(&"x-amz-acl"), "{head}");
    }
}

const AWS: &str = "AWS4-HMAC-SHA256 Credential=AKIDCLIENT/20150830/us-east-1/execute-api/aws4_request, \
    SignedHeaders=host, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";

#[tokio::test]
async fn authorization_of_clients_is_dropped_moved_or_kept() {
    let in_query = format!("{API}signature = \"query\"\nexpires = \"1m\"\n");
    for (origin_keys, setting, sent, moved, kept) in [
        (API, "", "Bearer t", None, None),
        (API, "authorization = \"drop\"\n", "Basic dTpw", None, None),
        (
            API,
            "authorization = \"move:x-token\"\n",
            "Bearer t",
            Some("Bearer t"),
            None,
        ),
        (API, "authorization = \"move:x-token\"\n", AWS, None, None),
        (
            API,
            "authorization = \"move:x-token\"\n",
            "aws AKID:c2ln",
            None,
            None,
        ),
        (
            &in_query,
            "authorization = \"keep\"\n",
            "Bearer t",
            None,
            Some("Bearer t"),
        ),
        (&in_query, "authorization = \"keep\"\n", AWS, None, None),
        (
            &in_query,
            "authorization = \"move:x-token\"\n",
            "Bearer t",
            Some("Bearer t"),
            None,
        ),
        (&in_query, "", "Bearer t", None, None),
    ] {
        let origin = TestOrigin::start(OK).await;
        let url = format!("http://{}", origin.address);
        let gateway = Gateway::with_config(&config(&url, origin_keys, setting));
        let headers = format!("authorization: {sent}\r\nx-token: forged\r\n");
        let response = exchange(gateway.address, &request("GET", "/o?a=b", &headers, "")).await;
        assert_eq!(response.status, 200, "{setting} {sent}: {}", response.body);
        let seen = origin.requests().pop().expect("a request");
        let client_header: &[_] = if setting.contains("move") {
            &[]
        } else {
            &["forged"]
        };
        let tokens = moved.map_or(client_header.to_vec(), |value| vec![value]);
        assert_eq!(values(&seen, "x-token"), tokens, "{setting} {sent}: {seen}");
        let authorizations = values(&seen, "authorization");
        if origin_keys == API {
            assert_eq!(authorizations.len(), 1, "{setting} {sent}: {seen}");
            assert!(authorizations[0].contains("Credential=AKID/"), "{seen}");
        } else {
            assert_eq!(authorizations, kept.as_slice(), "{setting} {sent}: {seen}");
            assert!(
                seen.starts_with("GET /o?a=b&X-Amz-Algorithm=AWS4-HMAC-SHA256&"),
                "{seen}"
            );
            assert!(
                seen.contains("X-Amz-Expires=60&") && seen.contains("X-Amz-Signature="),
                "{seen}"
            );
        }
    }
}

/// Several values are ambiguous.
#[tokio::test]
async fn several_authorizations_are_dropped() {
    let origin = TestOrigin::start(OK).await;
    let url = format!("http://{}", origin.address);
    let in_query = format!("{API}signature = \"query\"\n");
    for (origin_keys, setting) in [
        (API, "authorization = \"move:x-token\"\n"),
        (&*in_query, "authorization = \"keep\"\n"),
    ] {
        let gateway = Gateway::with_config(&config(&url, origin_keys, setting));
        let headers = "authorization: Bearer first\r\nauthorization: Bearer second\r\n";
        let response = exchange(gateway.address, &request("GET", "/o", headers, "")).await;
        assert_eq!(response.status, 200, "{setting}: {}", response.body);
        let seen = origin.requests().pop().expect("a request");
        assert!(!seen.contains("Bearer"), "{setting}: {seen}");
    }
}

/// S3 reads the value of a signed header as other bytes.
#[tokio::test]
async fn metadata_that_is_not_ascii_is_rejected_before_anything_is_sent() {
    let origin = TestOrigin::start(OK).await;
    let url = format!("http://{}", origin.address);
    let gateway = Gateway::with_config(&config(&url, "service = \"s3\"\n", ""));
    let metadata = "x-amz-meta-t: test\u{e0}\r\n";
    let response = exchange(gateway.address, &request("PUT", "/b/o", metadata, "a")).await;
    assert_eq!(response.status, 400, "{}", response.body);
    for part in ["x-amz-meta-t", "RFC 2047"] {
        assert!(response.body.contains(part), "{}", response.body);
    }
    assert_eq!(origin.connections(), 0);
}

const CACHED: &str = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\nvary: x-tenant, x-user\r\n\
    x-powered-by: php\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn fixed_headers_share_a_cached_response_and_copied_ones_separate_it() {
    let origin = TestOrigin::start(CACHED).await;
    let url = format!("http://{}", origin.address);
    let route = "cache = true\n[route.request_headers]\ncopy = { x-user = \"x-client-user\" }\n\
        set = { x-tenant = \"a\", cookie = \"env:COOKIE\" }\n";
    let text = config(&url, API, route);
    let gateway = Gateway::with_config_and_env(&text, &[("COOKIE", "session=1")]);
    for (headers, sent) in [
        ("x-client-user: alice\r\n", 1),
        ("x-client-user: alice\r\nx-tenant: forged\r\n", 1),
        ("x-client-user: bob\r\n", 2),
        ("x-client-user: bob\r\nx-user: alice\r\n", 2),
        ("", 3),
    ] {
        let response = exchange(gateway.address, &request("GET", "/o", headers, "")).await;
        assert_eq!(response.status, 200, "{headers}: {}", response.body);
        assert_eq!(origin.requests().len(), sent, "{headers}");
    }
}

/// A token that is moved still marks the response as that of one caller.
#[tokio::test]
async fn responses_to_moved_authorization_are_not_shared() {
    let origin = TestOrigin::start(CACHED).await;
    let url = format!("http://{}", origin.address);
    let route = "cache = true\nauthorization = \"move:x-token\"\n";
    let gateway = Gateway::with_config(&config(&url, API, route));
    for (token, sent) in [("alice", 1), ("bob", 2)] {
        let headers = format!("authorization: Bearer {token}\r\n");
        exchange(gateway.address, &request("GET", "/o", &headers, "")).await;
        assert_eq!(origin.requests().len(), sent, "{token}");
    }
}

#[tokio::test]
async fn values_of_response_headers_may_be_references() {
    let origin = TestOrigin::start(OK).await;
    let url = format!("http://{}", origin.address);
    let file = TempFile::new("from-file\n");
    let route = format!(
        "[route.response_headers]\nset = {{ x-a = \"env:SERVED_BY\" }}\nadd = {{ x-b = \"file:{}\", \
         x-c = \"env:SERVED_BY\" }}\n",
        file.path
    );
    let text = config(&url, API, &route);
    let gateway = Gateway::with_config_and_env(&text, &[("SERVED_BY", "from-env")]);
    let response = exchange(gateway.address, &request("GET", "/o", "", "")).await;
    for (name, value) in [
        ("x-a", "from-env"),
        ("x-b", "from-file"),
        ("x-c", "from-env"),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn response_headers_apply_to_origins_the_cache_and_own_errors() {
    let origin = TestOrigin::start(CACHED).await;
    let url = format!("http://{}", origin.address);
    let headers = "[route.response_headers]\nremove = [\"x-powered-by\"]\n\
        set = { strict-transport-security = \"max-age=31536000\" }\nadd = { vary = \"origin\" }\n";
    let route = format!("cache = true\namz_headers = []\n{headers}");
    let gateway = Gateway::with_config(&config(&url, API, &route));
    let refused = "x-amz-acl: private\r\n";
    for (target, sent, status, vary) in [
        ("/o", "", 200, 2),
        ("/o", "", 200, 2),
        ("/refused", refused, 403, 1),
    ] {
        let response = exchange(gateway.address, &request("GET", target, sent, "")).await;
        assert_eq!(response.status, status, "{}", response.body);
        let policy = response.header("strict-transport-security");
        assert_eq!(policy, Some("max-age=31536000"), "{status}");
        assert_eq!(response.header("x-powered-by"), None);
        let lines = response.headers.iter().filter(|(name, _)| name == "vary");
        assert_eq!(lines.count(), vary, "{status}");
    }
    assert_eq!(origin.requests().len(), 1, "the second was cached");
}
