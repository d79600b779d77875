//! Origins that verify by the library's own layer whatever reaches them, and give back what tells requests apart.

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
    verify::{KeyStore, LookupFuture, RejectionKind, Verified, VerifySettings},
};

use crate::support::REGION;

/// The number of a request, there and back.
pub(crate) const NUMBER: HeaderName = HeaderName::from_static("x-soak");
/// Of one body.
pub(crate) const LARGEST: usize = 3 << 20;
/// How many generations of keys are valid at a time.
pub(crate) const VALID: u32 = 3;

/// What all bodies are slices of, so that each can be told from the others by its bytes.
static BYTES: LazyLock<Bytes> = LazyLock::new(|| {
    let mut random = fastrand::Rng::with_seed(4);
    let mut bytes = vec![0; 2 * LARGEST];
    random.fill(&mut bytes);
    bytes.into()
});

/// The body that a target such as `/buffer/17/4096` stands for.
pub(crate) fn body(at: usize, size: usize) -> Bytes {
    BYTES.slice(at..at + size)
}

/// The key of an origin or a caller, by its generation.
pub(crate) fn key(whose: &str, generation: u32) -> Credentials {
    let id = format!("AKID{whose}{generation}");
    let secret = format!("secret of {id}");
    Credentials::new(id, secret, None, None, "soak")
}

/// What all origins share.
#[derive(Default)]
pub(crate) struct Origin {
    /// The newest generation of keys; those shortly before it are valid as well.
    pub(crate) generation: AtomicU32,
    seen: Mutex<HashSet<u64>>,
    /// What was refused, or wrong though it was signed, and how often.
    wrong: Mutex<BTreeMap<String, usize>>,
}

impl Origin {
    /// Verifies what is signed for this service, and answers it.
    pub(crate) fn router(self: &Arc<Self>, service: &str) -> Router {
        let mut settings = VerifySettings::new(service, REGION).expect("a scope");
        if service == "s3" {
            settings = settings.with_unsigned_payload(true);
        }
        let (refused, origin) = (self.clone(), self.clone());
        let verified = ServiceBuilder::new()
            .map_response(move |answer: HttpResponse<_>| refused.refuses(answer))
            .layer(VerifyLayer::new(Keys(self.clone()), settings))
            .service_fn(move |request| origin.clone().answer(request));
        Router::new().fallback_service(service_fn(move |request: Request<Body>| {
            tower::ServiceExt::oneshot(verified.clone(), request)
        }))
    }

    /// Whether a request of this number has come here.
    pub(crate) fn has_seen(&self, number: u64) -> bool {
        self.seen.lock().expect("not poisoned").contains(&number)
    }

    pub(crate) fn wrong(&self) -> BTreeMap<String, usize> {
        self.wrong.lock().expect("not poisoned").clone()
    }

    fn is_wrong(&self, what: String) {
        *self
            .wrong
            .lock()
            .expect("not poisoned")
            .entry(what)
            .or_default() += 1;
    }

    fn refuses<B>(&self, answer: HttpResponse<B>) -> HttpResponse<B> {
        match answer.extensions().get() {
            // A client has broken off.
            None | Some(RejectionKind::BodyRead) => {}
            Some(kind) => self.is_wrong(format!("the origin refused: {kind:?}")),
        }
        answer
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<VerifiedBody<Body>>,
    ) -> Result<Response, Infallible> {
        let (head, sent) = request.into_parts();
        if head.extensions.get::<Verified>().is_none() {
            self.is_wrong("the origin was sent what is not signed".to_owned());
        }
        if let Some(number) = number(&head.headers) {
            self.seen.lock().expect("not poisoned").insert(number);
        }
        let mut parts = head
            .uri
            .path()
            .rsplit('/')
            .map_while(|part| part.parse().ok());
        let (Some(size), Some(at)) = (parts.next(), parts.next()) else {
            self.is_wrong(format!("the origin was asked for {}", head.uri));
            return Ok(Response::default());
        };
        let sent = sent
            .collect()
            .await
            .map(Collected::to_bytes)
            .unwrap_or_default();
        let is_upload = [Method::PUT, Method::POST].contains(&head.method);
        if is_upload && sent != body(at, size) || !is_upload && !sent.is_empty() {
            let of = sent.len();
            self.is_wrong(format!(
                "{} {} has a body of {of} bytes",
                head.method, head.uri
            ));
        }
        // Places are held for a while.
        time::sleep(Duration::from_millis(fastrand::u64(5..40))).await;
        let mut answer = Response::builder();
        if let Some(number) = head.headers.get(NUMBER) {
            answer = answer.header(NUMBER, number);
        }
        let tag = format!("\"{at}-{size}\"");
        if head.uri.path().starts_with("/cached") {
            let control = format!("public, max-age={}, stale-while-revalidate=1", at % 4);
            answer = answer
                .header(header::CACHE_CONTROL, control)
                .header(header::ETAG, &tag);
        }
        let answer = match head.method {
            Method::DELETE => answer.status(StatusCode::NO_CONTENT).body(Body::empty()),
            _ if head
                .headers
                .get(header::IF_NONE_MATCH)
                .is_some_and(|it| *it == *tag) =>
            {
                answer.status(StatusCode::NOT_MODIFIED).body(Body::empty())
            }
            Method::HEAD => answer
                .header(header::CONTENT_LENGTH, size)
                .body(Body::empty()),
            Method::GET => answer.body(body(at, size).into()),
            _ => answer.body(sent.into()),
        };
        Ok(answer.expect("an answer"))
    }
}

pub(crate) fn number(headers: &HeaderMap) -> Option<u64> {
    headers.get(NUMBER)?.to_str().ok()?.parse().ok()
}

struct Keys(Arc<Origin>);

impl KeyStore for Keys {
    fn lookup(&self, id: &str) -> LookupFuture {
        let newest = self.0.generation.load(Ordering::SeqCst);
        let known = (newest.saturating_sub(VALID - 1)..=newest).map(|number| key("ORIGIN", number));
        let mut known = known.filter(|key| key.access_key_id() == id);
        LookupFuture::ready(Ok(known.next_back()))
    }
}
