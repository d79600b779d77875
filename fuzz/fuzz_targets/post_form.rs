//! Forms with a signed policy. Frames do not change the decision; an accepted form reaches the service as it was sent, and
//! its file is all but its fields.
//!
//! The first byte selects the size of the frames. A policy and a form follow, separated by an empty line. In the form,
//! `{policy}` and `{signature}` stand for the policy and its signature.
#![no_main]

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use libfuzzer_sys::fuzz_target;
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, VerifyLayer,
    body::VerifiedBody,
    verify::{StaticKeys, VerifiedForm, VerifySettings},
};
use tower_sigv4_fuzz::{Frames, credentials, now, run};

const BOUNDARY: &str = "b";

fuzz_target!(|text: &[u8]| {
    let [size, rest @ ..] = text else {
        return;
    };
    let Some(at) = rest.windows(2).position(|two| two == b"\n\n") else {
        return;
    };
    let policy = BASE64_STANDARD.encode(&rest[..at]);
    let key = generate_signing_key(credentials().secret_access_key(), now(), "us-east-1", "s3");
    let signature = calculate_signature(key, policy.as_bytes());
    let form = replace(&rest[at + 2..], b"{policy}", policy.as_bytes());
    let form = replace(&form, b"{signature}", signature.as_bytes());
    let size = usize::from(*size).max(1);

    // A form that is known to be too large is rejected; otherwise its body ends in an error.
    let whole = receive(&form, form.len(), |body| body);
    assert_eq!(whole, receive(&form, size, |body| body));
    let file = receive(&form, size, VerifiedBody::into_form_file);
    let Some((fields, body)) = whole else {
        assert_eq!(file, None);
        return;
    };
    let (same_fields, content) = file.expect("the same form");
    assert_eq!(fields, same_fields);
    assert_eq!(body, form);
    let end = [&content[..], b"\r\n--b--"].concat();
    let trimmed = body.strip_suffix(b"\r\n").unwrap_or(&body);
    assert!(trimmed.ends_with(&end), "the file is the end of the form");
});

/// Fields and body.
type Read = (Vec<(String, String)>, Vec<u8>);

/// Returns the form that the inner service reads, or `None` if it is rejected or its body ends in an error.
fn receive(
    form: &[u8],
    size: usize,
    choose: fn(VerifiedBody<Frames>) -> VerifiedBody<Frames>,
) -> Option<Read> {
    let settings = VerifySettings::new("s3", "us-east-1")
        .expect("a scope")
        .with_post_policy(true);
    let keys = StaticKeys::new([credentials()]).expect("valid");
    let read = Arc::new(Mutex::new(None));
    let slot = read.clone();
    let inner = service_fn(move |request: Request<VerifiedBody<Frames>>| {
        let slot = slot.clone();
        async move {
            let verified = request.extensions().get::<VerifiedForm>().cloned();
            let fields = verified.expect("a form");
            let pairs = fields
                .fields()
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
            let pairs: Vec<_> = pairs.collect();
            assert!(
                pairs
                    .iter()
                    .all(|(name, _)| name != "policy" && name != "x-amz-signature")
            );
            let body = choose(request.into_body()).collect().await;
            let read = body.map(|collected| (pairs, collected.to_bytes().to_vec()));
            *slot.lock().expect("not poisoned") = read.ok();
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let frames = form.chunks(size.max(1)).map(Bytes::copy_from_slice);
    let request = Request::post("https://s3.example.com/bucket")
        .header(
            "content-type",
            format!("multipart/form-data; boundary={BOUNDARY}"),
        )
        .body(Frames(frames.collect()))
        .expect("valid");
    let layer = VerifyLayer::new(keys, settings).with_clock(Clock::manual(now()));
    run(layer.layer(inner).oneshot(request)).expect("infallible");
    read.lock().expect("not poisoned").take()
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    match text.windows(from.len()).position(|part| part == from) {
        Some(at) => [&text[..at], to, &text[at + from.len()..]].concat(),
        None => text.to_vec(),
    }
}
