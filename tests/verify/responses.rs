//! Responses to rejected requests.

use std::{convert::Infallible, io, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, ErrorFormat, VerifyLayer,
    body::VerifiedBody,
    credentials::Credentials,
    sigv4::{Identity, PayloadHash, Signer, SigningParams},
    verify::{KeyRequest, StaticKeys, VerifySettings},
};

use crate::common::{self, credentials, now, signed};

const TOKEN: &str = "hunter2+token/x==";

fn temporary() -> Credentials {
    let long_lived = credentials();
    let token = Some(TOKEN.to_owned());
    Credentials::new(
        "ASIAEXAMPLE",
        long_lived.secret_access_key(),
        token,
        None,
        "test",
    )
}

fn keys() -> StaticKeys {
    StaticKeys::new([credentials(), temporary()]).expect("valid")
}

fn layer(service: &str, explain: bool) -> VerifyLayer {
    let settings = VerifySettings::new(service, "us-east-1").expect("a scope");
    VerifyLayer::new(keys(), settings.with_explain(explain)).with_clock(Clock::manual(now()))
}

async fn reject(layer: &VerifyLayer, head: Parts) -> (StatusCode, Head, String) {
    let inner = service_fn(async |_: Request<VerifiedBody<Full<Bytes>>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let request = Request::from_parts(head, Full::default());
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    let (head, body) = response.into_parts();
    let declared = body.size_hint().exact();
    let bytes = body.collect().await.expect("a body").to_bytes();
    assert_eq!(declared, Some(bytes.len() as u64));
    let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (head.status, head, text)
}

type Head = http::response::Parts;

fn head(target: &str) -> Parts {
    let request = Request::get(target)
        .header("host", "api.example.com")
        .body(());
    request.expect("a request").into_parts().0
}

/// Builds a request that is signed with temporary credentials and has its query changed_in_transit in transit.
fn changed_in_transit(service: &str) -> Parts {
    let identity = Identity::new(temporary()).expect("valid");
    let settings = common::settings(service);
    let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, now());
    let mut head = head("/a?b=1");
    Signer::new().sign(&mut head, &params).expect("signed");
    head.uri = "/a?b=1&c=2".parse().expect("a URI");
    head
}

#[tokio::test]
async fn json_responses_have_a_message_and_the_code_in_a_header() {
    for (change, status, code) in [
        (
            (|_| {}) as fn(&mut Parts),
            403,
            "MissingAuthenticationTokenException",
        ),
        (
            |head| put(head, "authorization", "Bearer x"),
            403,
            "IncompleteSignatureException",
        ),
        (
            |head| *head = signed_then_sent_to(head, "/a?b"),
            403,
            "InvalidSignatureException",
        ),
        (
            |head| *head = signed_then_sent_to(head, "/a//b"),
            400,
            "BadRequestException",
        ),
        (
            |head| {
                *head = signed_then_sent_to(head, "/a");
                let value = head.headers["authorization"].to_str().expect("ASCII");
                let value = value.replace("AKIDEXAMPLE", "AKIDOTHER");
                put(head, "authorization", &value);
            },
            403,
            "UnrecognizedClientException",
        ),
    ] {
        let mut request = head("/a");
        change(&mut request);
        let (status_code, response, body) = reject(&layer("execute-api", false), request).await;
        assert_eq!(
            (
                status_code.as_u16(),
                common::header(&response.headers, "x-amzn-errortype")
            ),
            (status, code)
        );
        assert_eq!(
            common::header(&response.headers, "content-type"),
            "application/json"
        );
        let json: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(json["__type"], code);
        assert!(
            json["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{body}"
        );
    }
}

/// Clients learn the server's time from it.
#[tokio::test]
async fn expired_and_future_signatures_are_reported_with_both_times() {
    for (window, late, words) in [
        (
            300,
            301,
            "expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)",
        ),
        (
            90,
            91,
            "expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T123731Z - 90 s)",
        ),
        (
            300,
            -301,
            "not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T123059Z + 5 min.)",
        ),
    ] {
        let time = if late > 0 {
            now() + seconds(late)
        } else {
            now() - seconds(late)
        };
        let settings = VerifySettings::new("execute-api", "us-east-1").expect("a scope");
        let settings = settings.with_clock_window(seconds(window));
        let layer = VerifyLayer::new(keys(), settings).with_clock(Clock::manual(time));
        let (status, _, body) = reject(&layer, signed(head("/a"), b"")).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        let json: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(json["message"], format!("Signature {words}"));
    }
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.unsigned_abs())
}

/// Signs the head as it is and then changes the target.
fn signed_then_sent_to(head: &Parts, target: &str) -> Parts {
    let mut head = signed(head.clone(), b"");
    head.uri = target.parse().expect("a URI");
    head
}

fn put(head: &mut Parts, name: &'static str, value: &str) {
    head.headers.insert(name, value.parse().expect("a value"));
}

#[tokio::test]
async fn xml_responses_have_a_code_and_a_message() {
    for (target, authorization, status, code) in [
        ("/a", None, 403, "AccessDenied"),
        ("/a", Some("Bearer x"), 400, "InvalidArgument"),
        (
            "/a",
            Some("AWS4-HMAC-SHA256 x"),
            400,
            "AuthorizationHeaderMalformed",
        ),
        (
            "/a?X-Amz-Signature=x",
            None,
            400,
            "AuthorizationQueryParametersError",
        ),
        (
            "/a?X-Amz-Signature=x",
            Some("Bearer x"),
            400,
            "InvalidArgument",
        ),
    ] {
        let mut request = head(target);
        if let Some(value) = authorization {
            put(&mut request, "authorization", value);
        }
        let (status_code, response, body) = reject(&layer("s3", false), request).await;
        assert_eq!(status_code.as_u16(), status, "{body}");
        assert_eq!(
            common::header(&response.headers, "content-type"),
            "application/xml"
        );
        assert!(!response.headers.contains_key("x-amzn-errortype"));
        let start = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>";
        assert!(
            body.starts_with(&format!("{start}{code}</Code><Message>")),
            "{body}"
        );
        let id = common::header(&response.headers, "x-amz-request-id");
        assert!(
            body.ends_with(&format!(
                "</Message><RequestId>{id}</RequestId><HostId>tower-sigv4</HostId></Error>"
            )),
            "{body}"
        );
    }
    let xml = layer("execute-api", false).with_error_format(ErrorFormat::Xml);
    let (_, _, body) = reject(&xml, head("/")).await;
    assert!(body.contains("<Code>AccessDenied</Code>"), "{body}");
}

