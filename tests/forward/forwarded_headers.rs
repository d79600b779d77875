//! The headers `x-forwarded-*` and `forwarded` that origins receive.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use http::{HeaderMap, Request, uri::Scheme};
use http_body_util::Full;
use tower_sigv4::{
    Origin,
    origin::{ClientAddr, ForwardedHeaders, SigningBehavior, UriOrigin},
};

use crate::common::{HOST, header, layer, send, settings};

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Headers of a client, in every spelling that some server reads.
const CLAIMS: [(&str, &str); 8] = [
    ("x-forwarded-for", "198.51.100.1"),
    ("x-forwarded-host", "claimed.example.com"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-port", "443"),
    ("x-forwarded-prefix", "/admin"),
    ("x_forwarded_host", "claimed.example.com"),
    ("x-forwarded_host", "claimed.example.com"),
    ("forwarded", "for=198.51.100.1;host=claimed.example.com"),
];

fn origin(service: &str) -> Origin {
    Origin::new(&format!("https://{HOST}"), settings(service)).expect("an origin")
}

fn request(
    uri: &str,
    headers: &[(&'static str, &str)],
    client: Option<ClientAddr>,
) -> Request<Full<Bytes>> {
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Full::default()).expect("a request");
    if let Some(client) = client {
        request.extensions_mut().insert(client);
    }
    request
}

/// Returns the forwarding headers that the origin receives, sorted by name.
async fn received(origin: Origin, request: Request<Full<Bytes>>) -> Vec<String> {
    let sent = send(&layer(origin), request).await.expect("sent");
    let mut lines = forwarding(sent.headers());
    lines.sort_unstable();
    lines
}

fn forwarding(headers: &HeaderMap) -> Vec<String> {
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        format!("{name}: {}", value.to_str().expect("ASCII"))
    };
    let is_forwarding = |line: &String| line.contains("forwarded");
    headers.iter().map(line).filter(is_forwarding).collect()
}

#[tokio::test]
async fn origins_receive_address_host_and_scheme_of_the_client() {
    let layer = layer(origin("execute-api"));
    let client = ClientAddr::new(CLIENT).with_scheme(Scheme::HTTPS);
    let first = request("/", &[("host", "api.example.com")], Some(client));
    let sent = send(&layer, first).await.expect("sent");
    assert_eq!(header(sent.headers(), "x-forwarded-for"), "192.0.2.1");
    assert_eq!(
        header(sent.headers(), "x-forwarded-host"),
        "api.example.com"
    );
    assert_eq!(header(sent.headers(), "x-forwarded-proto"), "https");
    assert!(!header(sent.headers(), "authorization").contains("forwarded"));

    let earlier = [
        ("x-forwarded-for", "198.51.100.1"),
        ("x-forwarded-for", "198.51.100.2"),
        ("x-forwarded-host", "spoofed"),
        ("x-forwarded-proto", "https"),
    ];
    let client = ClientAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST)).with_scheme(Scheme::HTTP);
    let second = request("http://api.example.com/", &earlier, Some(client));
    let sent = send(&layer, second).await.expect("sent");
    assert_eq!(
        header(sent.headers(), "x-forwarded-for"),
        "198.51.100.1, 198.51.100.2, ::1"
    );
    assert_eq!(
        header(sent.headers(), "x-forwarded-host"),
        "spoofed, api.example.com"
    );
    assert_eq!(header(sent.headers(), "x-forwarded-proto"), "https, http");
}

#[tokio::test]
async fn the_scheme_comes_from_the_connection_and_not_from_the_uri() {
    let plain = Some(ClientAddr::new(CLIENT).with_scheme(Scheme::HTTP));
    let tls = Some(ClientAddr::new(CLIENT).with_scheme(Scheme::HTTPS));
    let unknown = Some(ClientAddr::new(CLIENT));
    let other = Some(ClientAddr::new(CLIENT).with_scheme("ftp".parse().expect("a scheme")));
    for (uri, client, proto) in [
        ("https://api.example.com/", &plain, Some("http")),
        ("http://api.example.com/", &tls, Some("https")),
        ("/", &plain, Some("http")),
        ("/", &tls, Some("https")),
        ("https://api.example.com/", &unknown, None),
        ("https://api.example.com/", &other, None),
        ("https://api.example.com/", &None, None),
        ("http://api.example.com/", &None, None),
        ("/", &None, None),
    ] {
        let request = request(uri, &[("host", "api.example.com")], client.clone());
        let sent = send(&layer(origin("execute-api")), request)
            .await
            .expect("sent");
        let sent_proto = sent
            .headers()
            .get("x-forwarded-proto")
            .map(|value| value.to_str().unwrap());
        assert_eq!(sent_proto, proto, "{uri} {client:?}");
    }
}

