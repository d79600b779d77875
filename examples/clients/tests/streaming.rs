//! A request whose body is sent while its response is received.

mod support;

use http::{Version, header::TE};
use support::{CREDENTIALS, Origin, credentials, run};
use tower_sigv4::verify::PayloadKind;

#[tokio::test]
async fn frames_are_echoed_one_by_one_and_trailers_follow() {
    let origin = Origin::start(credentials(), "vpc-lattice-svcs").await;
    let arguments = [&*origin.url(), "one", "two", "three"];
    let output = run(env!("CARGO_BIN_EXE_streaming"), &arguments, &CREDENTIALS).await;
    assert_eq!(
        output.stdout,
        "HTTP/2.0 200 OK\ngot one\ngot two\ngot three\n\
         trailers: {\"words\": \"3\", \"conversation\": \"over\"}\n",
        "{}",
        output.stderr,
    );

    let [seen] = &origin.seen()[..] else {
        panic!("one request")
    };
    assert_eq!(seen.version, Version::HTTP_2);
    assert_eq!(seen.verified.payload(), PayloadKind::Unsigned);
    assert_eq!(seen.headers[TE], "trailers");
    assert!(!seen.headers.contains_key("content-length"));
}
