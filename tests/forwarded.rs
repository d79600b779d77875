//! `x-forwarded-*` and `forwarded` on their way to the origin.

mod common;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use common::{HOST, header, layer, send, settings};
use http::{HeaderMap, Request, uri::Scheme};
use http_body_util::Full;
use tower_sigv4::{
    Origin,
    origin::{ClientAddr, ForwardedHeaders, SigningBehavior, UriOrigin},
};

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// What a client may claim, in every spelling that some server reads.
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
    peer: Option<ClientAddr>,
) -> Request<Full<Bytes>> {
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Full::default()).expect("a request");
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    request
}

/// The forwarding headers that the origin receives, sorted by name.
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
async fn the_origin_receives_address_host_and_scheme_of_the_client() {
    let layer = layer(origin("execute-api"));
    let peer = ClientAddr::new(CLIENT).with_scheme(Scheme::HTTPS);
    let first = request("/", &[("host", "api.example.com")], Some(peer));
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
    let peer = ClientAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST)).with_scheme(Scheme::HTTP);
    let second = request("http://api.example.com/", &earlier, Some(peer));
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
async fn the_scheme_is_that_of_the_connection_and_never_that_of_the_uri() {
    let plain = Some(ClientAddr::new(CLIENT).with_scheme(Scheme::HTTP));
    let tls = Some(ClientAddr::new(CLIENT).with_scheme(Scheme::HTTPS));
    let unknown = Some(ClientAddr::new(CLIENT));
    let other = Some(ClientAddr::new(CLIENT).with_scheme("ftp".parse().expect("a scheme")));
    for (uri, peer, proto) in [
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
        let request = request(uri, &[("host", "api.example.com")], peer.clone());
        let sent = send(&layer(origin("execute-api")), request)
            .await
            .expect("sent");
        let sent_proto = sent
            .headers()
            .get("x-forwarded-proto")
            .map(|it| it.to_str().unwrap());
        assert_eq!(sent_proto, proto, "{uri} {peer:?}");
    }
}

/// Without a `ClientAddr` the layer knows nothing of the connection, so a proxy in front keeps its word.
#[tokio::test]
async fn without_a_peer_the_headers_of_a_proxy_in_front_pass() {
    let earlier = [
        ("x-forwarded-for", "198.51.100.1"),
        ("x-forwarded-proto", "https"),
    ];
    let request = request("http://api.example.com/", &earlier, None);
    assert_eq!(
        received(origin("execute-api"), request).await,
        [
            "x-forwarded-for: 198.51.100.1",
            "x-forwarded-host: api.example.com",
            "x-forwarded-proto: https",
        ],
    );
}

#[tokio::test]
async fn the_host_is_that_of_an_absolute_uri_before_that_of_the_header() {
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
        let request = request(uri, &[("host", "header.example.com")], None);
        assert_eq!(received(origin("execute-api"), request).await, [expected]);
    }
}

#[tokio::test]
async fn an_origin_receives_the_selected_headers_and_no_claim_about_the_others() {
    let peer = Some(ClientAddr::new(CLIENT).with_scheme(Scheme::HTTP));
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
            let request = request("http://api.example.com/", &CLAIMS, peer.clone());
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
        request("http://api.example.com/", &CLAIMS, peer.clone()),
    )
    .await;
    assert_eq!(lines.len(), CLAIMS.len(), "{lines:?}");
    for line in [address, host, proto] {
        assert!(lines.iter().any(|it| it == line), "{lines:?}");
    }
}

#[tokio::test]
async fn origins_of_the_s3_family_receive_none_by_default() {
    for (service, count) in [
        ("s3", 0),
        ("s3express", 0),
        ("s3-outposts", 0),
        ("s3-object-lambda", 0),
        ("execute-api", 3),
        ("lambda", 3),
    ] {
        let peer = Some(ClientAddr::new(CLIENT).with_scheme(Scheme::HTTP));
        let request = request("http://api.example.com/", &CLAIMS[..3], peer);
        assert_eq!(
            received(origin(service), request).await.len(),
            count,
            "{service}"
        );
    }
}

/// The requests of `UriOrigin` are the caller's own.
#[tokio::test]
async fn a_direct_target_leaves_the_headers_as_they_are_by_default() {
    let peer = Some(ClientAddr::new(CLIENT).with_scheme(Scheme::HTTP));
    let own = [
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
        let sent = send(&layer(target), request(&url, &own, peer.clone()))
            .await
            .expect("sent");
        let mut lines = forwarding(sent.headers());
        lines.sort_unstable();
        assert_eq!(lines, expected);
    }
}
