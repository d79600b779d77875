//! Canonical requests of known signers.

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use sha2::{Digest, Sha256};
use tower_sigv4::{
    doctor::{Cause, SignedRequest, diagnose},
    sigv4::{Payload, PayloadHash},
};

use crate::{
    clients::{DATE, head, opaque},
    common::{HOST, credentials, now},
};

/// Service, target, headers, canonical path, query and headers of the client, cause's part, signer.
type Row = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static str,
    &'static str,
);

/// The texts are written by hand from the source that `src/doctor/client_forms/signers.rs` names.
const FORMS: &[Row] = &[
    (
        "es",
        "/_cat/indices?v&h=a:b",
        &[("user-agent", "curl/7.81.0"), ("host", "localhost:9200")],
        "/_cat/indices\nv&h=a:b\nhost:localhost\n",
        "host",
        "curl 7.75 to 7.85",
    ),
    (
        "es",
        "/_cat/indices?v&h=a:b",
        &[("user-agent", "curl/8.5.0")],
        "/_cat/indices\nh=a%3Ab&v\nhost:HOST\n",
        "query",
        "curl 8.3 to 8.8",
    ),
    (
        "es",
        "/a%20b?x=1+1",
        &[("user-agent", "curl/8.12.1")],
        "/a%20b\nx=1%2B1\nhost:HOST\n",
        "path",
        "curl 8.9 to 8.13",
    ),
    (
        "es",
        "/a?x=1%2B1",
        &[("user-agent", "curl/8.14.1")],
        "/a\nx=1%201\nhost:HOST\n",
        "query",
        "curl 8.14 to 8.18",
    ),
    (
        "es",
        "/x//y%20z?v&b=2&a=1",
        &[("user-agent", "curl/8.19.0")],
        "/x//y%2520z\na=1&b=2&v=\nhost:HOST\n",
        "path",
        "curl 8.19 and later",
    ),
    (
        "execute-api",
        "/a//b",
        &[("user-agent", "Go-http-client/1.1")],
        "/a//b\n\nhost:HOST\n",
        "path",
        "the AWS SDKs for Go and Java, version 1, and aws-sigv4-proxy",
    ),
    (
        "execute-api",
        "/a?q=a:b&c=d",
        &[("user-agent", "Boto3/1.34.0")],
        "/a\nc=d&q=a:b\nhost:HOST\n",
        "query",
        "botocore",
    ),
    (
        "s3",
        "/a?x=1&x=2",
        &[("user-agent", "PostmanRuntime/7.36.0")],
        "/a\nx=1\nhost:HOST\n",
        "query",
        "aws4 (Postman, Insomnia)",
    ),
    (
        "s3",
        "/a//b",
        &[("user-agent", "python-requests/2.32")],
        "/a/b\n\nhost:HOST\n",
        "path",
        "requests-aws4auth",
    ),
    (
        "execute-api",
        "/a//b?q=a:b&c=d",
        &[
            ("user-agent", "python-requests/2.32"),
            ("host", "localhost:8443"),
        ],
        "/a//b\nc=d&q=a:b\nhost:localhost\n",
        "host",
        "aws-requests-auth",
    ),
    (
        "s3",
        "/a%20b",
        &[
            ("user-agent", "python-requests/2.32"),
            ("host", "localhost:8443"),
        ],
        "/a%2520b\n\nhost:localhost\n",
        "path",
        "aws-requests-auth",
    ),
    (
        "execute-api",
        "/a//b/../c",
        &[],
        "/a/b/../c\n\nhost:HOST\n",
        "path",
        "Envoy",
    ),
    (
        "s3",
        "/a%20b",
        &[],
        "/a%2520b\n\nhost:HOST\n",
        "path",
        "Envoy",
    ),
    (
        "s3",
        "/a%20b?c=%2F",
        &[],
        "/a%2520b\nc=%252F\nhost:HOST\n",
        "path",
        "ngx_aws_auth",
    ),
    (
        "execute-api",
        "/a",
        &[
            ("x-note", "a \"b   c\""),
            ("user-agent", "python-requests/2.32"),
        ],
        "/a\n\nhost:HOST\nx-note:a \"b   c\"\n",
        "header x-note",
        "requests-aws4auth",
    ),
    (
        "execute-api",
        "/a",
        &[("x-note", "1"), ("x-note", "2"), ("user-agent", "node")],
        "/a\n\nhost:HOST\nx-note:1, 2\n",
        "header x-note",
        "aws4fetch",
    ),
    (
        "execute-api",
        "/a",
        &[("x-note", "a   b")],
        "/a\n\nhost:HOST\nx-note:a   b\n",
        "header x-note",
        "",
    ),
    // Forms of signers that people write themselves.
    (
        "execute-api",
        "/a?q=x%20y",
        &[],
        "/a\nq=x+y\nhost:HOST\n",
        "query",
        "",
    ),
    (
        "execute-api",
        "/a%28b?q=%28x%2A",
        &[],
        "/a%2528b\nq=(x*\nhost:HOST\n",
        "query",
        "",
    ),
    (
        "execute-api",
        "/a(b)",
        &[("x-note", "a   b")],
        "/a(b)\n\nhost:HOST\nx-note:a   b\n",
        "path",
        "curl 7.86 to 8.2",
    ),
    (
        "execute-api",
        "/a?b=1:2&a=3:4",
        &[],
        "/a\nb=1%3A2&a=3%3A4\nhost:HOST\n",
        "query",
        "",
    ),
    (
        "execute-api",
        "/a",
        &[],
        "/a\n\nhost:HOST:443\n",
        "host",
        "",
    ),
];

