//! Requests to a collector (<https://opentelemetry.io/docs/specs/otlp/>).

use std::{fmt, time::Duration};

use axum::body::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header, uri::PathAndQuery};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use prost::Message;
use tonic::{Code, client::Grpc, metadata::MetadataMap};
use tonic_prost::ProstCodec;

use crate::{
    BoxError,
    config::{Protocol, Telemetry},
    error::chain,
    issuer_client::{PlainClient, plain_client},
    upstream,
};

/// Longest response of a collector.
const MAX_RESPONSE_LEN: usize = 64 << 10;

pub(super) struct Signal {
    grpc_path: &'static str,
    http_path: &'static str,
}

pub(super) const TRACES: Signal = Signal {
    grpc_path: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    http_path: "/v1/traces",
};
pub(super) const METRICS: Signal = Signal {
    grpc_path: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    http_path: "/v1/metrics",
};

/// A failed export.
pub(super) struct ExportError {
    message: String,
    /// `true` if the collector may accept the same request later.
    pub(super) is_temporary: bool,
}

impl ExportError {
    pub(super) fn permanent(message: String) -> Self {
        Self {
            message,
            is_temporary: false,
        }
    }

    fn temporary(message: String) -> Self {
        Self {
            message,
            is_temporary: true,
        }
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

pub(super) struct Transport {
    client: ProtocolClient,
    endpoint: Uri,
    headers: HeaderMap,
    timeout: Duration,
}

type GrpcClient = Client<HttpsConnector<HttpConnector>, tonic::body::Body>;

enum ProtocolClient {
    Grpc(Grpc<GrpcClient>),
    Http(PlainClient),
}

impl Transport {
    pub(super) fn new(settings: &Telemetry) -> Result<Self, BoxError> {
        let endpoint = settings.endpoint.clone();
        let client = match settings.protocol {
            Protocol::Grpc => {
                let connector = HttpsConnectorBuilder::new()
                    .with_tls_config(upstream::tls_config()?)
                    .https_or_http()
                    .enable_http2()
                    .build();
                let http2 = Client::builder(TokioExecutor::new())
                    .pool_timer(TokioTimer::new())
                    .http2_only(true)
                    .build(connector);
                // gRPC has no base path.
                let mut parts = endpoint.clone().into_parts();
                parts.path_and_query = Some(PathAndQuery::from_static("/"));
                ProtocolClient::Grpc(Grpc::with_origin(http2, Uri::from_parts(parts)?))
            }
            Protocol::Http => ProtocolClient::Http(plain_client()?),
        };
        Ok(Self {
            client,
            endpoint,
            headers: settings.headers.iter().cloned().collect(),
            timeout: settings.timeout,
        })
    }

    /// Sends a request within the timeout.
    pub(super) async fn send<Q, R>(&mut self, signal: &Signal, request: Q) -> Result<R, ExportError>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let headers = self.headers.clone();
        let limit = self.timeout;
        let sending = async {
            match &mut self.client {
                ProtocolClient::Grpc(client) => grpc(client, signal, headers, request).await,
                ProtocolClient::Http(client) => {
                    let base = self.endpoint.to_string();
                    let url = format!("{}{}", base.trim_end_matches('/'), signal.http_path);
                    http(client, url, headers, request.encode_to_vec()).await
                }
            }
        };
        match tokio::time::timeout(limit, sending).await {
            Ok(result) => result,
            Err(_) => Err(ExportError::temporary(format!(
                "no response within {limit:?}"
            ))),
        }
    }
}

async fn grpc<Q, R>(
    client: &mut Grpc<GrpcClient>,
    signal: &Signal,
    headers: HeaderMap,
    message: Q,
) -> Result<R, ExportError>
where
    Q: Message + 'static,
    R: Message + Default + 'static,
{
    let failed = |error: &dyn fmt::Display| ExportError::temporary(error.to_string());
    client.ready().await.map_err(|error| failed(&error))?;
    let mut request = tonic::Request::new(message);
    *request.metadata_mut() = MetadataMap::from_headers(headers);
    let path = PathAndQuery::from_static(signal.grpc_path);
    let result = client
        .unary(request, path, ProstCodec::<Q, R>::default())
        .await;
    result.map(tonic::Response::into_inner).map_err(|status| {
        let source = std::error::Error::source(&status);
        // https://opentelemetry.io/docs/specs/otlp/#failures
        let is_temporary = matches!(
            status.code(),
            Code::Cancelled
                | Code::DeadlineExceeded
                | Code::Aborted
                | Code::OutOfRange
                | Code::Unavailable
                | Code::DataLoss
        );
        ExportError {
            // A source is an error of the connection.
            is_temporary: is_temporary || source.is_some(),
            message: match source {
                Some(error) => chain(error),
                None => format!(
                    "the collector responded with {:?}: {}",
                    status.code(),
                    status.message()
                ),
            },
        }
    })
}

async fn http<R: Message + Default>(
    client: &PlainClient,
    url: String,
    headers: HeaderMap,
    message: Vec<u8>,
) -> Result<R, ExportError> {
    let body = Full::new(Bytes::from(message));
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() =
        Uri::try_from(url).map_err(|error| ExportError::permanent(error.to_string()))?;
    *request.headers_mut() = headers;
    let protobuf = http::HeaderValue::from_static("application/x-protobuf");
    request.headers_mut().insert(header::CONTENT_TYPE, protobuf);
    let response = client.request(request).await;
    let (head, received) = response
        .map_err(|error| ExportError::temporary(chain(&error)))?
        .into_parts();
    if !head.status.is_success() {
        let is_temporary = matches!(
            head.status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        return Err(ExportError {
            message: format!("the collector responded with {}", head.status),
            is_temporary,
        });
    }
    let content = Limited::new(received, MAX_RESPONSE_LEN).collect().await;
    let bytes = content.map_err(|error| ExportError::permanent(error.to_string()))?;
    // The status says that the collector has accepted the data. Some respond with JSON, or with a text.
    Ok(R::decode(bytes.to_bytes()).unwrap_or_default())
}