/// Without a `ClientAddr` the request is a client's downcast_error, so its headers pass and none is added.
#[tokio::test]
async fn requests_without_a_client_address_keep_their_headers_and_receive_none() {
    let earlier = [
        ("x-forwarded-for", "198.51.100.1"),
        ("x-forwarded-proto", "https"),
    ];
    let forwarded = request("http://api.example.com/", &earlier, None);
    assert_eq!(
        received(origin("execute-api"), forwarded).await,
        ["x-forwarded-for: 198.51.100.1", "x-forwarded-proto: https",],
    );
    for uri in [
        "http://api.example.com/",
        "https://api.example.com:8443/",
        "/",
    ] {
        let client_request = request(uri, &[("host", "api.example.com")], None);
        assert!(
            received(origin("execute-api"), client_request)
                .await
                .is_empty(),
            "{uri}"
        );
    }
}

#[tokio::test]
async fn an_absolute_uri_overrides_the_host_header() {
    for (uri, expected) in [
        (
            "https://api.example.com/",
            "x-forwarded-host: api.example.com",
        ),
        (
            "http://user@api.example.com:8080/",
            "x-forwarded-host: api.example.com:8080",
        ),
        ("/", "x-forwarded-host: header.example.com"),
    ] {
        let client = Some(ClientAddr::new(CLIENT));
        let request = request(uri, &[("host", "header.example.com")], client);
        assert_eq!(
            received(origin("execute-api"), request).await,
            ["x-forwarded-for: 192.0.2.1", expected]
        );
    }
}

#[tokio::test]
async fn headers_that_are_not_selected_are_removed() {
    let client = Some(ClientAddr::new(CLIENT).with_scheme(Scheme::HTTP));
    let (address, host, proto) = (
        "x-forwarded-for: 198.51.100.1, 192.0.2.1",
        "x-forwarded-host: claimed.example.com, api.example.com",
        "x-forwarded-proto: https, http",
    );
    for (forwarded, expected) in [
        (ForwardedHeaders::NONE, &[][..]),
        (ForwardedHeaders::from(false), &[]),
        (ForwardedHeaders::NONE.with_for(true), &[address]),
        (ForwardedHeaders::NONE.with_proto(true), &[proto]),
        (ForwardedHeaders::ALL.with_host(false), &[address, proto]),
        (
            ForwardedHeaders::ALL.with_for(false).with_proto(false),
            &[host],
        ),
    ] {
        for behavior in [SigningBehavior::Always, SigningBehavior::Never] {
            let origin = origin("execute-api")
                .with_forwarded(forwarded)
                .with_signing(behavior);
            let request = request("http://api.example.com/", &CLAIMS, client.clone());
            assert_eq!(
                received(origin, request).await,
                expected,
                "{forwarded:?} {behavior:?}"
            );
        }
    }
    let all = origin("s3").with_forwarded(true);
    let lines = received(
        all,
        request("http://api.example.com/", &CLAIMS, client.clone()),
    )
    .await;
    assert_eq!(lines.len(), CLAIMS.len(), "{lines:?}");
    for line in [address, host, proto] {
        assert!(lines.iter().any(|received| received == line), "{lines:?}");
    }
}

#[tokio::test]
async fn origins_of_the_s3_family_receive_no_forwarding_headers_by_default() {
    for (service, count) in [
        ("s3", 0),
        ("s3express", 0),
        ("s3-outposts", 0),
        ("s3-object-lambda", 0),
        ("execute-api", 3),
        ("lambda", 3),
    ] {
        let client = Some(ClientAddr::new(CLIENT).with_scheme(Scheme::HTTP));
        let request = request("http://api.example.com/", &CLAIMS[..3], client);
        assert_eq!(
            received(origin(service), request).await.len(),
            count,
            "{service}"
        );
    }
}

#[tokio::test]
async fn uri_origins_leave_forwarding_headers_unchanged_by_default() {
    let client = Some(ClientAddr::new(CLIENT).with_scheme(Scheme::HTTP));
    let client_headers = [
        ("x-forwarded-host", "own.example.com"),
        ("forwarded", "for=192.0.2.7"),
    ];
    let url = format!("https://{HOST}/");
    for (target, expected) in [
        (
            UriOrigin::new(settings("s3")),
            &[
                "forwarded: for=192.0.2.7",
                "x-forwarded-host: own.example.com",
            ][..],
        ),
        (UriOrigin::new(settings("s3")).with_forwarded(false), &[]),
        (
            UriOrigin::new(settings("s3")).with_forwarded(ForwardedHeaders::NONE.with_for(true)),
            &["x-forwarded-for: 192.0.2.1"],
        ),
    ] {
        let sent = send(
            &layer(target),
            request(&url, &client_headers, client.clone()),
        )
        .await
        .expect("sent");
        let mut lines = forwarding(sent.headers());
        lines.sort_unstable();
        assert_eq!(lines, expected);
    }
}
