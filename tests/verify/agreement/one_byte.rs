//! Requests with one changed byte are rejected.

use std::time::SystemTime;

use fastrand::Rng;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header, request::Parts};
use percent_encoding::percent_decode_str;
use tower_sigv4::{
    sigv4::{AllExcept, Identity, PayloadHash, Signer, SigningParams},
    verify::{Rejection, Verifier},
};

use super::{ROUNDS, V4, Version, random_method};
use crate::common::{self, credentials};

/// Places of a signed request in which one byte is changed.
struct Received {
    head: Parts,
    body: Vec<u8>,
}

#[test]
fn one_changed_byte_is_rejected() {
    change(V4, ROUNDS, &PLACES);
}

#[cfg(feature = "sigv4a")]
#[test]
fn one_changed_byte_is_rejected_in_version_4a() {
    let regions: Place = |received, rng| flip_header(received, "x-amz-region-set", rng);
    let places: Vec<_> = PLACES.into_iter().chain([regions]).collect();
    change(super::V4A, super::ROUNDS_4A, &places);
}

fn change(version: Version, rounds: usize, places: &[Place]) {
    let mut rng = Rng::with_seed(0x5197_0007);
    let now = common::now();
    let verifiers = ["execute-api", "s3"]
        .map(|service| Verifier::new((version.verify)(service).with_unsigned_payload(true)));
    let signer = Signer::new();
    let identity = Identity::new(credentials()).expect("valid");
    let (mut refused, mut changed) = (vec![0; places.len()], 0);
    while changed < rounds {
        let s3 = rng.usize(..2);
        let service = ["execute-api", "s3"][s3];
        let settings = (version.sign)(service)
            .with_payload_header(s3 == 1 || rng.bool())
            .with_signed_headers(AllExcept::default());
        let mut request = Request::builder()
            .method(random_method(&mut rng))
            .uri(format!(
                "/a{}/b:c/%C3%A9?q={}&r=x%20y&s",
                rng.u32(..),
                rng.u32(..)
            ))
            .header("host", "api.example.com")
            .header("x-amz-meta-a", format!("v {}", rng.u32(..)));
        if rng.bool() {
            request = request.header("content-type", "text/plain");
        }
        let (mut head, ()) = request.body(()).expect("a request").into_parts();
        let body: Vec<u8> = (0..rng.usize(1..50)).map(|_| rng.u8(..)).collect();
        let payload = PayloadHash::of(&body);
        signer
            .sign(
                &mut head,
                &SigningParams::new(&settings, &identity, payload, now),
            )
            .expect("signed");
        let mut received = Received { head, body };
        let verifier = &verifiers[s3];
        verify(verifier, &received, now).expect("valid");

        let place = rng.usize(..places.len());
        let before = (received.head.clone(), received.body.clone());
        if !(places[place])(&mut received, &mut rng) {
            continue; // the result is not a request, or an equivalent one
        }
        let verified = verify(verifier, &received, now);
        assert!(
            verified.is_err(),
            "{place}: {before:?} became {:?}",
            received.head
        );
        refused[place] += 1;
        changed += 1;
    }
    assert!(
        refused.iter().all(|count| *count > rounds / 50),
        "{refused:?}"
    );
}

fn verify(verifier: &Verifier, received: &Received, now: SystemTime) -> Result<(), Rejection> {
    let claim = verifier.parse(&received.head, now)?;
    verifier
        .verify(claim, &credentials(), &PayloadHash::of(&received.body))
        .map(drop)
}

type Place = fn(&mut Received, &mut Rng) -> bool;

