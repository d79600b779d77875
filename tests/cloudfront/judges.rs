//! Two verifiers of a delivered request: `VerifyLayer`, and the signature of aws-sigv4.

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest,
    UriPathNormalizationMode, sign,
};
use aws_smithy_runtime_api::client::identity::Identity as SmithyIdentity;
use bytes::Bytes;
use http::{HeaderName, Request};
use http_body_util::Full;
use tower_sigv4::{
    Clock, VerifyLayer,
    sigv4::SessionToken,
    verify::{StaticKeys, VerifySettings},
};

use super::events::temporary;
use crate::common::{header, now, verify_request};

/// Service and region of a signature.
pub(super) type Scope = (&'static str, &'static str);

/// Asserts that both accept the request.
pub(super) async fn accept(name: &str, request: Request<Bytes>, scope: Scope) {
    let (head, body) = request.into_parts();
    let authorization = header(&head.headers, "authorization");
    let (_, signature) = authorization.split_once("Signature=").expect("signed");
    let signed = Request::from_parts(head.clone(), body.clone());
    assert_eq!(
        signature,
        aws_signature(&signed, scope),
        "{name}: aws-sigv4"
    );
    let received = Request::from_parts(head, Full::new(body));
    assert_eq!(
        verify_request(&verifier(scope), received).await,
        Ok(()),
        "{name}"
    );
}

pub(super) fn verifier((service, region): Scope) -> VerifyLayer {
    let settings = VerifySettings::new(service, region)
        .and_then(|settings| settings.add_unsigned_header(HeaderName::from_static("x-amz-cf-id")))
        .expect("valid")
        .with_session_token(SessionToken::Signed)
        .with_unsigned_payload(true);
    let keys = StaticKeys::new([temporary()]).expect("valid");
    VerifyLayer::new(keys, settings).with_clock(Clock::manual(now()))
}

/// Returns the signature of aws-sigv4 for the signed headers of a request.
fn aws_signature(request: &Request<Bytes>, (service, region): Scope) -> String {
    let authorization = header(request.headers(), "authorization");
    let names = authorization
        .split_once("SignedHeaders=")
        .and_then(|(_, rest)| rest.split_once(','))
        .expect("signed headers")
        .0;
    let own = ["x-amz-content-sha256", "x-amz-date", "x-amz-security-token"];
    let headers = names
        .split(';')
        .filter(|name| !own.contains(name))
        .flat_map(|name| {
            let values = request.headers().get_all(name).iter();
            values.map(move |value| (name, value.to_str().expect("ASCII")))
        });
    let mut settings = aws_sigv4::http_request::SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    let identity = SmithyIdentity::new(temporary(), None);
    let params = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(now())
        .settings(settings)
        .build()
        .expect("complete")
        .into();
    let body = match header(request.headers(), "x-amz-content-sha256") {
        "UNSIGNED-PAYLOAD" => SignableBody::UnsignedPayload,
        _ => SignableBody::Bytes(request.body()),
    };
    let uri = format!(
        "https://{}{}",
        header(request.headers(), "host"),
        request.uri()
    );
    let signable =
        SignableRequest::new(request.method().as_str(), uri, headers, body).expect("a request");
    sign(signable, &params).expect("signed").into_parts().1
}
