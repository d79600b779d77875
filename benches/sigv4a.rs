//! Time to sign and verify for several regions and for one.
//!
//! ```text
//! cargo bench -p tower-sigv4-benches --features sigv4a --bench sigv4a
//! ```

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings as AwsSettings, sign,
};
use aws_smithy_runtime_api::client::identity::Identity as SmithyIdentity;
use http::{Request, request::Parts};
use tower_sigv4::{
    SigningSettings,
    sigv4::{Identity, PayloadHash, RegionSet, Signer, SigningParams},
    verify::{Verifier, VerifySettings},
};
use tower_sigv4_benches::{
    compare, contender,
    request::{ACCESS_KEY_ID, GET, HEADERS, ORIGIN, REGION, SECRET_ACCESS_KEY, SERVICE, TIME},
};

const REGIONS: &str = "us-east-1,us-west-2";

fn main() {
    let measured = std::env::args().any(|arg| arg == "--bench"); // not by `cargo test --benches`
    let [key, other] = [SECRET_ACCESS_KEY, "another"]
        .map(|secret| Credentials::new(ACCESS_KEY_ID, secret, None, None, "bench"));
    let identity = Identity::new(key.clone()).expect("legal credentials");
    let time = UNIX_EPOCH + Duration::from_secs(TIME);
    let one = SigningSettings::new(SERVICE, REGION).expect("legal names");
    let regions = RegionSet::new(REGIONS).expect("legal names");
    let several = SigningSettings::multi_region(SERVICE, regions).expect("a legal name");
    let (signer, head) = (Signer::new(), head());
    let signed = |settings| {
        let mut signed = head.clone();
        let params = SigningParams::new(settings, &identity, PayloadHash::EMPTY, time);
        signer.sign(&mut signed, &params).expect("signed");
        signed
    };
    let aws = SmithyIdentity::new(key.clone(), None);

    let settings = VerifySettings::new(SERVICE, REGION)
        .expect("legal names")
        .with_sigv4a(true);
    let (verifier, unknown) = (Verifier::new(settings.clone()), Verifier::new(settings));
    let (by_hmac, by_ecdsa) = (signed(&one), signed(&several));
    let accepts = |by: &Verifier, received: &Parts, credentials| {
        let claim = by.parse(received, time).expect("in order");
        by.verify(claim, credentials, &PayloadHash::EMPTY).is_ok()
    };
    for received in [&by_hmac, &by_ecdsa] {
        assert!(accepts(&verifier, received, &key) && !accepts(&unknown, received, &other));
    }
    if !measured {
        return;
    }
    compare(
        "GET, signed",
        vec![
            contender("clone of the head", || head.clone()),
            contender("several regions", || signed(&several)),
            contender("aws-sigv4, the same", || aws_signature(&head, &aws, time)),
            contender("one region", || signed(&one)),
        ],
    );
    compare(
        "GET, verified",
        vec![
            contender("nothing", || ()),
            contender("several regions", || accepts(&verifier, &by_ecdsa, &key)),
            contender("wrong, unknown key", || {
                accepts(&unknown, &by_ecdsa, &other)
            }),
            contender("one region", || accepts(&verifier, &by_hmac, &key)),
        ],
    );
}

fn head() -> Parts {
    let mut request = Request::get(format!("{ORIGIN}{GET}"));
    for (name, value) in HEADERS {
        request = request.header(name, value);
    }
    request.body(()).expect("a legal request").into_parts().0
}

fn aws_signature(head: &Parts, identity: &SmithyIdentity, time: SystemTime) -> String {
    let mut settings = AwsSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let params = aws_sigv4::sign::v4a::SigningParams::builder()
        .identity(identity)
        .region_set(REGIONS)
        .name(SERVICE)
        .time(time)
        .settings(settings)
        .build()
        .expect("complete")
        .into();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().expect("ASCII")));
    let (method, uri) = (head.method.as_str(), head.uri.to_string());
    let signable = SignableRequest::new(method, uri, headers, SignableBody::Bytes(&[]));
    sign(signable.expect("a legal request"), &params)
        .expect("signed")
        .into_parts()
        .1
}
