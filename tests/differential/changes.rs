//! Changes of signed requests that a verifier must reject.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fastrand::Rng;
use http::{
    HeaderName, HeaderValue, Method, Request, Uri,
    header::{AUTHORIZATION, HOST},
    request::Parts,
};
use http_body_util::Full;
use tower_sigv4::verify::RejectionKind;

use super::{
    ID,
    botocore::BotocoreSignature,
    case::{Case, UNSIGNED},
};
use crate::common::verify_request;

/// A request that a server receives.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) head: Parts,
    pub(super) body: Vec<u8>,
    pub(super) now: SystemTime,
}

impl Received {
    /// Creates a request that botocore signed, received while it is valid, with the `host` of an HTTP client.
    pub(super) fn new(
        case: &Case,
        botocore_signature: &BotocoreSignature,
        ours: &Parts,
        rng: &mut Rng,
    ) -> Self {
        let uri: Uri = botocore_signature.url.parse().expect("a URI");
        let target = uri.into_parts().path_and_query.expect("a target");
        let mut request = Request::builder().method(case.method).uri(target);
        for (name, value) in &botocore_signature.headers {
            request = request.header(name, value);
        }
        let (mut head, ()) = request.body(()).expect("a request").into_parts();
        head.headers
            .entry(HOST)
            .or_insert_with(|| ours.headers[HOST].clone());
        let age = Duration::from_secs(rng.u64(..=case.expires.unwrap_or(case.clock_window())));
        Self {
            head,
            body: case.body.clone(),
            now: case.time() + age,
        }
    }

    pub(super) async fn verify(&self, case: &Case) -> Result<(), RejectionKind> {
        let body = Full::new(Bytes::from(self.body.clone()));
        verify_request(
            &case.verify_layer(self.now),
            Request::from_parts(self.head.clone(), body),
        )
        .await
    }

    pub(super) fn set_target(&mut self, path: &str, query: Option<&str>) {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        self.head.uri = format!("{path}{query}").parse().expect("a target");
    }

    /// Edits the header or query that contains the signature. The second argument of `edit` is the form of `/` there.
    pub(super) fn edit(&mut self, edit: impl Fn(&str, &str) -> String) {
        if let Some(value) = self.head.headers.get_mut(AUTHORIZATION) {
            let edited = edit(value.to_str().expect("ASCII"), "/");
            *value = edited.parse().expect("a value");
            return;
        }
        let (path, query) = (self.head.uri.path(), self.head.uri.query().expect("signed"));
        let (path, query) = (path.to_owned(), edit(query, "%2F"));
        self.set_target(&path, Some(&query));
    }
}

/// Changes a request, given its canonical request, and returns the expected rejection; `None` if the change does not
/// apply.
type Change = fn(&mut Received, &Case, &str, &mut Rng) -> Option<RejectionKind>;

pub(super) const CHANGES: [(&str, Change); 10] = [
    ("changed: method", |received, _, _, _| {
        let method = format!("{}X", received.head.method);
        received.head.method = Method::from_bytes(method.as_bytes()).expect("a method");
        Some(RejectionKind::SignatureMismatch)
    }),
    ("changed: path", |received, _, _, _| {
        let uri = received.head.uri.clone();
        received.set_target(&format!("{}x", uri.path()), uri.query());
        Some(RejectionKind::SignatureMismatch)
    }),
    ("changed: query", |received, _, _, _| {
        let uri = received.head.uri.clone();
        let query = uri
            .query()
            .map_or("x".to_owned(), |query| format!("{query}&x"));
        received.set_target(uri.path(), Some(&query));
        Some(RejectionKind::SignatureMismatch)
    }),
    ("changed: a signed header", |received, _, canonical, rng| {
        let names: Vec<_> = canonical
            .lines()
            .rev()
            .nth(1)
            .expect("names")
            .split(';')
            .collect();
        let name = names[rng.usize(..names.len())];
        let value = received.head.headers.get_mut(name).expect("present");
        *value = HeaderValue::from_bytes(&[value.as_bytes(), b"x"].concat()).expect("a value");
        Some(match name {
            "x-amz-content-sha256" => RejectionKind::PayloadHash,
            "x-amz-date" => RejectionKind::Date,
            "x-amz-region-set" if value.as_bytes().ends_with(b"*x") => RejectionKind::Malformed,
            "x-amz-security-token" => RejectionKind::SessionToken,
            _ => RejectionKind::SignatureMismatch,
        })
    }),
    ("changed: an unsigned header", |received, _, _, _| {
        let value = HeaderValue::from_static("public-read");
        received
            .head
            .headers
            .insert(HeaderName::from_static("x-amz-acl"), value);
        Some(RejectionKind::HeaderNotSigned)
    }),
    ("changed: body", |received, case, _, rng| {
        received
            .body
            .insert(rng.usize(..=received.body.len()), rng.u8(..));
        match (
            case.payload,
            received.head.headers.contains_key("x-amz-content-sha256"),
        ) {
            (UNSIGNED, _) => None,
            (_, true) => Some(RejectionKind::PayloadMismatch),
            (_, false) => Some(RejectionKind::SignatureMismatch),
        }
    }),
    ("changed: signature", |received, _, _, rng| {
        let at = rng.usize(1..=56); // further left, DER may become invalid
        received.edit(|text, _| {
            let (before, after) = text.split_at(text.len() - at);
            let digit = if after.starts_with('0') { "1" } else { "0" };
            [before, digit, &after[1..]].concat()
        });
        Some(RejectionKind::SignatureMismatch)
    }),
    ("changed: scope", |received, case, _, rng| {
        // The scope of SigV4a has no region.
        let parts = ["aws4_request", case.service, case.region];
        let part = parts[rng.usize(..if case.is_asymmetric() { 2 } else { 3 })];
        received.edit(|text, slash| {
            let at = text.find(&format!("{slash}{part}")).expect("a scope") + slash.len();
            format!("{}x{}", &text[..at], &text[at..])
        });
        Some(RejectionKind::Scope)
    }),
    ("changed: access key id", |received, _, _, _| {
        received.edit(|text, slash| text.replace(&format!("{ID}{slash}"), &format!("X{slash}")));
        Some(RejectionKind::UnknownKey)
    }),
    ("changed: time", |received, case, _, rng| {
        let (valid, late) = (case.expires.unwrap_or(case.clock_window()), rng.bool());
        let seconds = if late { valid } else { case.clock_window() } + rng.u64(1..90);
        let difference = Duration::from_secs(seconds);
        received.now = if late {
            case.time() + difference
        } else {
            case.time() - difference
        };
        Some(if late {
            RejectionKind::Expired
        } else {
            RejectionKind::NotYetValid
        })
    }),
];
