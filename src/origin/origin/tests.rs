use super::*;

fn origin(url: &str) -> Result<Origin, Error> {
    Origin::new(
        url,
        SigningSettings::new("execute-api", "us-east-1").expect("valid"),
    )
}

#[test]
fn urls_are_split_into_authority_host_and_prefix() {
    for (url, authority, prefix) in [
        ("http://example.com", "example.com", ""),
        ("https://example.com/", "example.com", ""),
        ("https://example.com/prod", "example.com", "/prod"),
        ("https://example.com/prod/", "example.com", "/prod"),
        ("https://example.com//a/../prod", "example.com", "/prod"),
        ("https://example.com:443/x", "example.com", "/x"),
        ("http://example.com:80/x", "example.com", "/x"),
        ("http://example.com:443/x", "example.com:443", "/x"),
        ("https://example.com:8443", "example.com:8443", ""),
        ("https://user:pass@example.com:8443", "example.com:8443", ""),
        ("https://user@example.com", "example.com", ""),
        ("http://[::1]:8080/x", "[::1]:8080", "/x"),
        ("http://[::1]", "[::1]", ""),
        ("https://example.com/a%2Fb", "example.com", "/a%2Fb"),
    ] {
        let origin = origin(url).expect(url);
        assert_eq!(origin.authority().as_str(), authority, "{url}");
        assert_eq!(origin.host(), authority, "{url}");
        assert_eq!(origin.prefix(), prefix, "{url}");
    }
}

#[test]
fn invalid_origins_are_rejected_without_their_password() {
    for url in [
        "",
        "example.com",
        "/prod",
        "ftp://example.com",
        "https://",
        "https://example.com/?a=b",
        "https://example.com/#top",
        "https://example.com:0",
        "https://[::1]8080",
        "https://example.com:65536",
        "https://example.com/%zz",
        "https://exa mple.com",
        "https://a,b",
        "https://*",
        "https://example.com:+80",
        "https://[::g]",
        "ftp://user:pass@example.com",
        "https://user:pass@example.com?",
        "https://user:pass?@example.com",
        "https://example.com?token=pass",
        "https://example.com?a=b@pass",
        "*",
    ] {
        let error = origin(url).expect_err(url);
        assert_eq!(error.kind(), crate::ErrorKind::Config, "{url}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("pass"), "{shown}");
    }
}

#[test]
fn the_signed_host_may_differ_from_the_authority() {
    let origin = origin("http://127.0.0.1:9000").expect("valid");
    let tunnelled = origin
        .clone()
        .with_signed_host("api.example.com:8443")
        .expect("valid");
    assert_eq!(tunnelled.host(), "api.example.com:8443");
    assert_eq!(tunnelled.authority().as_str(), "127.0.0.1:9000");
    for bad in [
        "",
        "a b",
        "user:pass@host",
        "https://host",
        "host/path",
        "host\n",
        "h:",
        "h:abc",
        "h:0",
        "h:99999",
        "*",
    ] {
        assert!(origin.clone().with_signed_host(bad).is_err(), "{bad:?}");
    }
}
