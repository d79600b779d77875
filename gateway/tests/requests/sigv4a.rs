//! Signatures for several regions.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use http::Request;
use tower_sigv4::{
    SigningSettings,
    sigv4::{Identity, PayloadHash, RegionSet, Signer, SigningParams},
};

use super::scopes::{OK, config};
use crate::support::{Gateway, TestOrigin, exchange};

/// A Multi-Region Access Point takes only SigV4a.
#[tokio::test]
async fn region_set_signs_for_several_regions() {
    let origin = TestOrigin::start(OK).await;
    let url = format!("http://{}", origin.address);
    let access_point = "mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com";
    for (scope, set) in [
        (
            format!("signed_host = \"{access_point}\"\nservice = \"s3\"\nregion_set = \"*\"\n"),
            "*",
        ),
        (
            "service = \"execute-api\"\nregion_set = [\"us-east-1\", \"eu-*\"]\n".to_owned(),
            "us-east-1,eu-*",
        ),
    ] {
        let gateway = Gateway::with_config(&config(&url, &scope, ""));
        let request = "GET /a HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
        let response = exchange(gateway.address, request).await;
        assert_eq!(response.status, 200, "{scope}: {}", response.body);
        let seen = origin.requests().pop().expect("a request");
        assert!(
            seen.contains("AWS4-ECDSA-P256-SHA256 Credential=AKIDGATEWAY/"),
            "{seen}"
        );
        assert!(
            seen.contains(&format!("x-amz-region-set: {set}\r\n")),
            "{seen}"
        );
    }
}

/// A client may sign for several regions; the origin has one.
#[tokio::test]
async fn client_with_sigv4a_needs_a_setting() {
    let origin = TestOrigin::start(OK).await;
    let url = format!("http://{}", origin.address);
    let scope = "service = \"s3\"\nregion = \"eu-west-1\"\n";
    let settings = SigningSettings::multi_region("s3", RegionSet::new("us-*").expect("valid"));
    let credentials = Credentials::new("AKIDCLIENT", "placeholder", None, None, "test");
    let identity = Identity::new(credentials).expect("valid");
    let (settings, now) = (settings.expect("valid"), SystemTime::now());
    let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, now);
    let head = Request::get("/a").header("host", "h").body(());
    let (mut head, ()) = head.expect("a request").into_parts();
    Signer::new().sign(&mut head, &params).expect("signed");
    let headers: String = head
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}\r\n", value.to_str().expect("ASCII")))
        .collect();
    let request = format!("GET /a HTTP/1.1\r\nconnection: close\r\n{headers}\r\n");
    for (setting, status) in [("", 400), ("sigv4a = true\n", 200)] {
        let verify = format!(
            "[verify]\nservice = \"s3\"\nregion = \"us-east-1\"\n{setting}\
             [[verify.key]]\naccess_key_id = \"AKIDCLIENT\"\nsecret_access_key = \"placeholder\"\n"
        );
        let gateway = Gateway::with_config(&config(&url, scope, &verify));
        let response = exchange(gateway.address, &request).await;
        assert_eq!(response.status, status, "{setting}: {}", response.body);
    }
    let seen = origin.requests();
    assert_eq!(seen.len(), 1);
    assert!(
        seen[0].contains("AWS4-HMAC-SHA256 Credential=AKIDGATEWAY/")
            && seen[0].contains("/eu-west-1/s3/aws4_request"),
        "{}",
        seen[0]
    );
}
