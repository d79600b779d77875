//! Events of CloudFront: a signed request has a valid signature as CloudFront sends it, and signing it again changes
//! nothing. The first byte selects the service.
#![no_main]

use http::{Request, Uri, request::Parts};
use libfuzzer_sys::fuzz_target;
use tower_sigv4::{
    cloudfront::{EdgeEvent, EdgeResponse, EdgeSettings, EdgeSigner, hash_json},
    sigv4::{Identity, PayloadHash},
    verify::{Verifier, VerifySettings},
};
use tower_sigv4_fuzz::{credentials, now, settings};

fuzz_target!(|text: &[u8]| {
    let Some((first, json)) = text.split_first() else {
        return;
    };
    let service = if first % 2 == 0 { "execute-api" } else { "s3" };
    let _ = hash_json(json);
    let signer = EdgeSigner::new(EdgeSettings::new().with_signing_settings(settings(service)));
    let identity = Identity::new(credentials()).expect("valid");
    let request = match signer.sign_json(json, &identity, now()) {
        Ok(request) => request,
        Err(error) => {
            assert!(
                EdgeResponse::from_error(&error)
                    .to_json()
                    .contains("__type")
            );
            return;
        }
    };
    let event = format!(
        r#"{{"Records":[{{"cf":{{"config":{{"eventType":"origin-request"}},"request":{request}}}}}]}}"#
    );
    let again = signer.sign_json(event.as_bytes(), &identity, now());
    assert_eq!(again.expect("signed again"), request);

    let event = EdgeEvent::from_json(event.as_bytes()).expect("an event");
    let received = event.to_http().expect("a request");
    let payload = PayloadHash::of(received.body());
    let head = with_origin_path(received, &event);
    let verifier = Verifier::new(VerifySettings::new(service, "us-east-1").expect("valid"));
    // A viewer's own headers may be of a kind that the verifier rejects, such as `x_amz_date`.
    if let Ok(parsed) = verifier.parse(&head, now()) {
        let verified = verifier.verify(parsed, &credentials(), &payload);
        assert!(verified.is_ok(), "{head:?} {verified:?}");
    }
});

fn with_origin_path(request: Request<bytes::Bytes>, event: &EdgeEvent) -> Parts {
    let (mut head, _) = request.into_parts();
    let origin = event.request.origin.as_ref().expect("it is signed for");
    let custom = origin.custom.as_ref().map(|custom| &custom.path);
    let path = custom.or(origin.s3.as_ref().map(|bucket| &bucket.path));
    let target = format!("{}{}", path.expect("an origin"), head.uri);
    head.uri = Uri::try_from(target).expect("a URI");
    head
}