/// Method, path, query, host, a signed header, date, credential, signed names, signature, body.
const PLACES: [Place; 10] = [
    |received, rng| {
        let method = flip(received.head.method.as_str(), rng);
        method
            .and_then(|method| Method::from_bytes(&method).ok())
            .is_some_and(|method| {
                received.head.method = method;
                true
            })
    },
    |received, rng| {
        let (path, query) = target(received);
        let Some(flipped) = flip(&path, rng).and_then(text) else {
            return false;
        };
        let s3 = received.head.headers["authorization"]
            .to_str()
            .expect("ASCII")
            .contains("/s3/");
        // For the S3 family, paths are equal if their segments decode to the same bytes.
        let same = s3
            && percent_decode_str(&flipped).eq(percent_decode_str(&path))
            && flipped.matches('/').count() == path.matches('/').count();
        !same && set_target(received, &flipped, &query)
    },
    |received, rng| {
        let (path, query) = target(received);
        let Some(flipped) = flip(&query, rng).and_then(text) else {
            return false;
        };
        // Queries are equal if their sets of decoded pairs are.
        let pairs = |query: &str| {
            let pairs = query
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let pair = pair.replace('+', "%20");
                    let (key, value) = pair.split_once('=').unwrap_or((&pair, ""));
                    (
                        percent_decode_str(key).collect(),
                        percent_decode_str(value).collect(),
                    )
                });
            let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = pairs.collect();
            pairs.sort();
            pairs
        };
        pairs(&query) != pairs(&flipped) && set_target(received, &path, &flipped)
    },
    |received, rng| flip_header(received, "host", rng),
    |received, rng| flip_header(received, "x-amz-meta-a", rng),
    |received, rng| flip_header(received, "x-amz-date", rng),
    |received, rng| flip_field(received, "Credential=", rng),
    |received, rng| flip_field(received, "SignedHeaders=", rng),
    |received, rng| flip_field(received, "Signature=", rng),
    |received, rng| {
        let at = rng.usize(..received.body.len());
        received.body[at] ^= rng.u8(1..);
        true
    },
];

fn text(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes).ok()
}

fn flip(text: &str, rng: &mut Rng) -> Option<Vec<u8>> {
    let mut bytes = text.as_bytes().to_vec();
    let at = rng.usize(..bytes.len());
    bytes[at] ^= if rng.bool() {
        1 << rng.u8(..8)
    } else {
        rng.u8(1..)
    };
    Some(bytes)
}

fn target(received: &Received) -> (String, String) {
    let uri = &received.head.uri;
    (uri.path().to_owned(), uri.query().expect("one").to_owned())
}

fn set_target(received: &mut Received, path: &str, query: &str) -> bool {
    let Ok(uri) = Uri::try_from(format!("{path}?{query}")) else {
        return false;
    };
    received.head.uri = uri;
    // A `?` or `#` would end the path.
    target_is(received, path, query)
}

fn target_is(received: &Received, path: &str, query: &str) -> bool {
    let uri = &received.head.uri;
    (uri.path(), uri.query()) == (path, Some(query))
}

fn flip_header(received: &mut Received, name: &'static str, rng: &mut Rng) -> bool {
    let before = received.head.headers[name]
        .to_str()
        .expect("ASCII")
        .to_owned();
    let Some(flipped) = flip(&before, rng) else {
        return false;
    };
    let words = |value: &[u8]| -> Vec<Vec<u8>> {
        let words = value.split(|byte| matches!(byte, b' ' | b'\t'));
        words
            .filter(|word| !word.is_empty())
            .map(<[u8]>::to_vec)
            .collect()
    };
    if words(&flipped) == words(before.as_bytes()) {
        return false; // runs of white space are equivalent
    }
    let Ok(value) = HeaderValue::from_bytes(&flipped) else {
        return false;
    };
    received
        .head
        .headers
        .insert(HeaderName::from_static(name), value);
    true
}

/// Flips a byte in a field of the authorization.
fn flip_field(received: &mut Received, field: &str, rng: &mut Rng) -> bool {
    let value = received.head.headers["authorization"]
        .to_str()
        .expect("ASCII")
        .to_owned();
    let start = value.find(field).expect("a field") + field.len();
    let end = value[start..]
        .find(',')
        .map_or(value.len(), |len| start + len);
    let Some(flipped) = flip(&value[start..end], rng) else {
        return false;
    };
    let value = [
        &value.as_bytes()[..start],
        &flipped,
        &value.as_bytes()[end..],
    ]
    .concat();
    let Ok(value) = HeaderValue::from_bytes(&value) else {
        return false;
    };
    received.head.headers.insert(header::AUTHORIZATION, value);
    true
}
