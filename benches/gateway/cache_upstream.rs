//! The origin of the cache's benchmark.
//!
//! The path chooses the response: `/<route>/<delay in ms>/<status>/<size>/<kind>/...`, where kind is a value of
//! `cache-control`, or `cookie`. `GET /count/<path>` returns the number of requests for that path.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, time};
use tower_sigv4::BoxError;

type Counts = Arc<Mutex<HashMap<String, u64>>>;

/// The parsed path.
struct Scenario {
    delay: Duration,
    status: StatusCode,
    size: usize,
    kind: String,
}

impl Scenario {
    fn parse(path: &str) -> Option<Self> {
        let mut segments = path.split('/').skip(2);
        let delay = Duration::from_millis(segments.next()?.parse().ok()?);
        let status = segments.next()?.parse().ok()?;
        let size = segments.next()?.parse().ok()?;
        let kind = segments.next()?.to_owned();
        Some(Self {
            delay,
            status,
            size,
            kind,
        })
    }
}

async fn respond(
    request: Request<Incoming>,
    counts: Counts,
    bodies: Arc<HashMap<usize, Bytes>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    if let Some(counted) = path.strip_prefix("/count") {
        let count = lock(&counts).get(counted).copied().unwrap_or_default();
        return Ok(Response::new(Full::from(count.to_string())));
    }
    *lock(&counts).entry(path.clone()).or_default() += 1;
    // An incomplete body is the client's affair.
    drop(request.into_body().collect().await);
    let Some(scenario) = Scenario::parse(&path) else {
        let mut invalid = Response::new(Full::default());
        *invalid.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(invalid);
    };
    time::sleep(scenario.delay).await;
    let body = bodies.get(&scenario.size).cloned();
    let mut response = Response::new(Full::from(
        body.unwrap_or_else(|| vec![b'.'; scenario.size].into()),
    ));
    *response.status_mut() = scenario.status;
    let headers = response.headers_mut();
    let caching = match &*scenario.kind {
        "cookie" => {
            headers.insert(header::SET_COOKIE, HeaderValue::from_static("id=1"));
            "max-age=3600"
        }
        written => written,
    };
    if let Ok(value) = HeaderValue::from_str(caching) {
        headers.insert(header::CACHE_CONTROL, value);
    }
    Ok(response)
}

fn lock(counts: &Counts) -> std::sync::MutexGuard<'_, HashMap<String, u64>> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let counts = Counts::default();
    let sizes = [1024, 100 * 1024, 2 * 1024 * 1024];
    let bodies: HashMap<_, Bytes> = sizes.map(|size| (size, vec![b'.'; size].into())).into();
    let shared = Arc::new(bodies);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (counted, prepared) = (counts.clone(), shared.clone());
        let service =
            service_fn(move |request| respond(request, counted.clone(), prepared.clone()));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
