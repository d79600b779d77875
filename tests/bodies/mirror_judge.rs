//! Services that receive mirrored requests, and two judges of their signatures: our verifier and aws-sigv4.

use std::{convert::Infallible, sync::Arc};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest,
    UriPathNormalizationMode, sign,
};
use aws_smithy_runtime_api::client::identity::Identity as SmithyIdentity;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    BoxError, Clock, Origin, VerifyLayer,
    body::VerifiedBody,
    origin::PayloadMode,
    verify::{RejectionKind, StaticKeys, VerifiedPayload, VerifySettings},
};

use crate::common::{self, ScriptedBody, credentials, header, layer, now};

/// Value of `x-amz-content-sha256` of a request to an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Hash,
    Unsigned,
    Chunks,
    ChunksTrailer,
    UnsignedTrailer,
}

impl Form {
    pub(crate) fn of(head: &Parts) -> Self {
        match header(&head.headers, "x-amz-content-sha256") {
            "UNSIGNED-PAYLOAD" => Self::Unsigned,
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Self::Chunks,
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Self::ChunksTrailer,
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Self::UnsignedTrailer,
            hash => {
                assert_eq!(hash.len(), 64, "{hash}");
                Self::Hash
            }
        }
    }
}

pub(crate) struct Service {
    pub(crate) url: &'static str,
    pub(crate) name: &'static str,
    /// `true` for SigV4a.
    pub(crate) is_multi_region: bool,
}

pub(crate) const S3: Service = Service {
    url: "https://bucket.s3.us-east-1.amazonaws.com",
    name: "s3",
    is_multi_region: false,
};

pub(crate) const OTHERS: [Service; 3] = [
    Service {
        url: "https://abc123.execute-api.us-east-1.amazonaws.com/prod",
        name: "execute-api",
        is_multi_region: false,
    },
    Service {
        url: "https://bedrock-runtime.us-east-1.amazonaws.com",
        name: "bedrock",
        is_multi_region: false,
    },
    Service {
        url: "https://abcdefghijklmnop.lambda-url.us-east-1.on.aws",
        name: "lambda",
        is_multi_region: false,
    },
];

#[cfg(feature = "sigv4a")]
pub(crate) const MULTI_REGION: Service = Service {
    url: "https://mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com",
    name: "s3",
    is_multi_region: true,
};

impl Service {
    pub(crate) fn origin(&self) -> Origin {
        Origin::infer(self.url)
            .expect("an origin")
            .with_payload(PayloadMode::Mirror)
    }
}

/// Sends a request, and returns its head and body as the origin receives them.
pub(crate) async fn send(origin: Origin, request: Request<ScriptedBody>) -> (Parts, Bytes) {
    let sent = common::send_any(&layer(origin), request)
        .await
        .expect("sent");
    let (head, body) = sent.into_parts();
    let declared: u64 = header(&head.headers, "content-length")
        .parse()
        .expect("a number");
    assert_eq!(body.size_hint().exact(), Some(declared));
    let received = body.collect().await.expect("a body").to_bytes();
    assert_eq!(received.len() as u64, declared);
    (head, received)
}

/// A verified body, with the checksum of its trailer or header.
#[derive(Debug, PartialEq)]
pub(crate) struct Received {
    pub(crate) data: Bytes,
    pub(crate) checksum: Option<(String, String)>,
}

/// Verifies a request as a server does.
pub(crate) async fn verify<B>(
    service: &Service,
    request: Request<B>,
) -> Result<Received, RejectionKind>
where
    B: Body<Error: Into<BoxError>>,
{
    let settings = VerifySettings::new(service.name, "us-east-1")
        .expect("a scope")
        .with_unsigned_payload(true);
    #[cfg(feature = "sigv4a")]
    let settings = settings.with_sigv4a(service.is_multi_region);
    let keys = StaticKeys::new([credentials()]).expect("valid");
    let inner = service_fn(async |request: Request<VerifiedBody<B>>| {
        let (head, body) = request.into_parts();
        let data = body.collect().await.expect("verified").to_bytes();
        let in_trailer = head
            .extensions
            .get::<VerifiedPayload>()
            .and_then(|payload| {
                let name = payload.checksum()?.header_name().to_owned();
                Some((name, payload.checksum_value()?.to_owned()))
            });
        let checksum = in_trailer.or_else(|| checksum_header(&head.headers));
        let mut response = Response::new(Full::<Bytes>::default());
        response
            .extensions_mut()
            .insert(Arc::new(Received { data, checksum }));
        Ok::<_, Infallible>(response)
    });
    let layer = VerifyLayer::new(keys, settings).with_clock(Clock::manual(now()));
    let Ok(mut response) = layer.layer(inner).oneshot(request).await;
    let received = response.extensions_mut().remove::<Arc<Received>>();
    match received {
        Some(received) => Ok(Arc::into_inner(received).expect("the only one")),
        None => Err(*response.extensions().get().expect("a kind")),
    }
}

fn checksum_header(headers: &HeaderMap) -> Option<(String, String)> {
    let mut found = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-amz-checksum-"));
    let (name, value) = found.next()?;
    assert!(found.next().is_none(), "S3 accepts one checksum");
    Some((
        name.as_str().to_owned(),
        value.to_str().expect("ASCII").to_owned(),
    ))
}

/// Signs a head again with aws-sigv4.
pub(crate) fn aws_authorization(head: &Parts, service: &Service) -> String {
    let authorization = header(&head.headers, "authorization");
    let (_, rest) = authorization.split_once("SignedHeaders=").expect("names");
    let (names, _) = rest.split_once(',').expect("a signature");
    let added = [
        "host",
        "x-amz-date",
        "x-amz-content-sha256",
        "x-amz-region-set",
    ];
    let headers = names
        .split(';')
        .filter(|name| !added.contains(name))
        .map(|name| (name, header(&head.headers, name)));
    let payload = header(&head.headers, "x-amz-content-sha256").to_owned();
    let uri = head.uri.to_string();
    let request = SignableRequest::new(
        head.method.as_str(),
        &uri,
        headers,
        SignableBody::Precomputed(payload),
    )
    .expect("valid");
    let mut settings = aws_sigv4::http_request::SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    if service.name == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    let identity = SmithyIdentity::new(credentials(), None);
    let output = sign(request, &aws_params(&identity, service, settings)).expect("signed");
    let (instructions, _) = output.into_parts();
    instructions
        .headers()
        .find(|(name, _)| *name == "authorization")
        .expect("signed")
        .1
        .to_owned()
}

fn aws_params<'a>(
    identity: &'a SmithyIdentity,
    service: &Service,
    settings: aws_sigv4::http_request::SigningSettings,
) -> aws_sigv4::http_request::SigningParams<'a> {
    #[cfg(feature = "sigv4a")]
    if service.is_multi_region {
        return aws_sigv4::sign::v4a::SigningParams::builder()
            .identity(identity)
            .region_set("*")
            .name(service.name)
            .time(now())
            .settings(settings)
            .build()
            .expect("complete")
            .into();
    }
    common::aws_params(identity, service.name, now(), settings)
}
