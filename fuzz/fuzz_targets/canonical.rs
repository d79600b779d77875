//! Signatures of this crate and aws-sigv4 are equal, except for the inputs that `tests/aws_sigv4_parity` lists. The
//! first byte selects the form of the path.
#![no_main]

use std::sync::LazyLock;

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest,
    SigningSettings as AwsSettings, UriPathNormalizationMode, sign,
};
use aws_smithy_runtime_api::client::identity::Identity as AwsIdentity;
use http::request::Parts;
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;
use tower_sigv4::sigv4::{AllExcept, Identity, PathForm, PayloadHash, Signer, SigningParams};
use tower_sigv4_fuzz::{credentials, head, now, settings};

static SIGNER: LazyLock<Signer> = LazyLock::new(Signer::new);

fuzz_target!(|text: &[u8]| {
    let Some((first, text)) = text.split_first() else {
        return;
    };
    let form = match first % 4 {
        0 => PathForm::Once,
        1 => PathForm::OnceFolded,
        2 => PathForm::Twice,
        _ => PathForm::TwiceFolded,
    };
    let Some(head) = head(text) else { return };
    let settings = settings("service")
        .with_path_form(form)
        .with_signed_headers(AllExcept::default());
    let identity = Identity::new(credentials()).expect("valid");
    let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, now());
    let Ok(explanation) = SIGNER.explain(&head, &params) else {
        return;
    };
    let mut signed = head.clone();
    SIGNER
        .sign(&mut signed, &params)
        .expect("explained requests can be signed");
    let authorization = signed.headers["authorization"].to_str().expect("ASCII");
    assert!(authorization.ends_with(&explanation.signature));
    if agrees(&head, form) {
        let ours = String::from_utf8_lossy(&explanation.canonical_request).into_owned();
        assert_eq!(explanation.signature, theirs(&head, form), "{ours}");
    }
});

/// Returns `false` for inputs that aws-sigv4 signs incorrectly or does not support.
fn agrees(head: &Parts, form: PathForm) -> bool {
    let authority = head
        .uri
        .authority()
        .map_or("", |authority| authority.as_str());
    let is_absolute = head.uri.scheme().is_some(); // aws-sigv4 panics otherwise
    let query = head.uri.query().unwrap_or_default();
    let is_once = matches!(form, PathForm::Once | PathForm::OnceFolded);
    let is_text = |value: &[u8]| str::from_utf8(value).is_ok() && !value.contains(&b'\t');
    let added = [
        "authorization",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
    ];
    is_absolute
        && !authority.contains('@')
        && !authority.ends_with(':')
        && !head
            .uri
            .port()
            .is_some_and(|port| port.as_str().starts_with('0'))
        && percent_decode_str(query).decode_utf8().is_ok()
        && (!is_once || is_encoded_once(head.uri.path()))
        && head.headers.values().all(|value| is_text(value.as_bytes()))
        && !added.iter().any(|name| head.headers.contains_key(*name))
}

/// Returns `true` for a path in the canonical encoding of S3.
fn is_encoded_once(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut parts = path.split('%');
    let is_plain = |text: &str| text.bytes().all(|byte| byte == b'/' || plain(byte));
    is_plain(parts.next().unwrap_or_default())
        && parts.all(|part| {
            let Some((escape, rest)) = part.split_at_checked(2) else {
                return false;
            };
            let is_upper = escape
                .bytes()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'));
            let byte = u8::from_str_radix(escape, 16);
            is_upper && byte.is_ok_and(|byte| !plain(byte) && byte != b'/') && is_plain(rest)
        })
}

fn theirs(head: &Parts, form: PathForm) -> String {
    let mut settings = AwsSettings::default();
    settings.percent_encoding_mode = match form {
        PathForm::Once | PathForm::OnceFolded => PercentEncodingMode::Single,
        _ => PercentEncodingMode::Double,
    };
    let folds = matches!(form, PathForm::OnceFolded | PathForm::TwiceFolded);
    settings.uri_path_normalization_mode = UriPathNormalizationMode::from(folds);
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let identity = AwsIdentity::new(credentials(), None);
    let params = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("service")
        .time(now())
        .settings(settings)
        .build()
        .expect("complete")
        .into();
    let headers = head.headers.iter().map(|(name, value)| {
        (
            name.as_str(),
            str::from_utf8(value.as_bytes()).expect("text"),
        )
    });
    let (method, uri) = (head.method.as_str(), head.uri.to_string());
    let request = SignableRequest::new(method, uri, headers, SignableBody::Bytes(b""));
    sign(request.expect("signable"), &params)
        .expect("signed")
        .into_parts()
        .1
}
