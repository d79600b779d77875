//! Collector that records what it receives, by the published protobuf files.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::{Body, Bytes};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::Metric,
    trace::v1::Span,
};
use prost::Message;
use tokio::{net::TcpListener, time};

const TRACES: [&str; 2] = [
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "/v1/traces",
];
const METRICS: [&str; 2] = [
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "/v1/metrics",
];

#[derive(Default, Clone)]
pub(crate) struct Received {
    pub(crate) spans: Vec<Span>,
    /// The last export.
    pub(crate) metrics: Vec<Metric>,
    pub(crate) resource: BTreeMap<String, String>,
    pub(crate) heads: Vec<(String, HeaderMap)>,
    /// All bytes of the exports.
    pub(crate) bytes: Vec<u8>,
}

impl Received {
    /// Returns the only span with the name.
    pub(crate) fn span(&self, name: &str) -> &Span {
        let mut named = self.spans.iter().filter(|span| span.name == name);
        let found = named.next().unwrap_or_else(|| panic!("no span {name}"));
        assert!(named.next().is_none(), "two spans {name}");
        found
    }

    pub(crate) fn contains(&self, text: &str) -> bool {
        let needle = text.as_bytes();
        self.bytes.windows(needle.len()).any(|part| part == needle)
    }
}

pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Received>>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        Self::start_failing(0).await
    }

    /// The first exports fail with "unavailable".
    pub(crate) async fn start_failing(failures: usize) -> Self {
        Self::start_with(failures, Duration::ZERO).await
    }

    /// Responds to each export after a delay.
    pub(crate) async fn start_slow(delay: Duration) -> Self {
        Self::start_with(0, delay).await
    }

    async fn start_with(failures: usize, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let received = Arc::<Mutex<Received>>::default();
        let shared = received.clone();
        let left = Arc::new(Mutex::new(failures));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (records, left) = (shared.clone(), left.clone());
                let service = service_fn(move |request| {
                    let received = receive(request, records.clone(), left.clone());
                    async move {
                        let response = received.await;
                        time::sleep(delay).await;
                        response
                    }
                });
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    drop(server.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Self { address, received }
    }

    pub(crate) fn received(&self) -> Received {
        self.received.lock().expect("not poisoned").clone()
    }

    pub(crate) async fn wait_for(&self, is_complete: impl Fn(&Received) -> bool) -> Received {
        let polled = async {
            loop {
                let received = self.received();
                if is_complete(&received) {
                    return received;
                }
                time::sleep(Duration::from_millis(10)).await;
            }
        };
        match time::timeout(Duration::from_secs(15), polled).await {
            Ok(received) => received,
            Err(_) => {
                let spans = self.received().spans;
                let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
                panic!("received only {names:?}")
            }
        }
    }

    pub(crate) async fn wait_for_span(&self, name: &str) -> Received {
        self.wait_for(|received| received.spans.iter().any(|span| span.name == name))
            .await
    }
}

async fn receive(
    request: Request<hyper::body::Incoming>,
    received: Arc<Mutex<Received>>,
    left: Arc<Mutex<usize>>,
) -> Result<Response<Body>, Infallible> {
    let (head, incoming) = request.into_parts();
    let body = incoming.collect().await.expect("a body").to_bytes();
    let is_grpc =
        head.headers.get("content-type") == Some(&HeaderValue::from_static("application/grpc"));
    {
        let mut failures = left.lock().expect("not poisoned");
        if *failures > 0 {
            *failures -= 1;
            return Ok(response(is_grpc, false));
        }
    }
    // An uncompressed message of gRPC begins with a zero and its length.
    let message = if is_grpc {
        assert_eq!(body[0], 0);
        body.slice(5..)
    } else {
        assert_eq!(head.headers["content-type"], "application/x-protobuf");
        body
    };
    let mut records = received.lock().expect("not poisoned");
    records.bytes.extend_from_slice(&message);
    let path = head.uri.path().to_owned();
    let resource = if TRACES.contains(&&*path) {
        let export = ExportTraceServiceRequest::decode(message).expect("valid");
        let mut all = export.resource_spans;
        let only = all.remove(0);
        let scopes = only.scope_spans.into_iter();
        records.spans.extend(scopes.flat_map(|scope| scope.spans));
        only.resource
    } else {
        assert!(METRICS.contains(&&*path), "{path}");
        let export = ExportMetricsServiceRequest::decode(message).expect("valid");
        let mut all = export.resource_metrics;
        let only = all.remove(0);
        let scopes = only.scope_metrics.into_iter();
        records.metrics = scopes.flat_map(|scope| scope.metrics).collect();
        only.resource
    };
    records.resource = texts(&resource.expect("a resource").attributes);
    records.heads.push((path, head.headers));
    Ok(response(is_grpc, true))
}

fn response(is_grpc: bool, is_success: bool) -> Response<Body> {
    if !is_grpc {
        let status = if is_success { 200 } else { 503 };
        let built = Response::builder().status(status).body(Body::empty());
        return built.expect("valid response");
    }
    let code = if is_success { "0" } else { "14" };
    let trailers = HeaderMap::from_iter([(
        "grpc-status".parse().expect("a name"),
        HeaderValue::from_static(code),
    )]);
    let frames = [
        Frame::data(Bytes::from_static(&[0; 5])),
        Frame::trailers(trailers),
    ];
    let body = StreamBody::new(tokio_stream::iter(frames.map(Ok::<_, Infallible>)));
    let built = Response::builder().header("content-type", "application/grpc");
    built.body(Body::new(body)).expect("valid response")
}

/// Returns attributes as text.
pub(crate) fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| {
        let value = attribute.value.as_ref()?.value.as_ref()?;
        let content = match value {
            Value::StringValue(content) => content.clone(),
            Value::IntValue(number) => number.to_string(),
            other => panic!("unexpected {other:?}"),
        };
        Some((attribute.key.clone(), content))
    };
    attributes.iter().filter_map(text).collect()
}

/// Adds a section that exports to the collector.
pub(crate) fn with_telemetry(config: &str, collector: SocketAddr, keys: &str) -> String {
    format!("{config}\n[telemetry]\nendpoint = \"http://{collector}\"\n{keys}\n")
}
