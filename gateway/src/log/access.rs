//! Access log: one line for each request, written at its end.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{Extensions, HeaderValue, Method, Request, Uri, header, uri::Authority};
use tower_sigv4::origin::ClientAddr;
use tracing::{Level, field};

use crate::{caller::Caller, request_id::RequestIds};

/// Longest logged prefix of a value that the client chose, in bytes.
const MAX_VALUE_LEN: usize = 1024;

/// nginx's code for a client that closed its connection before the response.
pub(crate) const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Fields of a request that its log line needs.
pub(crate) struct AccessRecord {
    client: Option<IpAddr>,
    method: Method,
    uri: Uri,
    host: Option<HeaderValue>,
    caller: Arc<OnceLock<Caller>>,
}

/// Result of a request, for the metrics and the access log.
pub(crate) struct RequestSummary {
    /// Mechanism of a rejected caller, or `None` if the request is beyond a limit.
    pub(crate) mechanism: Option<&'static str>,
    pub(crate) code: u16,
    pub(crate) cache: Option<&'static str>,
    /// Reason for which the gateway rejected the caller.
    pub(crate) rejection: Option<String>,
    /// Reason for which the origin rejected the gateway's signature.
    pub(crate) origin_rejection: Option<&'static str>,
}

/// Request extension that carries the verified caller back to the access log.
#[derive(Clone)]
struct CallerSlot(Arc<OnceLock<Caller>>);

/// Reports the verified caller to the access log, if there is one.
pub(crate) fn record_caller(extensions: &Extensions) {
    let slot = extensions.get::<CallerSlot>();
    if let Some((CallerSlot(caller), verified)) = slot.zip(Caller::from_extensions(extensions)) {
        drop(caller.set(verified)); // retries set the same caller
    }
}

impl AccessRecord {
    /// Returns `None` if the access log is off; this check is then the only cost.
    pub(crate) fn new<B>(request: &mut Request<B>) -> Option<Box<Self>> {
        if !tracing::enabled!(target: "access", Level::INFO) {
            return None;
        }
        let caller = Arc::default();
        let slot = CallerSlot(Arc::clone(&caller));
        request.extensions_mut().insert(slot);
        Some(Box::new(Self {
            client: request.extensions().get().map(ClientAddr::address),
            method: request.method().clone(),
            uri: request.uri().clone(),
            host: request.headers().get(header::HOST).cloned(),
            caller,
        }))
    }

    /// Field names are OpenTelemetry's where it has one, and the metrics' labels. Queries are left out: they may hold
    /// a signature.
    pub(crate) fn log(
        &self,
        ids: &RequestIds,
        labels: &[String; 2],
        duration: Duration,
        summary: &RequestSummary,
    ) {
        let host_header = || Authority::try_from(self.host.as_ref()?.as_bytes()).ok();
        let authority = self.uri.authority().cloned().or_else(host_header);
        let [route, origin] = labels;
        tracing::info!(
            target: "access",
            {
                client.address = self.client.map(field::display),
                http.request.method = truncated(self.method.as_str()),
                server.address = authority.as_ref().map(|it| truncated(it.host())),
                url.path = truncated(self.uri.path()),
                http.response.status_code = summary.code,
                route = route.as_str(),
                origin = origin.as_str(),
                duration_ms = duration.as_micros() as f64 / 1000.0,
                request_id = ids.request_id(),
                trace_id = ids.trace_id(),
                access_key_id = self.caller.get().and_then(Caller::access_key_id),
                caller = self.caller.get().map(|it| truncated(it.id())),
                tenant = self.caller.get().and_then(Caller::tenant).map(truncated),
                mechanism = self.caller.get().map(Caller::mechanism).or(summary.mechanism),
                cache = summary.cache,
                rejection = summary.rejection.as_deref(),
                origin_rejection = summary.origin_rejection,
            },
            "request",
        );
    }
}

fn truncated(value: &str) -> &str {
    &value[..value.floor_char_boundary(MAX_VALUE_LEN)]
}
