//! What answers and errors become on the way back to the client.

use std::{error::Error, fmt, io, sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, Request, StatusCode, header};
use http_body::Body as _;
use hyper::body::Incoming;
use serde_json::json;
use tower::{load_shed::error::Overloaded, timeout::error::Elapsed};
use tower_http::timeout::TimeoutError;
use tower_sigv4::{
    body::ResponseBody,
    doctor::{Cause, Diagnosis},
    origin::remove_hop_by_hop,
    verify::Rejection,
};

use crate::{
    BoxError,
    min_body_rate::{Pace, Paced, TooSlow},
    request_validation::Refused,
    tunnel,
    upstream::BodyFailed,
};

/// A route's rate is used up, for so long.
#[derive(Debug)]
pub(crate) struct TooMany(pub(crate) Duration);

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there are too many requests on this route")
    }
}

impl Error for TooMany {}

/// In the extensions of an answer: what went wrong, which the log is told and the client is not.
#[derive(Clone)]
pub(crate) struct Failure(pub(crate) String);

/// When to come back where too many requests are on their way at once.
const SHED: Duration = Duration::from_secs(1);
const TOO_SLOW: &str = "the request's body came too slowly";

/// A body with a time-out does not tell that it is empty, so one that is gets none.
pub(crate) fn with_pace(request: Request<Body>, pace: Pace) -> Request<Body> {
    request.map(|body| match body.is_end_stream() {
        true => Body::empty(),
        false => Body::new(Paced::new(body, pace)),
    })
}

/// The answer on a route that verifies: the origin's, or a refusal.
pub(crate) fn verified(response: http::Response<ResponseBody<Body>>) -> Response {
    match response.extensions().get::<Arc<Rejection>>() {
        Some(rejection) if came_slowly(&**rejection) => {
            message(StatusCode::REQUEST_TIMEOUT, TOO_SLOW)
        }
        _ => response.map(Body::new),
    }
}

/// The answer as it concerns the client: without what concerns the connection to the origin.
pub(crate) fn for_client(response: http::Response<ResponseBody<Incoming>>) -> Response {
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if switches && !tunnel::is_open(&response) {
        return message(
            StatusCode::BAD_GATEWAY,
            "the origin switched protocols unasked",
        );
    }
    if let Some(diagnosis) = response.extensions().get::<Diagnosis>()
        && is_of_the_gateway(diagnosis)
    {
        let cause = diagnosis.cause();
        let text = format!(
            "the origin refused the gateway's signature ({cause}); the gateway's log has more"
        );
        let mut refused = message(StatusCode::BAD_GATEWAY, &text);
        refused.extensions_mut().insert(diagnosis.clone());
        return refused;
    }
    let mut response = response.map(Body::new);
    remove_hop_by_hop(response.headers_mut());
    if switches {
        tunnel::announce(response.headers_mut());
    }
    response
}

/// Whether it is the gateway whom the origin refused, in words that may quote the gateway's own session token.
fn is_of_the_gateway(diagnosis: &Diagnosis) -> bool {
    match diagnosis.cause() {
        Cause::NotAllowed | Cause::RouteMissing => false,
        // Of the hash that a client has sent and the gateway trusts.
        Cause::BodyChanged | Cause::PayloadKind => !diagnosis.differences().is_empty(),
        _ => true,
    }
}

/// The head of an answer, with the length that its body has.
pub(crate) fn without_body(mut answer: Response) -> Response {
    if let Some(length @ 1..) = answer.body().size_hint().exact() {
        answer
            .headers_mut()
            .entry(header::CONTENT_LENGTH)
            .or_insert(length.into());
    }
    answer.map(|_| Body::empty())
}

/// Without the headers of these names.
pub(crate) fn remove_where(headers: &mut HeaderMap, goes: impl Fn(&HeaderName) -> bool) {
    let names: Vec<_> = headers.keys().filter(|name| goes(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// An error as an answer: the client learns what it can mend, the log the rest.
pub(crate) fn answer(error: BoxError) -> Response {
    let text = chain(&*error);
    let wait = match error.downcast_ref() {
        Some(TooMany(wait)) => Some((StatusCode::TOO_MANY_REQUESTS, *wait)),
        None if error.is::<Overloaded>() => Some((StatusCode::SERVICE_UNAVAILABLE, SHED)),
        None => None,
    };
    if let Some((status, wait)) = wait {
        let mut response = message(
            status,
            "there are too many requests on this route; try later",
        );
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.max(1).into());
        return response;
    }
    // One of a body that streams is what the exchange with the origin failed for.
    let own = causes(&*error).find_map(|cause| cause.downcast_ref::<tower_sigv4::Error>());
    let (status, told) = match (own, error.downcast_ref::<Refused>()) {
        _ if came_slowly(&*error) => (StatusCode::REQUEST_TIMEOUT, TOO_SLOW.to_owned()),
        (Some(own), _) => (own.status(), own.to_string()),
        (None, Some(refused)) => (refused.status(), text.clone()),
        (None, None) if is_of_body(&*error) => {
            (StatusCode::BAD_REQUEST, BodyFailed::TEXT.to_owned())
        }
        (None, None) if timed_out(&*error) => (
            StatusCode::GATEWAY_TIMEOUT,
            "the origin did not answer in time".to_owned(),
        ),
        (None, None) => (
            StatusCode::BAD_GATEWAY,
            "the origin could not be reached".to_owned(),
        ),
    };
    let mut response = message(status, &told);
    if status.is_server_error() {
        response.extensions_mut().insert(Failure(text));
    }
    response
}

pub(crate) fn message(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "message": text }))).into_response()
}

