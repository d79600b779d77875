//! hyper-util over TLS, with HTTP/2 and HTTP/1.1.

mod support;

use http::Version;
use support::{CREDENTIALS, Identity, Origin, Output, run};

async fn post(origin: &Origin, identity: &Identity, signed_host: Option<&str>) -> Output {
    let url = format!("https://localhost:{}", origin.address.port());
    let mut arguments = vec![&*url, identity.ca_file(), "an order"];
    arguments.extend(signed_host);
    run(env!("CARGO_BIN_EXE_hyper_tls"), &arguments, &CREDENTIALS).await
}

#[tokio::test]
async fn origin_chooses_the_version_and_verifies_both() {
    let identity = Identity::new();
    for (protocols, version) in [
        (&["h2", "http/1.1"][..], Version::HTTP_2),
        (&["h2"], Version::HTTP_2),
        (&["http/1.1"], Version::HTTP_11),
    ] {
        let origin = Origin::with_tls(&identity, protocols).await;
        let output = post(&origin, &identity, None).await;
        assert_eq!(
            output.stdout,
            format!("{version:?} 200 OK\nan order\n"),
            "{}",
            output.stderr
        );
        assert_eq!(output.stderr, "");

        let [seen] = &origin.seen()[..] else {
            panic!("one request")
        };
        assert_eq!(seen.version, version);
        assert_eq!(seen.host, format!("localhost:{}", origin.address.port()));
        assert!(seen.verified.signed_headers().any(|name| name == "host"));
    }
}

#[tokio::test]
async fn signed_host_that_differs_from_the_url_requires_http_1() {
    let identity = Identity::new();
    let origin = Origin::with_tls(&identity, &["http/1.1"]).await;
    let output = post(&origin, &identity, Some("api.example.com")).await;
    assert_eq!(
        output.stdout, "HTTP/1.1 200 OK\nan order\n",
        "{}",
        output.stderr
    );
    assert_eq!(origin.seen()[0].host, "api.example.com");

    let origin = Origin::with_tls(&identity, &["h2", "http/1.1"]).await;
    let output = post(&origin, &identity, Some("api.example.com")).await;
    assert!(
        output.stdout.starts_with("HTTP/2.0 400 Bad Request\n"),
        "{}",
        output.stdout
    );
    assert!(
        output
            .stdout
            .contains("host and the request line name different hosts")
    );
    let warning = format!(
        "warning: signed host \"api.example.com\" is not \"localhost:{}\", the host of the URL, but HTTP/2 \
         sends only the latter",
        origin.address.port(),
    );
    assert!(output.stderr.starts_with(&warning), "{}", output.stderr);
    assert!(origin.seen().is_empty());
}

#[tokio::test]
async fn certificate_of_another_authority_is_rejected() {
    let origin = Origin::with_tls(&Identity::new(), &["h2"]).await;
    let output = post(&origin, &Identity::new(), None).await;
    assert!(
        !output.success && output.stderr.contains("Connect"),
        "{}",
        output.stderr
    );
    assert!(origin.seen().is_empty());
}
