//! Matching of rules and rewriting of paths. No server reads a rewritten path as one outside of the origin's prefix.
#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;
use tower_sigv4::{
    Origin, SigningLayer,
    origin::{OriginRule, OriginRules},
};
use tower_sigv4_fuzz::{HOST, head, layer, send, settings};

const SERVICES: [&str; 2] = ["execute-api", "s3"];

static RULES: LazyLock<OriginRules> = LazyLock::new(|| {
    let origin = |stage: &str, service: &str| {
        Origin::new(&format!("https://{HOST}/{stage}"), settings(service)).expect("an origin")
    };
    SERVICES.iter().fold(OriginRules::new(), |rules, service| {
        let path = |prefix: &str| OriginRule::path(&format!("/{service}{prefix}")).expect("a path");
        let host = OriginRule::path("/a").and_then(|rule| rule.with_host("*.example.com"));
        rules
            .add_rule(path("/admin"), origin("admin", service))
            .add_rule(path("/public").strip_prefix(), origin("public", service))
            .add_rule(
                path("/v%31")
                    .strip_prefix()
                    .add_prefix("/b")
                    .expect("a path"),
                origin("c", service),
            )
            .add_rule(host.expect("a host"), origin("host", service))
    })
});

static LAYER: LazyLock<SigningLayer> = LazyLock::new(|| layer(RULES.clone()));

fuzz_target!(|text: &[u8]| {
    if let Ok(text) = str::from_utf8(text) {
        let _ = OriginRule::path(text).map(|rule| rule.with_host(text).map(drop));
        let _ = OriginRule::any().add_prefix(text);
        let _ = Origin::infer(text);
    }
    let Some(mut head) = head(text) else { return };
    head.headers.remove("upgrade");
    let Ok(position) = RULES.position(&head) else {
        return;
    };
    let prefix = ["/admin", "/public", "/c/b", "/host"][position % 4];
    let Ok(sent) = send(
        &LAYER,
        Request::from_parts(head.clone(), Full::<Bytes>::default()),
    ) else {
        return;
    };
    let path = sent.uri().path();
    assert!(is_under(path, prefix), "{path} is not under {prefix}");
    // S3 does not fold paths: dots are part of its keys.
    if position < 4 {
        let folded = fold(path);
        assert!(
            is_under(&folded, prefix),
            "{path} folds to {folded}, not under {prefix}"
        );
    }
});

fn is_under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Decodes each segment, then folds the path (RFC 3986, section 5.2.4).
fn fold(path: &str) -> String {
    let mut folded: Vec<String> = Vec::new();
    for segment in path.split('/').skip(1) {
        match &*percent_decode_str(segment).decode_utf8_lossy() {
            "" | "." => {}
            ".." => drop(folded.pop()),
            other => folded.push(other.to_owned()),
        }
    }
    format!("/{}", folded.join("/"))
}
