//! The form that a client's body has at the origin. A request that is sent is signed by exactly one mechanism, its
//! framing headers agree, and a body that ends without an error passes verification.
//!
//! The first byte selects the origin, the second the size of the body's declared length. A head in the format of AWS's
//! suite and a body follow, separated by an empty line.
#![no_main]

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, request::Parts};
use http_body_util::{BodyExt, Empty, Full};
use libfuzzer_sys::fuzz_target;
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, ErrorKind, Origin, VerifyLayer,
    body::VerifiedBody,
    origin::{MirrorPresigned, PayloadMode},
    verify::{RejectionKind, StaticKeys, VerifySettings},
};
use tower_sigv4_fuzz::{credentials, head, layer, now, run, send};

const ORIGINS: [(&str, &str, &str); 7] = [
    ("https://s3.us-east-1.amazonaws.com", "s3", "us-east-1"),
    ("http://s3.us-east-1.amazonaws.com", "s3", "us-east-1"),
    ("https://s3.example.com", "s3", "us-east-1"),
    ("http://s3.example.com", "s3", "us-east-1"),
    (
        "https://abc123.execute-api.us-east-1.amazonaws.com",
        "execute-api",
        "us-east-1",
    ),
    (
        "https://a.mrap.accesspoint.s3-global.amazonaws.com",
        "s3",
        "us-east-1",
    ),
    (
        "https://a.7d67968.vpc-lattice-svcs.us-east-1.on.aws",
        "vpc-lattice-svcs",
        "us-east-1",
    ),
];

/// Bodies above it are not buffered.
const LIMIT: u64 = 64;

fuzz_target!(|text: &[u8]| {
    let [selected, rest @ ..] = text else {
        return;
    };
    let (url, service, region) = ORIGINS[usize::from(*selected) % ORIGINS.len()];
    let form = if *selected < 128 {
        MirrorPresigned::Header
    } else {
        MirrorPresigned::Query
    };
    let split = rest.windows(2).position(|at| at == b"\n\n");
    let (lines, body) = match split {
        Some(at) => (&rest[..at], &rest[at + 2..]),
        None => (rest, &[][..]),
    };
    let Some(received) = head(lines) else {
        return;
    };
    let origin = if url.contains("example.com") {
        Origin::new(url, tower_sigv4_fuzz::settings("s3"))
    } else {
        Origin::infer(url)
    };
    let mirrored = origin
        .expect("an origin")
        .with_payload(PayloadMode::Mirror)
        .with_mirrored_presign(form)
        .with_body_limit(LIMIT);
    let request = Request::from_parts(received, Full::from(body.to_vec()));
    let sent = match send(&layer(mirrored), request) {
        Ok(sent) => sent,
        Err(error) => {
            let own = tower_sigv4::Error::find(&*error).expect("an error of the layer");
            assert_ne!(own.kind(), ErrorKind::Config, "{own}");
            return;
        }
    };
    let (sent_head, sent_body) = sent.into_parts();
    check_mechanism(&sent_head);
    check_framing(&sent_head.headers);
    let Ok(collected) = run(sent_body.collect()) else {
        return; // it does not match its declaration
    };
    let encoded = collected.to_bytes();
    if let Some(length) = sent_head.headers.get("content-length") {
        assert_eq!(length.to_str().expect("digits"), encoded.len().to_string());
    }
    let request = Request::from_parts(sent_head.clone(), Full::from(encoded));
    let rejection = verify(service, region, request);
    // These need no signature to be rejected.
    let is_ambiguous = matches!(
        rejection,
        Some(RejectionKind::Target | RejectionKind::HeaderNotSigned | RejectionKind::Malformed)
    );
    assert!(
        rejection.is_none() || is_ambiguous,
        "{rejection:?} {sent_head:?}"
    );
});

/// One signature of ours, and none of the client.
fn check_mechanism(head: &Parts) {
    let query = head.uri.query().unwrap_or_default();
    let count = |key: &str| {
        let keys = query.split('&').map(|pair| pair.split('=').next());
        keys.filter(|found| *found == Some(key)).count()
    };
    let in_query = count("X-Amz-Signature");
    let in_headers = head.headers.get_all("authorization").iter().count();
    assert_eq!(in_query + in_headers, 1, "{head:?}");
    if let Some(authorization) = head.headers.get("authorization") {
        let text = authorization.to_str().expect("ASCII");
        assert!(text.contains("Credential=AKIDEXAMPLE/"), "{text}");
    } else {
        assert!(query.contains("X-Amz-Credential=AKIDEXAMPLE%2F"), "{query}");
    }
    let has_version_2 = count("AWSAccessKeyId") > 0 && count("Signature") > 0;
    assert!(!has_version_2, "{query}");
    for name in ["x-amz-security-token", "x-amz-s3session-token"] {
        assert!(!head.headers.contains_key(name), "{name}");
    }
}

fn check_framing(headers: &HeaderMap) {
    let declared = headers
        .get("x-amz-content-sha256")
        .map_or(&[][..], |value| value.as_bytes());
    let is_framed = declared.starts_with(b"STREAMING-");
    let coding = headers.get_all("content-encoding").iter().any(|value| {
        let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        text.split(',').any(|coding| coding.trim() == "aws-chunked")
    });
    assert_eq!(coding, is_framed);
    assert_eq!(
        headers.contains_key("x-amz-decoded-content-length"),
        is_framed
    );
    assert_eq!(
        headers.contains_key("x-amz-trailer"),
        declared.ends_with(b"-TRAILER")
    );
    assert!(!is_framed || headers.contains_key("content-length"));
}

/// Returns the kind of a rejection.
fn verify(service: &str, region: &str, request: Request<Full<Bytes>>) -> Option<RejectionKind> {
    let settings = VerifySettings::new(service, region)
        .expect("a scope")
        .with_unsigned_payload(true)
        .with_sigv4a(true);
    let inner = service_fn(async |verified: Request<VerifiedBody<Full<Bytes>>>| {
        verified.into_body().collect().await.expect("verified");
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let verifier = VerifyLayer::new(StaticKeys::new([credentials()]).expect("valid"), settings)
        .with_clock(Clock::manual(now()));
    let Ok(response) = run(verifier.layer(inner).oneshot(request));
    response.extensions().get().copied()
}
