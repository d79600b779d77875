//! Diagnosis of rejections by a verifier, for requests that were changed on the way.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, request::Parts};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, ErrorFormat, Origin, SigningLayer, VerifyLayer,
    body::{SignedBody, VerifiedBody},
    credentials::Credentials,
    doctor::{Cause, Diagnosis},
    origin::PayloadMode,
    verify::{StaticKeys, VerifySettings},
};

use crate::common::{HOST, api, credentials, now, settings};

/// A signing client, the changes on the way, and the verifying origin.
pub(super) struct Scenario {
    pub(super) signs_with: Credentials,
    pub(super) origin: Origin,
    pub(super) verifies: VerifySettings,
    pub(super) keys: Vec<Credentials>,
    pub(super) format: Option<ErrorFormat>,
    /// Seconds by which the origin's clock is ahead.
    pub(super) ahead: i64,
    pub(super) target: &'static str,
    pub(super) change: fn(&mut Parts, &mut Vec<u8>),
}

pub(super) fn scenario() -> Scenario {
    Scenario {
        signs_with: credentials(),
        origin: api(&format!("https://{HOST}")),
        verifies: verifies("execute-api", "us-east-1"),
        keys: vec![credentials()],
        format: None,
        ahead: 0,
        target: "/prod/a%20b?x=1%2B1&y=2",
        change: |_, _| {},
    }
}

fn verifies(service: &str, region: &str) -> VerifySettings {
    VerifySettings::new(service, region)
        .expect("a scope")
        .with_explain(true)
}

pub(super) fn set(head: &mut Parts, name: &'static str, value: &'static str) {
    head.headers.insert(name, HeaderValue::from_static(value));
}

fn target(head: &mut Parts, target: &'static str) {
    head.uri = target.parse().expect("a target");
}

impl Scenario {
    /// Sends a request with a body.
    pub(super) async fn send(self) -> Response<Bytes> {
        let mut server =
            VerifyLayer::new(StaticKeys::new(self.keys).expect("valid"), self.verifies).with_clock(
                Clock::manual(match self.ahead {
                    ahead @ 0.. => now() + Duration::from_secs(ahead.unsigned_abs()),
                    behind => now() - Duration::from_secs(behind.unsigned_abs()),
                }),
            );
        if let Some(format) = self.format {
            server = server.with_error_format(format);
        }
        let server = server.layer(service_fn(async |_: Request<VerifiedBody<Full<Bytes>>>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("accepted")))
        }));
        let change = self.change;
        let way = service_fn(move |request: Request<SignedBody<Full<Bytes>>>| {
            let server = server.clone();
            async move {
                let (mut head, body) = request.into_parts();
                // The target as in HTTP/1.1.
                let target = head.uri.path_and_query().expect("a target").clone();
                head.uri = target.into();
                let mut body = body.collect().await.expect("a body").to_bytes().to_vec();
                change(&mut head, &mut body);
                let Ok(response) = server.oneshot(Request::from_parts(head, body.into())).await;
                Ok::<_, Infallible>(response)
            }
        });
        let client = SigningLayer::new(self.signs_with, self.origin)
            .with_clock(Clock::manual(now()))
            .with_diagnosis(true)
            .with_recovery(false)
            .layer(way);
        let request = Request::post(self.target)
            .header("content-type", "application/json")
            .body(Full::from("{}"))
            .expect("a request");
        let (head, body) = client
            .oneshot(request)
            .await
            .expect("a response")
            .into_parts();
        Response::from_parts(head, body.collect().await.expect("a body").to_bytes())
    }
}

#[tokio::test]
async fn rejections_by_a_verifier_are_diagnosed() {
    assert!(diagnoses_of_verifier_rejections().await.len() > 30);
}

