//! Retries of failed requests, outside of signing, so that each attempt has a date and a signature of its own.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_smithy_types::date_time::{DateTime, Format};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use tokio::time::{Sleep, sleep};
use tower::{
    retry::{
        Policy,
        backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff},
        budget::{Budget, TpsBudget},
    },
    util::rng::Rng,
};

use crate::{
    doctor::strip_namespace,
    error::{BoxError, Error},
};

/// A policy for `tower::retry::RetryLayer`, to be put outside of the [`SigningLayer`](crate::SigningLayer).
///
/// | failure | requests that are retried |
/// |---|---|
/// | 429 | all: the origin did not carry them out |
/// | 503 with `retry-after` or a throttling code | all, for the same reason |
/// | 500, 502, 503, 504, an error of the inner service | those whose method is idempotent (RFC 9110, section 9.2.2), or [all](RetryPolicy::with_all_methods) |
/// | an error of this crate | none: the request would fail again |
///
/// A 503 alone does not say that the request was not carried out. An HTTP API of API Gateway sends
/// `{"message":"Service Unavailable"}` once its integration takes too long, while the integration goes on.
/// Throttling codes are those of the AWS SDKs, such as `ThrottlingException`, in `x-amzn-errortype`. A code in the
/// body is not read, because the policy takes responses with any body: a POST that S3 rejects with
/// `<Code>SlowDown</Code>` is not retried.
///
/// The first pause is 100 ms and each further one twice as long. A random part of up to the same length is added,
/// so that the clients of an origin do not return all at once. The policy waits as long as `retry-after` asks
/// (RFC 9110, section 10.2.3). If that is more than the longest pause, 20 seconds, it returns the response
/// instead. Clones share a budget: two retries for ten requests that succeed, and ten a second in any case.
///
/// A request has to be cloned for that, so its body has to be: `http_body_util::Full`, not one that streams.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// use bytes::Bytes;
/// use http::{Request, Response, StatusCode};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt, retry::RetryLayer};
/// use tower_sigv4::{
///     Origin, SigningLayer, body::SignedBody, credentials::Credentials, retry::RetryPolicy,
/// };
///
/// let origin = Origin::infer("https://abc123.execute-api.us-east-1.amazonaws.com/prod")?;
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
/// let mut statuses = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK].into_iter();
/// # let statuses = std::sync::Arc::new(std::sync::Mutex::new(statuses));
/// let client = ServiceBuilder::new()
///     .layer(RetryLayer::new(RetryPolicy::new().with_max_attempts(5)))
///     .layer(SigningLayer::new(credentials, origin))
///     .service_fn(|_: Request<SignedBody<Full<Bytes>>>| {
/// #       let mut statuses = statuses.lock().unwrap();
///         let mut response = Response::new(Full::<Bytes>::default());
///         *response.status_mut() = statuses.next().unwrap();
///         std::future::ready(Ok::<_, std::convert::Infallible>(response))
///     });
///
/// let request = Request::get("/orders").body(Full::<Bytes>::default())?;
/// assert_eq!(client.oneshot(request).await?.status(), StatusCode::OK);
/// # Ok::<(), tower_sigv4::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
#[must_use]
pub struct RetryPolicy {
    /// How often a request may still be sent.
    left: u32,
    backoff: ExponentialBackoff<Random>,
    longest: Duration,
    budget: Arc<dyn Budget + Send + Sync>,
    all_methods: bool,
}

/// Another number for each clone, where tower's own generator would give all of them the same.
#[derive(Clone, Copy, Debug)]
struct Random;

impl Rng for Random {
    fn next_u64(&mut self) -> u64 {
        fastrand::u64(..)
    }
}

impl RetryPolicy {
    const ATTEMPTS: u32 = 3;
    const SHORTEST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(20);
    /// Maximum pause. A timer that ends later could be past what an `Instant` holds.
    const MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

    /// Three attempts.
    pub fn new() -> Self {
        Self {
            left: Self::ATTEMPTS - 1,
            backoff: backoff(Self::SHORTEST, Self::LONGEST).expect("the shorter one is first"),
            longest: Self::LONGEST,
            budget: Arc::new(TpsBudget::default()),
            all_methods: false,
        }
    }

