//! Both wire forms of path and query have the same canonical form, and sending a request again does not change it. The
//! first byte selects the service.
#![no_main]

use bytes::Bytes;
use http::{Request, Uri, request::Parts};
use http_body_util::Full;
use libfuzzer_sys::fuzz_target;
use tower_sigv4::{
    origin::{UriOrigin, WireForm},
    sigv4::{Identity, PayloadHash, Signer, SigningParams},
};
use tower_sigv4_fuzz::{HOST, credentials, layer, now, send, settings};

fuzz_target!(|text: &[u8]| {
    let Some((first, target)) = text.split_first() else {
        return;
    };
    let service = if first % 2 == 0 { "execute-api" } else { "s3" };
    let Ok(uri) = Uri::try_from([b"https://", HOST.as_bytes(), target].concat()) else {
        return;
    };
    if uri.authority().is_none_or(|authority| authority != HOST) {
        return;
    }
    let sent = |uri: &Uri, form| {
        let request = Request::get(uri)
            .body(Full::<Bytes>::default())
            .expect("a request");
        let target = UriOrigin::new(settings(service)).with_wire_form(form);
        send(&layer(target), request).map(|sent| sent.into_parts().0)
    };
    let (Ok(preserved), Ok(canonical)) = (
        sent(&uri, WireForm::Preserve),
        sent(&uri, WireForm::Canonical),
    ) else {
        assert!(
            sent(&uri, WireForm::Preserve).is_err() && sent(&uri, WireForm::Canonical).is_err()
        );
        return;
    };
    // Servers decode both to the same path. Services that encode twice do not decode, so that the forms differ.
    if service == "s3" {
        assert_eq!(
            signed(&preserved, service),
            signed(&canonical, service),
            "{uri}"
        );
    }
    let query = |head: &Parts| signed(head, service).split('\n').nth(2).map(str::to_owned);
    assert_eq!(query(&preserved), query(&canonical), "{uri}");
    for (head, form) in [
        (preserved, WireForm::Preserve),
        (canonical, WireForm::Canonical),
    ] {
        let again = sent(&head.uri, form).expect("sent requests can be sent again");
        assert_eq!(again.uri, head.uri, "{uri} {form:?}");
        let text = head.uri.to_string();
        assert!(
            text.is_ascii() && !text.contains(['"', '<', '>', '\\', '^', '`', '{', '|', '}']),
            "{text}"
        );
        assert!(
            !head.uri.query().unwrap_or_default().contains('+'),
            "{text}"
        );
    }
});

/// Returns the canonical request.
fn signed(head: &Parts, service: &str) -> String {
    let settings = settings(service);
    let identity = Identity::new(credentials()).expect("valid");
    let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, now());
    let explanation = Signer::new().explain(head, &params).expect("it has a host");
    String::from_utf8(explanation.canonical_request).expect("ASCII")
}
