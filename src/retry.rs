//! Retries of failed requests, outside of signing, so that each attempt has a date and a signature of its own.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_smithy_types::date_time::{DateTime, Format};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use tokio::time::{Instant, Sleep, sleep};
use tower::{
    retry::{
        Policy,
        backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff},
        budget::{Budget, TpsBudget},
    },
    util::rng::Rng,
};

use crate::{
    doctor::bare,
    error::{BoxError, Error},
};

/// Retry policy for `tower::retry::RetryLayer`, to be put outside of the [`SigningLayer`](crate::SigningLayer).
///
/// | failure | requests that are sent again |
/// |---|---|
/// | 429, 503 with `retry-after`, a throttling code of AWS in `x-amzn-errortype` | all: they were not carried out |
/// | 500, 502, 503, 504, an error of the inner service | those whose method is idempotent (RFC 9110, section 9.2.2), or [all](RetryPolicy::with_all_methods) |
/// | an error of this crate | none: the request would fail again |
///
/// A bare 503 does not say that nothing was carried out: API Gateway HTTP APIs respond so at their timeout, while
/// the integration goes on. A throttling code in the body, such as S3's `SlowDown`, is not seen, since the policy
/// does not read bodies.
///
/// The first pause is 100 ms, each further one twice as long, with up to as much again at random so that a fleet
/// does not come back at once. An origin's `retry-after` (RFC 9110, section 10.2.3) is honored if it is no longer
/// than the longest pause, 20 seconds; otherwise the caller gets the response. Clones share a budget: of ten
/// requests that succeed two may be sent again, and ten a second in any case.
///
/// Requests are cloned, so their bodies have to be `Clone`: `http_body_util::Full`, not one that streams.
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
/// let origin = Origin::parse("https://abc123.execute-api.us-east-1.amazonaws.com/prod")?;
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
/// let mut answers = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK].into_iter();
/// # let answers = std::sync::Arc::new(std::sync::Mutex::new(answers));
/// let client = ServiceBuilder::new()
///     .layer(RetryLayer::new(RetryPolicy::new().with_attempts(5)))
///     .layer(SigningLayer::new(credentials, origin))
///     .service_fn(|_: Request<SignedBody<Full<Bytes>>>| {
/// #       let mut answers = answers.lock().unwrap();
///         let mut response = Response::new(Full::<Bytes>::default());
///         *response.status_mut() = answers.next().unwrap();
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
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.left = attempts.saturating_sub(1);
        self
    }

    /// Sets the first pause and the longest, which an origin's `retry-after` may not exceed either.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the longest is shorter than the first, or zero.
    pub fn with_pauses(mut self, first: Duration, longest: Duration) -> Result<Self, Error> {
        self.backoff = backoff(first, longest)?;
        self.longest = longest;
        Ok(self)
    }

    /// Sets the budget that the policy's clones share, with other policies too.
    pub fn with_budget(mut self, budget: Arc<dyn Budget + Send + Sync>) -> Self {
        self.budget = budget;
        self
    }

    /// Sets whether requests are sent again whatever their method (they are not by default): right for APIs that
    /// carry out a request with the same content once, as many of AWS do by a token in it.
    pub fn with_all_methods(mut self, all: bool) -> Self {
        self.all_methods = all;
        self
    }

    /// True if a request of this method may be carried out twice.
    fn may_repeat(&self, method: &Method) -> bool {
        self.all_methods || method.is_idempotent()
    }

    /// True if another attempt may help, and do no harm.
    fn helps<R>(&self, method: &Method, result: &Result<Response<R>, BoxError>) -> bool {
        match result {
            Ok(response) => match response.status() {
                StatusCode::TOO_MANY_REQUESTS => true,
                StatusCode::SERVICE_UNAVAILABLE
                    if response.headers().contains_key(header::RETRY_AFTER) =>
                {
                    true
                }
                status if status.as_u16() >= 400 && is_throttled(response.headers()) => true,
                StatusCode::INTERNAL_SERVER_ERROR
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
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
        let asked = headers.and_then(retry_after).unwrap_or_default();
        if self.left == 0 || asked > self.longest || !self.budget.withdraw() {
            return None;
        }
        self.left -= 1;
        let pause = self.backoff.next_backoff().deadline() - Instant::now();
        Some(sleep(pause.max(asked)))
    }

    fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
        Some(request.clone())
    }
}

fn backoff(first: Duration, longest: Duration) -> Result<ExponentialBackoff<Random>, Error> {
    let maker = ExponentialBackoffMaker::new(first, longest, 1.0, Random);
    let mut maker = maker.map_err(|source| {
        Error::config(format!(
            "pauses of {first:?} to {longest:?} cannot be; give the longest one last, and above zero"
        ))
        .with_source(source)
    })?;
    Ok(maker.make_backoff())
}

/// Returns true for an error code that AWS's services use when they have not carried out a request: AWS SDKs and
/// Tools Reference Guide, "Retry behavior".
fn is_throttled(headers: &HeaderMap) -> bool {
    let code = headers.get("x-amzn-errortype").and_then(|code| code.to_str().ok());
    code.is_some_and(|code| {
        matches!(
            bare(code),
            "BandwidthLimitExceeded"
                | "EC2ThrottledException"
                | "ProvisionedThroughputExceededException"
                | "RequestLimitExceeded"
                | "RequestThrottled"
                | "RequestThrottledException"
                | "SlowDown"
                | "ThrottledException"
                | "Throttling"
                | "ThrottlingException"
                | "TooManyRequestsException"
        )
    })
}

/// Returns the time for which an origin asks to be left alone, given in seconds or as a date.
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