/// Returns the diagnoses for each change, and checks cause and summary.
pub(super) async fn diagnoses_of_verifier_rejections() -> Vec<Diagnosis> {
    let changed = |change| Scenario {
        change,
        ..scenario()
    };
    let at = |verifies| Scenario {
        verifies,
        ..scenario()
    };
    let with = |key: &Credentials| Scenario {
        keys: vec![key.clone()],
        ..scenario()
    };
    let id = credentials().access_key_id().to_owned();
    let key = |id: &str, secret: &str, token: Option<&str>| {
        Credentials::new(id, secret, token.map(str::to_owned), None, "test")
    };
    let for_service = |service: &str| {
        Origin::new(&format!("https://{HOST}"), settings(service)).expect("an origin")
    };
    let secret = credentials().secret_access_key().to_owned();
    let expired = Credentials::new(&*id, &*secret, None, Some(now()), "test");
    let asia = key("ASIAEXAMPLE", &secret, Some("hunter2"));
    let without_hash = settings("execute-api").with_payload_header(false);
    let without_hash = Origin::new(&format!("https://{HOST}"), without_hash).expect("an origin");
    let xml = Some(ErrorFormat::Xml);
    let rows: Vec<(Scenario, Cause, &str)> = vec![
        (
            changed(|head, _| set(head, "host", "api.example.com")),
            Cause::HostChanged,
            "signed for \"abc123.execute-api.us-east-1.amazonaws.com\", received for \"api.example.com\"",
        ),
        (
            changed(|head, _| head.method = Method::PUT),
            Cause::MethodChanged,
            "signed \"POST\", received \"PUT\"",
        ),
        (
            changed(|head, _| target(head, "/prod/a%2520b?x=1%2B1&y=2")),
            Cause::PathEncoding,
            "encoded once more",
        ),
        (
            Scenario {
                target: "/prod/a%2520b",
                ..changed(|head, _| target(head, "/prod/a%20b"))
            },
            Cause::PathEncoding,
            "encoded once less",
        ),
        (
            changed(|head, _| target(head, "/v1/prod/a%20b?x=1%2B1&y=2")),
            Cause::StageMissing,
            "signed \"/prod/a%2520b\", derived \"/v1/prod/a%2520b\"",
        ),
        (
            changed(|head, _| target(head, "/a%20b?x=1%2B1&y=2")),
            Cause::PathChanged,
            "the first segment of the path was removed",
        ),
        (
            changed(|head, _| target(head, "/other?x=1%2B1&y=2")),
            Cause::PathChanged,
            "the path was changed",
        ),
        (
            changed(|head, _| target(head, "/prod/a%20b?x=1%252B1&y=2")),
            Cause::QueryEncoding,
            "first in parameter \"x\"",
        ),
        (
            changed(|head, _| target(head, "/prod/a%20b?x=1+1&y=2")),
            Cause::QueryEncoding,
            "first in parameter \"x\"",
        ),
        (
            changed(|head, _| target(head, "/prod/a%20b?x=1%2B1")),
            Cause::QueryChanged,
            "parameter \"y\" of the query was removed",
        ),
        (
            changed(|head, _| target(head, "/prod/a%20b?x=1%2B1&y=2&z=3")),
            Cause::QueryChanged,
            "parameter \"z\" of the query was added",
        ),
        (
            changed(|head, _| target(head, "/prod/a%20b?x=1%2B1&y=hunter2")),
            Cause::QueryChanged,
            "parameter \"y\" of the query was changed",
        ),
        (
            changed(|head, _| drop(head.headers.remove("content-type"))),
            Cause::HeaderDropped,
            "header content-type was signed but did not reach",
        ),
        (
            changed(|head, _| set(head, "content-type", "text/plain")),
            Cause::HeaderChanged,
            "header content-type was changed on the way: signed as \"application/json\", received as \
             \"text/plain\"",
        ),
        (
            changed(|head, _| set(head, "x-amz-cf-id", "abc")),
            Cause::HeaderNotSigned,
            "the signature does not cover a header that has to be signed",
        ),
        (
            changed(|_, body| body.push(b'!')),
            Cause::BodyChanged,
            "the body was changed",
        ),
        (
            Scenario {
                origin: without_hash.clone(),
                ..changed(|_, body| body.push(b'!'))
            },
            Cause::BodyChanged,
            "the body was changed on the way: signed hash \"44136fa355b3678a",
        ),
        (
            Scenario {
                origin: without_hash,
                ..changed(|_, body| body.clear())
            },
            Cause::BodyChanged,
            "the body was lost on the way",
        ),
        (
            Scenario {
                origin: api(&format!("https://{HOST}")).with_payload(PayloadMode::Unsigned),
                ..scenario()
            },
            Cause::PayloadKind,
            "x-amz-content-sha256",
        ),
        (
            changed(|head, _| {
                let value = HeaderValue::from_static("Bearer hunter2");
                head.headers.append("authorization", value);
            }),
            Cause::AuthorizationChanged,
            "or the request has a second one",
        ),
        (
            changed(|head, _| set(head, "authorization", "AWS4-HMAC-SHA256 hunter2")),
            Cause::AuthorizationChanged,
            "did not arrive as it was sent",
        ),
        (
            changed(|head, _| drop(head.headers.remove("authorization"))),
            Cause::RouteMissing,
            "no route for this path and method",
        ),
        (
            Scenario {
                origin: for_service("es"),
                verifies: verifies("es", "us-east-1"),
                ..changed(|head, _| drop(head.headers.remove("authorization")))
            },
            Cause::NotSigned,
            "its signature did not reach",
        ),
        (
            Scenario {
                ahead: 421,
                ..scenario()
            },
            Cause::ClockSkew,
            "clock was 421 s ahead",
        ),
        (
            Scenario {
                ahead: -421,
                ..scenario()
            },
            Cause::ClockSkew,
            "clock was 421 s behind",
        ),
        (
            Scenario {
                origin: api(&format!("https://{HOST}"))
                    .with_query_signature(Duration::from_secs(60))
                    .expect("in range"),
                ahead: 100,
                ..scenario()
            },
            Cause::UrlExpired,
            "was 100 s old",
        ),
        (
            at(verifies("execute-api", "eu-west-1")),
            Cause::WrongRegion,
            "signed for region \"us-east-1\"",
        ),
        (
            at(verifies("es", "us-east-1")),
            Cause::WrongService,
            "signed for service \"execute-api\", not for the origin's",
        ),
        (
            with(&key(&id, "another", None)),
            Cause::WrongSecret,
            "exactly what was signed",
        ),
        (
            Scenario {
                signs_with: asia.clone(),
                ..with(&key("ASIAEXAMPLE", "another", Some("hunter2")))
            },
            Cause::WrongSecret,
            "exactly what was signed",
        ),
        (
            with(&key("AKIDOTHER", "another", None)),
            Cause::UnknownKey,
            "does not know the access key",
        ),
        (
            Scenario {
                signs_with: key("ASIAEXAMPLE", &secret, None),
                ..with(&asia)
            },
            Cause::TokenMissing,
            "no session token was sent",
        ),
        (
            Scenario {
                signs_with: key("ASIAEXAMPLE", &secret, Some("hunter2-old")),
                origin: for_service("s3"),
                verifies: verifies("s3", "us-east-1"),
                format: xml,
                ..with(&asia)
            },
            Cause::WrongToken,
            "does not belong to this access key",
        ),
        (with(&expired), Cause::TokenExpired, "have expired"),
    ];
    let mut diagnoses = Vec::new();
    for (scenario, cause, summary) in rows {
        let response = scenario.send().await;
        let text = String::from_utf8_lossy(response.body()).into_owned();
        let diagnosis = response.extensions().get::<Diagnosis>();
        let diagnosis = diagnosis.unwrap_or_else(|| panic!("{cause}: no diagnosis of {text}"));
        assert_eq!(diagnosis.cause(), cause, "{diagnosis}: {text}");
        assert!(
            diagnosis.summary().contains(summary),
            "{diagnosis} does not contain {summary}"
        );
        let shown = format!("{diagnosis} {diagnosis:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!text.is_empty(), "the response reaches the caller whole");
        diagnoses.push(diagnosis.clone());
    }
    diagnoses
}
