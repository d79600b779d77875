//! Several services in one verifier, each with its own rules. The signer is aws-sigv4, which the SDK for Rust uses.

mod rules;
mod s3_and_origins;

use std::{convert::Infallible, time::Duration};

use aws_sigv4::{
    http_request::{
        self as aws, PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest,
        SignatureLocation, UriPathNormalizationMode,
    },
    sign::v4,
};
use aws_smithy_runtime_api::client::identity::Identity as SmithyIdentity;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, Error, ErrorKind, Origin, SigningLayer, VerifyLayer,
    body::{SignedBody, VerifiedBody},
    origin::{OriginRule, OriginRules},
    verify::{
        BodyCheck, PayloadKind, RejectionKind as Kind, StaticKeys, Verified, VerifyServices,
        VerifySettings,
    },
};

use crate::common::{credentials, now, settings as signing_settings};

fn settings(service: &str) -> VerifySettings {
    VerifySettings::new(service, "us-east-1").expect("a scope")
}

/// S3 streams and accepts unsigned bodies in two regions; the others collect.
fn services() -> VerifyServices {
    let s3 = settings("s3")
        .add_region("eu-west-1")
        .expect("a region")
        .with_unsigned_payload(true)
        .with_body_check(BodyCheck::Streamed);
    VerifyServices::new([s3, settings("dynamodb"), settings("sts")]).expect("distinct")
}

fn layer(services: impl Into<VerifyServices>) -> VerifyLayer {
    VerifyLayer::new(StaticKeys::new([credentials()]).expect("valid"), services)
        .with_clock(Clock::manual(now()))
}

/// A request that an SDK sends.
#[derive(Clone, Copy)]
struct Sdk {
    service: &'static str,
    region: &'static str,
    method: &'static str,
    target: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    payload: Option<&'static str>,
    presigned: bool,
}

const S3: Sdk = Sdk {
    service: "s3",
    region: "us-east-1",
    method: "PUT",
    target: "/bkt/k",
    headers: &[],
    body: "an object",
    payload: None,
    presigned: false,
};

const DYNAMODB: Sdk = Sdk {
    service: "dynamodb",
    method: "POST",
    target: "/",
    headers: &[
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amz-target", "DynamoDB_20120810.GetItem"),
    ],
    body: r#"{"TableName":"t"}"#,
    ..S3
};

const STS: Sdk = Sdk {
    service: "sts",
    headers: &[("content-type", "application/x-www-form-urlencoded")],
    body: "Action=GetCallerIdentity&Version=2011-06-15",
    ..DYNAMODB
};

impl Sdk {
    fn sign(self) -> Request<Full<Bytes>> {
        let is_s3 = self.service == "s3";
        let mut settings = aws::SigningSettings::default();
        if is_s3 {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        if is_s3 && !self.presigned {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        if self.presigned {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = Some(Duration::from_secs(60));
        }
        let identity = SmithyIdentity::new(credentials(), None);
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(now())
            .settings(settings)
            .build()
            .expect("complete")
            .into();
        let uri = format!("http://gw.example.com{}", self.target);
        let body = match self.payload {
            Some(payload) => SignableBody::Precomputed(payload.to_owned()),
            None if self.presigned => SignableBody::UnsignedPayload,
            None => SignableBody::Bytes(self.body.as_bytes()),
        };
        let headers = self.headers.iter().copied();
        let signable = SignableRequest::new(self.method, &uri, headers, body).expect("signable");
        let (instructions, _) = aws::sign(signable, &params).expect("signed").into_parts();
        let mut request = Request::builder().method(self.method).uri(uri);
        for (name, value) in self.headers {
            request = request.header(*name, *value);
        }
        let mut signed = request
            .header("host", "gw.example.com")
            .header("x-request-id", "id-1")
            .body(Full::from(self.body))
            .expect("a request");
        instructions.apply_to_request_http1x(&mut signed);
        signed
    }
}

/// Returns service, region and coverage of an accepted request, with its body.
async fn verify(
    layer: &VerifyLayer,
    request: Request<Full<Bytes>>,
) -> Result<(String, PayloadKind, Bytes), (Kind, StatusCode, String)> {
    let inner = service_fn(async |request: Request<VerifiedBody<Full<Bytes>>>| {
        let verified = request
            .extensions()
            .get::<Verified>()
            .expect("a proof")
            .clone();
        let bytes = request
            .into_body()
            .collect()
            .await
            .expect("right")
            .to_bytes();
        let mut response = Response::new(Full::<Bytes>::default());
        response.extensions_mut().insert((verified, bytes));
        Ok::<_, Infallible>(response)
    });
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    let (head, body) = response.into_parts();
    if let Some((verified, bytes)) = head.extensions.get::<(Verified, Bytes)>() {
        let scope = format!("{}/{}", verified.region(), verified.service());
        return Ok((scope, verified.payload(), bytes.clone()));
    }
    let kind = *head.extensions.get::<Kind>().expect("a rejection");
    let text = body.collect().await.expect("a body").to_bytes();
    let text = String::from_utf8(text.to_vec()).expect("UTF-8");
    Err((kind, head.status, text))
}