#[test]
fn forms_of_known_signers_are_recognized() {
    let key = credentials();
    for (service, target, headers, canonical, part, signer) in FORMS {
        let has_note = headers.iter().any(|(name, _)| *name == "x-note");
        let names = if has_note { ";x-note" } else { "" };
        let lines = canonical.replace("HOST", HOST);
        let (before, notes) = match lines.find("x-note") {
            Some(at) => lines.split_at(at),
            None => (&*lines, ""),
        };
        let hash = PayloadHash::EMPTY;
        let client =
            format!("GET\n{before}x-amz-date:{DATE}\n{notes}\nhost;x-amz-date{names}\n{hash}");
        let digest: String = Sha256::digest(&client)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let scope = format!("20150830/us-east-1/{service}/aws4_request");
        let to_sign = format!("AWS4-HMAC-SHA256\n{DATE}\n{scope}\n{digest}");
        let signing_key =
            generate_signing_key(key.secret_access_key(), now(), "us-east-1", service);
        let signature = calculate_signature(signing_key, to_sign.as_bytes());
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders=host;x-amz-date{names}, \
             Signature={signature}"
        );
        let own = [("x-amz-date", DATE), ("authorization", &*authorization)];
        let has_host = headers.iter().any(|(name, _)| *name == "host");
        let hosts: &[_] = if has_host { &[] } else { &[("host", HOST)] };
        let all = [&own, *headers, hosts].concat();
        let request = SignedRequest::from_parts(&head(target, &all), Some(Payload::Hash(hash)))
            .expect("signed")
            .with_secret_access_key(key.secret_access_key());
        let diagnosis = diagnose(&opaque(), Some(&request)).expect("a mismatch");
        assert_eq!(
            diagnosis.cause(),
            Cause::ClientForm,
            "{target}: {diagnosis}"
        );
        assert_eq!(
            diagnosis.client_canonical_request(),
            Some(&*client),
            "{target}"
        );
        let forms = diagnosis.client_forms();
        let form = forms
            .iter()
            .find(|form| form.part == *part)
            .unwrap_or_else(|| panic!("{target}: {forms:?}"));
        assert!(
            form.signers.contains(signer) || signer.is_empty() && form.signers.is_empty(),
            "{target}: {form:?}"
        );
    }
}
