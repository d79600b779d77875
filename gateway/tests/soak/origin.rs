//! Origins that verify requests with the library's layer, and return the number and the body of each request.

use std::{
    collections::{BTreeMap, HashSet},
    convert::Infallible,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    response::Response,
};
use http::{HeaderMap, HeaderName, Method, Request, Response as HttpResponse, StatusCode, header};
use http_body_util::{BodyExt, Collected};
use tokio::time;
use tower::{ServiceBuilder, service_fn};
use tower_sigv4::{
    VerifyLayer,
    body::VerifiedBody,
    credentials::Credentials,
    verify::{Key, KeyRequest, KeyStore, LookupFuture, RejectionKind, Verified, VerifySettings},
};

use crate::support::REGION;

/// Number of a request, returned in the response.
pub(crate) const NUMBER: HeaderName = HeaderName::from_static("x-soak");
/// Largest body.
pub(crate) const MAX_BODY_LEN: usize = 3 << 20;
/// Generations of keys that are valid at a time.
pub(crate) const VALID_GENERATIONS: u32 = 3;

/// Random bytes; all bodies are slices of them, and differ from each other.
static BYTES: LazyLock<Bytes> = LazyLock::new(|| {
    let mut random = fastrand::Rng::with_seed(4);
    let mut bytes = vec![0; 2 * MAX_BODY_LEN];
    random.fill(&mut bytes);
    bytes.into()
});

/// Returns the body of a target such as `/buffer/17/4096`.
pub(crate) fn body(at: usize, size: usize) -> Bytes {
    BYTES.slice(at..at + size)
}

/// Returns the key of an origin or a caller.
pub(crate) fn key(owner: &str, generation: u32) -> Credentials {
    let id = format!("AKID{owner}{generation}");
    let secret = format!("secret of {id}");
    Credentials::new(id, secret, None, None, "soak")
}

/// State shared by all origins.
#[derive(Default)]
pub(crate) struct Origin {
    /// Newest generation of keys; the ones just before it are valid too.
    pub(crate) generation: AtomicU32,
    received: Mutex<HashSet<u64>>,
    /// Rejected and wrong requests, with their number.
    wrong: Mutex<BTreeMap<String, usize>>,
}

impl Origin {
    /// Verifies requests for the service and responds.
    pub(crate) fn router(self: &Arc<Self>, service: &str) -> Router {
        let mut settings = VerifySettings::new(service, REGION).expect("a scope");
        if service == "s3" {
            settings = settings.with_unsigned_payload(true);
        }
        let observer = self.clone();
        let origin = self.clone();
        let verified = ServiceBuilder::new()
            .map_response(move |response: HttpResponse<_>| observer.count_rejection(response))
            .layer(VerifyLayer::new(Keys(self.clone()), settings))
            .service_fn(move |request| origin.clone().respond(request));
        Router::new().fallback_service(service_fn(move |request: Request<Body>| {
            tower::ServiceExt::oneshot(verified.clone(), request)
        }))
    }

    /// Returns `true` if a request with this number arrived.
    pub(crate) fn has_received(&self, number: u64) -> bool {
        self.received
            .lock()
            .expect("not poisoned")
            .contains(&number)
    }

    pub(crate) fn wrong(&self) -> BTreeMap<String, usize> {
        self.wrong.lock().expect("not poisoned").clone()
    }

    fn count_error(&self, error: String) {
        *self
            .wrong
            .lock()
            .expect("not poisoned")
            .entry(error)
            .or_default() += 1;
    }

    fn count_rejection<B>(&self, response: HttpResponse<B>) -> HttpResponse<B> {
        match response.extensions().get() {
            // The client aborted.
            None | Some(RejectionKind::BodyRead) => {}
            Some(kind) => self.count_error(format!("the origin rejected: {kind:?}")),
        }
        response
    }

    async fn respond(
        self: Arc<Self>,
        request: Request<VerifiedBody<Body>>,
    ) -> Result<Response, Infallible> {
        let (head, sent) = request.into_parts();
        if head.extensions.get::<Verified>().is_none() {
            self.count_error("an unsigned request reached the origin".to_owned());
        }
        if let Some(number) = number(&head.headers) {
            self.received.lock().expect("not poisoned").insert(number);
        }
        let mut parts = head
            .uri
            .path()
            .rsplit('/')
            .map_while(|part| part.parse().ok());
        let (Some(size), Some(at)) = (parts.next(), parts.next()) else {
            self.count_error(format!("the origin received the target {}", head.uri));
            return Ok(Response::default());
        };
        let sent = sent
            .collect()
            .await
            .map(Collected::to_bytes)
            .unwrap_or_default();
        let is_upload = [Method::PUT, Method::POST].contains(&head.method);
        if is_upload && sent != body(at, size) || !is_upload && !sent.is_empty() {
            let length = sent.len();
            self.count_error(format!(
                "{} {} has a body of {length} bytes",
                head.method, head.uri
            ));
        }
        // Occupies a permit for a while.
        time::sleep(Duration::from_millis(fastrand::u64(5..40))).await;
        let mut response = Response::builder();
        if let Some(number) = head.headers.get(NUMBER) {
            response = response.header(NUMBER, number);
        }
        let tag = format!("\"{at}-{size}\"");
        if head.uri.path().starts_with("/cached") {
            let control = format!("public, max-age={}, stale-while-revalidate=1", at % 4);
            response = response
                .header(header::CACHE_CONTROL, control)
                .header(header::ETAG, &tag);
        }
        let built = match head.method {
            Method::DELETE => response.status(StatusCode::NO_CONTENT).body(Body::empty()),
            _ if head
                .headers
                .get(header::IF_NONE_MATCH)
                .is_some_and(|it| *it == *tag) =>
            {
                response
                    .status(StatusCode::NOT_MODIFIED)
                    .body(Body::empty())
            }
            Method::HEAD => response
                .header(header::CONTENT_LENGTH, size)
                .body(Body::empty()),
            Method::GET => response.body(body(at, size).into()),
            _ => response.body(sent.into()),
        };
        Ok(built.expect("a response"))
    }
}

pub(crate) fn number(headers: &HeaderMap) -> Option<u64> {
    headers.get(NUMBER)?.to_str().ok()?.parse().ok()
}

struct Keys(Arc<Origin>);

impl KeyStore for Keys {
    fn lookup(&self, request: &KeyRequest<'_>) -> LookupFuture {
        let newest = self.0.generation.load(Ordering::SeqCst);
        let known = (newest.saturating_sub(VALID_GENERATIONS - 1)..=newest)
            .map(|number| key("ORIGIN", number));
        let mut known = known.filter(|key| key.access_key_id() == request.access_key_id());
        LookupFuture::ready(Ok(known.next_back().map(Key::from)))
    }
}