#[tokio::test]
async fn explanations_are_sent_only_if_enabled() {
    for service in ["execute-api", "s3"] {
        let mut request = changed_in_transit(service);
        let (_, _, plain) = reject(&layer(service, false), request.clone()).await;
        assert!(
            !plain.contains("/a") && !plain.contains("us-east-1"),
            "{plain}"
        );

        let (_, _, explained) = reject(&layer(service, true), request.clone()).await;
        let wanted = match service {
            "s3" => [
                "<CanonicalRequest>GET\n/a\nb=1&amp;c=2\nhost:api.example.com\n",
                "<StringToSign>AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/s3/",
            ],
            _ => [
                r"The Canonical String for this request should have been\n'GET\n/a\nb=1&c=2\nhost:",
                r"The String-to-Sign should have been\n'AWS4-HMAC-SHA256\n20150830T123600Z\n",
            ],
        };
        for text in wanted {
            assert!(explained.contains(text), "{text} is not in {explained}");
        }

        put(&mut request, "x-amz-acl", "public-read");
        let (_, _, plain) = reject(&layer(service, false), request.clone()).await;
        // S3 always names it.
        assert_eq!(plain.contains("x-amz-acl"), service == "s3", "{plain}");
        let (_, _, explained) = reject(&layer(service, true), request).await;
        assert!(
            explained.contains("x-amz-acl is present and not signed"),
            "{explained}"
        );
    }
}

#[tokio::test]
async fn quoted_request_values_are_truncated_and_escaped() {
    let far = "a".repeat(40_000);
    for service in ["execute-api", "s3"] {
        let mut request = signed(head("/a"), b"");
        let value = common::header(&request.headers, "authorization").replace("us-east-1", &far);
        put(
            &mut request,
            "authorization",
            &value.replace("execute-api", service),
        );
        let (_, _, body) = reject(&layer(service, true), request).await;
        assert!(body.contains("aaaa") && body.len() < 600, "{body}");
    }
    // XML forbids U+FFFE (section 2.2) and requires an escape for `<`.
    let mut head = head("/a");
    let value = http::HeaderValue::from_bytes(b"<\xef\xbf\xbe&").expect("legal");
    head.headers.insert("x-amz-meta-a", value);
    let identity = Identity::new(credentials()).expect("valid");
    let settings = common::settings("s3");
    let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, now());
    Signer::new().sign(&mut head, &params).expect("signed");
    head.uri = "/b".parse().expect("a URI");
    let (_, _, body) = reject(&layer("s3", true), head).await;
    assert!(body.contains("x-amz-meta-a:&lt;\u{fffd}&amp;\n"), "{body}");
}

#[tokio::test]
async fn error_responses_contain_no_secret_and_no_signature() {
    let long_lived = credentials();
    for service in ["execute-api", "s3"] {
        // The valid signature for the request received.
        let mut right = changed_in_transit(service);
        let settings = common::settings(service);
        let identity = Identity::new(temporary()).expect("valid");
        let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, now());
        let given = right.headers["authorization"]
            .to_str()
            .expect("ASCII")
            .to_owned();
        Signer::new().sign(&mut right, &params).expect("signed");
        let expected = right.headers["authorization"]
            .to_str()
            .expect("ASCII")
            .to_owned();
        let signature = |value: &str| value.rsplit_once('=').expect("a field").1.to_owned();

        for explain in [false, true] {
            let (_, _, body) = reject(&layer(service, explain), changed_in_transit(service)).await;
            assert!(!body.contains("hunter2"), "{body}");
            assert!(!body.contains(long_lived.secret_access_key()), "{body}");
            assert!(!body.contains(&signature(&expected)), "{body}");
            assert!(!body.contains(&signature(&given)), "{body}");
            assert_eq!(
                body.contains("x-amz-security-token:[redacted]"),
                explain,
                "{body}"
            );
        }
    }
}

#[tokio::test]
async fn failed_lookups_are_503_without_a_reason() {
    let broken = async |_: KeyRequest<'static>| {
        Err::<Option<Credentials>, _>(io::Error::other("hunter2 is the password"))
    };
    for (service, code) in [
        ("execute-api", "ServiceUnavailableException"),
        ("s3", "ServiceUnavailable"),
    ] {
        let settings = VerifySettings::new(service, "us-east-1").expect("a scope");
        let layer =
            VerifyLayer::new(broken, settings.with_explain(true)).with_clock(Clock::manual(now()));
        let mut head = head("/");
        let settings = common::settings(service);
        let identity = Identity::new(credentials()).expect("valid");
        let params = SigningParams::new(&settings, &identity, PayloadHash::EMPTY, now());
        Signer::new().sign(&mut head, &params).expect("signed");
        let (status, response, body) = reject(&layer, head).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(!body.contains("hunter2"), "{body}");
        assert!(
            format!("{:?}{body}", response.headers).contains(code),
            "{body}"
        );
    }
}
