//! A line for each request, at its end.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{Extensions, HeaderValue, Method, Request, Uri, header, uri::Authority};
use tower_sigv4::{origin::ClientAddr, verify::Verified};
use tracing::{Level, field};

use crate::request_id::Ids;

/// What may be logged of a value that the client chose, in bytes.
const LONGEST: usize = 1024;

/// What is logged of a request besides its answer.
pub(crate) struct Access {
    client: Option<IpAddr>,
    method: Method,
    uri: Uri,
    host: Option<HeaderValue>,
    caller: Arc<OnceLock<Verified>>,
}

/// What became of a request.
pub(crate) struct Outcome {
    pub(crate) code: u16,
    /// What the cache did.
    pub(crate) cache: Option<&'static str>,
    /// Why the caller was refused here.
    pub(crate) rejection: Option<String>,
    /// Why the origin refused the signature.
    pub(crate) refusal: Option<&'static str>,
}

/// In the extensions of a request: where to say who calls, once that is known.
#[derive(Clone)]
struct Caller(Arc<OnceLock<Verified>>);

/// Says to the access log who calls, if there is one.
pub(crate) fn name_caller(extensions: &Extensions) {
    if let (Some(Caller(caller)), Some(verified)) = (extensions.get(), extensions.get::<Verified>())
    {
        drop(caller.set(verified.clone())); // it is the same at each try
    }
}

impl Access {
    /// None where there is no access log, which costs no more than to ask.
    pub(crate) fn of<B>(request: &mut Request<B>) -> Option<Box<Self>> {
        if !tracing::enabled!(target: "access", Level::INFO) {
            return None;
        }
        let caller = Arc::default();
        request.extensions_mut().insert(Caller(Arc::clone(&caller)));
        Some(Box::new(Self {
            client: request.extensions().get().map(ClientAddr::address),
            method: request.method().clone(),
            uri: request.uri().clone(),
            host: request.headers().get(header::HOST).cloned(),
            caller,
        }))
    }

    /// By the names that OpenTelemetry has for them, and of the metrics' labels. Of the target it is the path
    /// alone: what a query holds may be a signature.
    pub(crate) fn log(&self, ids: &Ids, labels: &[String; 2], took: Duration, outcome: &Outcome) {
        let of_header = || Authority::try_from(self.host.as_ref()?.as_bytes()).ok();
        let host = self.uri.authority().cloned().or_else(of_header);
        let [route, origin] = labels;
        tracing::info!(
            target: "access",
            {
                client.address = self.client.map(field::display),
                http.request.method = start(self.method.as_str()),
                server.address = host.as_ref().map(|host| start(host.host())),
                url.path = start(self.uri.path()),
                http.response.status_code = outcome.code,
                route = route.as_str(),
                origin = origin.as_str(),
                duration_ms = took.as_micros() as f64 / 1000.0,
                request_id = ids.request(),
                trace_id = ids.trace(),
                access_key_id = self.caller.get().map(Verified::access_key_id),
                cache = outcome.cache,
                rejection = outcome.rejection.as_deref(),
                refusal = outcome.refusal,
            },
            "request",
        );
    }
}

fn start(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}