fn came_slowly(error: &(dyn Error + 'static)) -> bool {
    caused_by::<TimeoutError>(error, |_| true) || caused_by::<TooSlow>(error, |_| true)
}

/// Whether it was the client who broke off, while its body streamed.
pub(crate) fn is_of_body(error: &(dyn Error + 'static)) -> bool {
    caused_by::<BodyFailed>(error, |_| true)
}

fn timed_out(error: &(dyn Error + 'static)) -> bool {
    caused_by::<Elapsed>(error, |_| true)
        || caused_by::<io::Error>(error, |error| error.kind() == io::ErrorKind::TimedOut)
}

fn caused_by<E: Error + 'static>(error: &(dyn Error + 'static), is: impl Fn(&E) -> bool) -> bool {
    causes(error).any(|error| error.downcast_ref().is_some_and(&is))
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    causes(error)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use axum::body::Bytes;
    use http_body::Frame;
    use http_body_util::BodyExt;
    use tower::ServiceExt;
    use tower_http::timeout::TimeoutBody;
    use tower_sigv4::sigv4::SigningParams;

    use super::*;
    use crate::{config::Config, gateway::Gateway};

    /// A body that never comes.
    struct Stops;

    impl http_body::Body for Stops {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_in_its_body_is_told_so() {
        let address = "127.0.0.1:1".parse().expect("an address");
        let config = Config::parse(&crate::demo::config(address)).expect("sound");
        let request = Request::post("/")
            .header("host", "h")
            .header("content-length", "4")
            .body(Body::new(Stops));
        let request = request.expect("a request");
        let response = Gateway::new(config)
            .expect("a gateway")
            .service()
            .oneshot(request)
            .await;
        assert_eq!(
            response.expect("an answer").status(),
            StatusCode::REQUEST_TIMEOUT
        );

        // The same where the body streams, so that the client to the origin meets the error.
        let streamed = TimeoutBody::new(Duration::from_secs(30), Stops)
            .collect()
            .await
            .expect_err("timed out");
        let error = axum::Error::new(streamed);
        assert_eq!(answer(error.into()).status(), StatusCode::REQUEST_TIMEOUT);
        let error = axum::Error::new(TooSlow);
        assert_eq!(answer(error.into()).status(), StatusCode::REQUEST_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_is_to_be_verified_is_told_so_too() {
        let address = "127.0.0.1:1".parse().expect("an address");
        let config = crate::demo::config(address)
            + "[verify]\nservice = \"execute-api\"\nregion = \"us-east-1\"\n\
               [[verify.key]]\naccess_key_id = \"AKID\"\nsecret_access_key = \"secret\"\n";
        let config = Config::parse(&config).expect("sound");
        let key = aws_credential_types::Credentials::new("AKID", "secret", None, None, "test");
        let head = Request::post("http://h/")
            .header("content-length", "4")
            .body(());
        let head = head.expect("a request");
        let (mut head, ()) = head.into_parts();
        let settings = tower_sigv4::SigningSettings::new("execute-api", "us-east-1");
        let identity = tower_sigv4::sigv4::Identity::new(key).expect("valid");
        let payload = tower_sigv4::sigv4::PayloadHash::EMPTY;
        let now = std::time::SystemTime::now();
        let settings = settings.expect("a scope");
        let params = SigningParams::new(&settings, &identity, payload, now);
        tower_sigv4::sigv4::Signer::new()
            .sign(&mut head, &params)
            .expect("signed");
        let request = Request::from_parts(head, Body::new(Stops));
        let response = Gateway::new(config)
            .expect("a gateway")
            .service()
            .oneshot(request)
            .await;
        assert_eq!(
            response.expect("an answer").status(),
            StatusCode::REQUEST_TIMEOUT
        );
    }

    #[tokio::test]
    async fn an_origin_that_is_too_slow_is_a_gateway_timeout() {
        let timeouts: [BoxError; 2] = [
            Elapsed::new().into(),
            io::Error::from(io::ErrorKind::TimedOut).into(),
        ];
        for error in timeouts {
            assert_eq!(answer(error).status(), StatusCode::GATEWAY_TIMEOUT);
        }
        assert_eq!(answer("reset".into()).status(), StatusCode::BAD_GATEWAY);
    }
}
