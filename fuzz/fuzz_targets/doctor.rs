//! A rejection in JSON, XML or another format with its request, and an exchange as printed by curl, saved by a browser or
//! logged by a client. The doctor never panics, and no diagnosis contains the session token. The first byte selects a
//! status.
#![no_main]

use http::{HeaderMap, HeaderValue, StatusCode};
use libfuzzer_sys::fuzz_target;
use sigv4_gateway::explain;
use tower_sigv4::doctor::{Rejection, SignedRequest, diagnose};
use tower_sigv4_fuzz::head;

const TOKEN: &str = "IQoJb3JpZ2luX2VjEJr//////////wEaCXVzLWVhc3QtMSJHMEUCIQ";
const STATUSES: [StatusCode; 4] = [
    StatusCode::FORBIDDEN,
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::MOVED_PERMANENTLY,
];

fuzz_target!(|text: &[u8]| {
    let Some((first, text)) = text.split_first() else {
        return;
    };
    if let Ok(saved) = str::from_utf8(text)
        && let Ok((text, json)) = explain(saved)
    {
        assert!(
            json["diagnosis"].is_object() || json["note"].is_string(),
            "{json}"
        );
        assert!(!text.is_empty());
    }
    // A head, a blank line, and the body of the response.
    let end = text.windows(2).position(|pair| pair == b"\n\n");
    let (sent, body) = end.map_or((&text[..0], text), |end| (&text[..end], &text[end + 2..]));
    let sent = head(sent).and_then(|mut head| {
        head.headers
            .insert("x-amz-security-token", HeaderValue::from_static(TOKEN));
        SignedRequest::from_parts(&head, None).ok()
    });
    let rejection =
        Rejection::from_response(STATUSES[usize::from(first % 4)], &HeaderMap::new(), body);
    let with_secret = sent
        .clone()
        .map(|request| request.with_secret_access_key("secret"));
    for sent in [None, sent.as_ref(), with_secret.as_ref()] {
        if let Some(diagnosis) = diagnose(&rejection, sent) {
            assert!(!diagnosis.summary().is_empty() && !diagnosis.remedies().is_empty());
            let output = format!("{diagnosis:?} {}", diagnosis.summary());
            assert!(!output.contains(TOKEN), "{output}");
        }
    }
});
