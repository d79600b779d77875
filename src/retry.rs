//! Retries of failed requests, each attempt with a date and a signature of its own.

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
    error::{BoxError, Error},
    sigv4::{error_code::strip_namespace, signed_headers::single_value},
};

/// Policy for [`SigningLayer::with_retries`](crate::SigningLayer::with_retries).
///
/// | failure | requests that are retried |
/// |---|---|
/// | 429 | all, since the origin did not execute them |
/// | 503 with `retry-after` or a throttling code | all, for the same reason |
/// | 500, 502, 503, 504, an error of the inner service | those whose method is idempotent (RFC 9110, section 9.2.2), or [all](RetryPolicy::with_all_methods) |
/// | an error of this crate | none, since the request would fail again |
///
/// A plain 503 does not mean that the request was not executed. An HTTP API of API Gateway sends
/// `{"message":"Service Unavailable"}` if its integration takes too long, while the integration continues.
/// Throttling codes are those of the AWS SDKs, such as `ThrottlingException`, in `x-amzn-errortype`. The policy
/// supports any response body and does not read it, so a POST that S3 rejects with `<Code>SlowDown</Code>` is not
/// retried.
///
/// The backoff starts at 100 ms and doubles for each attempt, with a random addition of up to the same length. The
/// policy waits as long as `retry-after` requires (RFC 9110, section 10.2.3), but returns the response if that is more
/// than the maximum backoff of 20 seconds. Clones share a budget of two retries for ten successful requests, and at
/// least ten retries per second.
///
/// It is also a policy for tower's `RetryLayer`, outside of the signing layer. That layer clones each request, so its
/// body has to be `Clone`, unlike `axum::body::Body` or `reqwest::Body`.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// use axum::body::Body;
/// use http::{Request, Response, StatusCode};
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_sigv4::{
///     Origin, SigningLayer, body::SignedBody, credentials::Credentials, retry::RetryPolicy,
/// };
///
/// let origin = Origin::infer("https://abc123.execute-api.us-east-1.amazonaws.com/prod")?;
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
/// let mut statuses = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK].into_iter();
/// # let statuses = std::sync::Arc::new(std::sync::Mutex::new(statuses));
/// let policy = RetryPolicy::new().with_max_attempts(5);
/// let client = ServiceBuilder::new()
///     .layer(SigningLayer::new(credentials, origin).with_retries(policy))
///     .service_fn(|_: Request<SignedBody<Body>>| {
/// #       let mut statuses = statuses.lock().unwrap();
///         let mut response = Response::new(Body::empty());
///         *response.status_mut() = statuses.next().unwrap();
///         std::future::ready(Ok::<_, std::convert::Infallible>(response))
///     });
///
/// let request = Request::put("/orders/1").body(Body::from("an order"))?;
/// assert_eq!(client.oneshot(request).await?.status(), StatusCode::OK);
/// # Ok::<(), tower_sigv4::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
#[must_use]
pub struct RetryPolicy {
    /// Number of retries that are left.
    left: u32,
    backoff: ExponentialBackoff<Random>,
    longest: Duration,
    budget: Arc<dyn Budget + Send + Sync>,
    all_methods: bool,
}

/// Generator whose clones return different numbers, unlike those of tower's own generator.
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
    /// Maximum backoff, since a later time may overflow an `Instant`.
    const MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

    /// Creates a policy with three attempts.
    pub fn new() -> Self {
        Self {
            left: Self::ATTEMPTS - 1,
            backoff: backoff(Self::SHORTEST, Self::LONGEST).expect("valid backoff"),
            longest: Self::LONGEST,
            budget: Arc::new(TpsBudget::default()),
            all_methods: false,
        }
    }

    /// Limits the number of attempts, including the first one.
    pub fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.left = attempts.saturating_sub(1);
        self
    }

    /// Sets the first and the longest backoff. The longest also limits `retry-after`. No backoff exceeds 30 days.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the longest is shorter than the first, or zero.
    pub fn with_backoff(mut self, first: Duration, longest: Duration) -> Result<Self, Error> {
        self.backoff = backoff(first, longest)?;
        self.longest = longest;
        Ok(self)
    }

    /// Sets the budget. The policy's clones and other policies can share it.
    pub fn with_budget(mut self, budget: Arc<dyn Budget + Send + Sync>) -> Self {
        self.budget = budget;
        self
    }

    /// Retries requests of any method (disabled by default). Use it for APIs that execute two equal requests only once,
    /// as many AWS APIs do if the request contains a token.
    pub fn with_all_methods(mut self, all: bool) -> Self {
        self.all_methods = all;
        self
    }

    /// Returns `true` if a request with this method may be executed twice.
    fn may_repeat(&self, method: &Method) -> bool {
        self.all_methods || method.is_idempotent()
    }

    /// Returns the wait before the next attempt, if there is one.
    pub(crate) fn next_attempt<R>(
        &mut self,
        method: &Method,
        result: &Result<Response<R>, BoxError>,
    ) -> Option<Sleep> {
        if !self.should_retry(method, result) {
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
        let backoff = self.backoff.next_backoff();
        let retry_after = sleep(requested.min(Self::MAX));
        Some(if retry_after.deadline() > backoff.deadline() {
            retry_after
        } else {
            backoff
        })
    }

    /// Returns `true` if another attempt may succeed and is harmless.
    fn should_retry<R>(&self, method: &Method, result: &Result<Response<R>, BoxError>) -> bool {
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
        self.next_attempt(request.method(), result)
    }

    fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
        Some(request.clone())
    }
}

fn backoff(first: Duration, longest: Duration) -> Result<ExponentialBackoff<Random>, Error> {
    let max = RetryPolicy::MAX;
    let maker = ExponentialBackoffMaker::new(first.min(max), longest.min(max), 1.0, Random);
    let valid = maker.ok().filter(|_| first <= longest);
    valid.map(|mut limited| limited.make_backoff()).ok_or_else(|| {
        Error::config(format!(
            "a backoff from {first:?} to {longest:?} is invalid; the longest has to be above zero and not below the first"
        ))
    })
}

/// Returns `true` if the origin did not execute the request.
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

/// Returns the code in `x-amzn-errortype`.
fn error_code(headers: &HeaderMap) -> Option<&str> {
    let value = single_value(headers, "x-amzn-errortype")?;
    value.to_str().ok().map(strip_namespace)
}

/// Returns the wait that an origin requires, in seconds or until a date.
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