    /// Sets how often a request is sent at most, the first time included.
    pub fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.left = attempts.saturating_sub(1);
        self
    }

    /// Sets the first pause and the longest, which an origin's `retry-after` may not exceed either. A pause is
    /// never longer than 30 days.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the longest is shorter than the first, or zero.
    pub fn with_backoff(mut self, first: Duration, longest: Duration) -> Result<Self, Error> {
        self.backoff = backoff(first, longest)?;
        self.longest = longest;
        Ok(self)
    }

    /// Sets the budget that the policy's clones share, with other policies too.
    pub fn with_budget(mut self, budget: Arc<dyn Budget + Send + Sync>) -> Self {
        self.budget = budget;
        self
    }

    /// Retries requests of any method (off by default). Use it for APIs that carry out two requests with the same
    /// content once, as many of AWS do by a token in the content.
    pub fn with_all_methods(mut self, all: bool) -> Self {
        self.all_methods = all;
        self
    }

    /// Returns true if a request of this method may be carried out twice.
    fn may_repeat(&self, method: &Method) -> bool {
        self.all_methods || method.is_idempotent()
    }

    /// Returns true if another attempt may help and does no harm.
    fn helps<R>(&self, method: &Method, result: &Result<Response<R>, BoxError>) -> bool {
        match result {
            Ok(response) => match response.status() {
                StatusCode::TOO_MANY_REQUESTS => true,
                StatusCode::SERVICE_UNAVAILABLE if is_throttled(response.headers()) => true,
                StatusCode::INTERNAL_SERVER_ERROR
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::BAD_GATEWAY
                | StatusCode::GATEWAY_TIMEOUT => self.may_repeat(method),
                _ => false,
            },
            Err(error) => error.downcast_ref::<Error>().is_none() && self.may_repeat(method),
        }
    }
}

impl<B, R> Policy<Request<B>, Response<R>, BoxError> for RetryPolicy
where
    B: Clone,
{
    type Future = Sleep;

    fn retry(
        &mut self,
        request: &mut Request<B>,
        result: &mut Result<Response<R>, BoxError>,
    ) -> Option<Sleep> {
        if !self.helps(request.method(), result) {
            if result.is_ok() {
                self.budget.deposit();
            }
            return None;
        }
        let headers = result.as_ref().ok().map(Response::headers);
        let requested = headers.and_then(retry_after).unwrap_or_default();
        if self.left == 0 || requested > self.longest || !self.budget.withdraw() {
            return None;
        }
        self.left -= 1;
        let pause = self.backoff.next_backoff();
        let requested = sleep(requested.min(Self::MAX));
        Some(if requested.deadline() > pause.deadline() {
            requested
        } else {
            pause
        })
    }

    fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
        Some(request.clone())
    }
}

fn backoff(first: Duration, longest: Duration) -> Result<ExponentialBackoff<Random>, Error> {
    let maker = |first, longest| {
        ExponentialBackoffMaker::new(first, longest, 1.0, Random).map_err(|source| {
            Error::config(format!(
                "pauses of {first:?} to {longest:?} cannot be; give the longest one last, and above zero"
            ))
            .with_source(source)
        })
    };
    maker(first, longest)?;
    let mut maker = maker(first.min(RetryPolicy::MAX), longest.min(RetryPolicy::MAX))?;
    Ok(maker.make_backoff())
}

/// Returns true if the origin says that it did not carry out the request.
fn is_throttled(headers: &HeaderMap) -> bool {
    headers.contains_key(header::RETRY_AFTER)
        || error_code(headers).is_some_and(|code| THROTTLING_CODES.contains(&code))
}

/// Error codes after which the AWS SDKs retry any request: `THROTTLING_ERRORS` of the crate `aws-runtime`, which
/// implements "Retry behavior" of the AWS SDKs and Tools Reference Guide.
const THROTTLING_CODES: [&str; 14] = [
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
];

/// Returns the code in `x-amzn-errortype`. Two such headers are ambiguous.
fn error_code(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all("x-amzn-errortype").iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok().map(strip_namespace)
}

/// Returns the time that an origin asks the client to wait, given in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = SystemTime::try_from(DateTime::from_str(value, Format::HttpDate).ok()?).ok()?;
    until.duration_since(crate::Clock::system().now()).ok()
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("left", &self.left)
            .field("longest", &self.longest)
            .field("all_methods", &self.all_methods)
            .finish_non_exhaustive()
    }
}
