//! Responses to clients: from origins, from the verification of callers, and from errors.

use std::{error::Error, io, sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes},
    response::{IntoResponse, Response},
};
use http::{StatusCode, Version, header};
use http_body::Body as _;
use serde_json::json;
use tower::{load_shed::error::Overloaded, timeout::error::Elapsed};
use tower_http::timeout::TimeoutError;
use tower_sigv4::{
    body::ResponseBody,
    doctor::{Cause, Diagnosis},
    error_response::ErrorContext,
    origin::remove_hop_by_hop,
    verify::Rejection,
};

use crate::{
    BoxError,
    authorization::{AccessDenied, CallerLimited},
    error::{causes, chain},
    form_upload::FormError,
    headers::normalize_length,
    identity::IdentityError,
    min_body_rate::SlowBody,
    rate::RateLimited,
    request_rejection::RequestRejection,
    request_validation::InvalidHead,
    setting_names::setting_name,
    trailers::CheckedTrailers,
    tunnel,
    upstream::{self, BodyFailed, UpstreamBody},
};

/// Extension of a response: an error that is logged, and that the client does not see.
#[derive(Clone)]
pub(crate) struct LoggedError(pub(crate) String);

/// Extension of a response of the gateway's own making: its message.
#[derive(Clone)]
struct OwnMessage(String);

/// Extension of the response to a caller that is not allowed to send the request.
#[derive(Clone)]
pub(crate) struct NotAllowed {
    /// Name of the mechanism that has verified the caller.
    pub(crate) mechanism: &'static str,
}

/// `retry-after` of a route that has its maximum of concurrent requests.
const OVERLOADED_RETRY: Duration = Duration::from_secs(1);
const ROUTE_LIMITED: &str = "too many requests on this route; try again later";
const SLOW_BODY: &str = "the request body arrived too slowly; send it faster";

/// Returns the response of a route that verifies callers: the inner one, or a rejection.
pub(crate) fn from_verification(response: http::Response<ResponseBody<Body>>) -> Response {
    match response.extensions().get::<Arc<Rejection>>() {
        Some(rejection) if is_slow_body(&**rejection) => {
            message(StatusCode::REQUEST_TIMEOUT, SLOW_BODY)
        }
        _ => response.map(Body::new),
    }
}

/// Returns an origin's response without what concerns only the connection to the origin, and hides rejections of the
/// gateway's own signature.
pub(crate) fn from_origin(response: http::Response<ResponseBody<UpstreamBody>>) -> Response {
    let is_switch = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if is_switch && !tunnel::is_open(&response) {
        return message(
            StatusCode::BAD_GATEWAY,
            "the origin switched protocols without being asked",
        );
    }
    if let Some(diagnosis) = response.extensions().get::<Diagnosis>()
        && concerns_gateway(response.status(), diagnosis)
    {
        let cause = diagnosis.cause();
        let text =
            format!("the origin rejected the gateway's signature ({cause}); see the gateway's log");
        let mut rejection = message(StatusCode::BAD_GATEWAY, &text);
        rejection.extensions_mut().insert(diagnosis.clone());
        return rejection;
    }
    let mut forwarded = response.map(|body| Body::new(CheckedTrailers::without_forbidden(body)));
    // The version of the origin's connection; hyper would end an HTTP/1.0 response as if it were complete.
    *forwarded.version_mut() = Version::HTTP_11;
    if normalize_length(forwarded.headers_mut()).is_none() {
        return message(
            StatusCode::BAD_GATEWAY,
            "the origin sent an invalid content-length",
        );
    }
    remove_hop_by_hop(forwarded.headers_mut());
    if is_switch {
        tunnel::add_upgrade_headers(forwarded.headers_mut());
    }
    forwarded
}

/// Returns `true` if the origin rejected the gateway. Its message may quote the gateway's session token.
fn concerns_gateway(status: StatusCode, diagnosis: &Diagnosis) -> bool {
    match diagnosis.cause() {
        // Clients of S3 know its redirects to the region of a bucket.
        Cause::WrongRegion if status.is_redirection() => false,
        Cause::NotAllowed | Cause::RouteMissing => false,
        // Without differences, the hash is one that the client sent and the gateway trusts.
        Cause::BodyChanged | Cause::PayloadKind => !diagnosis.differences().is_empty(),
        _ => true,
    }
}

/// Removes the body of a response to HEAD, and keeps its length.
pub(crate) fn without_body(mut response: Response) -> Response {
    if let Some(length @ 1..) = response.body().size_hint().exact() {
        response
            .headers_mut()
            .entry(header::CONTENT_LENGTH)
            .or_insert(length.into());
    }
    response.map(|_| Body::empty())
}

/// Returns the response to a failed request: the client learns what it can fix, the log the rest.
pub(crate) fn from_error(error: BoxError) -> Response {
    let rejection = RequestRejection::find(&*error);
    let mut response = error_response(error);
    if let Some(reason) = rejection {
        response.extensions_mut().insert(reason);
    }
    response
}

fn error_response(error: BoxError) -> Response {
    let retry = match error.downcast_ref() {
        Some(RateLimited(wait)) => Some((StatusCode::TOO_MANY_REQUESTS, *wait)),
        None if error.is::<Overloaded>() => {
            Some((StatusCode::SERVICE_UNAVAILABLE, OVERLOADED_RETRY))
        }
        None => None,
    };
    if let Some((status, wait)) = retry {
        return retry_later(status, wait, ROUTE_LIMITED);
    }
    if let Some(limited) = error.downcast_ref::<CallerLimited>() {
        let (status, wait) = match *limited {
            CallerLimited::Rate(wait) => (StatusCode::TOO_MANY_REQUESTS, wait),
            CallerLimited::Concurrency => (StatusCode::SERVICE_UNAVAILABLE, OVERLOADED_RETRY),
        };
        return retry_later(status, wait, &limited.to_string());
    }
    if let Some(denied) = error.downcast_ref::<AccessDenied>() {
        let mut response = message(StatusCode::FORBIDDEN, &denied.to_string());
        let mechanism = denied.mechanism();
        response.extensions_mut().insert(NotAllowed { mechanism });
        return response;
    }
    if let Some(rejected) = error.downcast_ref::<FormError>() {
        return message(rejected.status(), &rejected.to_string());
    }
    let (status, text) = status_and_text(&*error);
    let mut response = message(status, &text);
    if let Some(invalid) = error.downcast_ref::<InvalidHead>() {
        response.extensions_mut().insert(*invalid);
    }
    if status.is_server_error() {
        response
            .extensions_mut()
            .insert(LoggedError(chain(&*error)));
    }
    response
}

fn retry_later(status: StatusCode, wait: Duration, text: &str) -> Response {
    let mut response = message(status, text);
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, seconds.max(1).into());
    response
}

fn status_and_text(error: &(dyn Error + 'static)) -> (StatusCode, String) {
    if is_slow_body(error) {
        return (StatusCode::REQUEST_TIMEOUT, SLOW_BODY.to_owned());
    }
    // An error of a streaming body is a cause of the failed exchange with the origin.
    let mut own = causes(error).filter_map(|cause| cause.downcast_ref::<tower_sigv4::Error>());
    if let Some(signing) = own.next() {
        return match IdentityError::find(signing) {
            Some(missing) if missing.rejects_caller() => {
                (StatusCode::FORBIDDEN, missing.to_string())
            }
            Some(missing) => (signing.status(), missing.to_string()),
            None => (
                signing.status(),
                signing.message_with(setting_name).into_owned(),
            ),
        };
    }
    if let Some(invalid) = error.downcast_ref::<InvalidHead>() {
        return (invalid.status(), chain(error));
    }
    let (status, text) = if is_body_error(error) {
        (StatusCode::BAD_REQUEST, BodyFailed::MESSAGE)
    } else if is_timeout(error) {
        (
            StatusCode::GATEWAY_TIMEOUT,
            "the origin did not respond in time",
        )
    } else {
        (StatusCode::BAD_GATEWAY, upstream::message(error))
    };
    (status, text.to_owned())
}

/// Returns a response of the gateway's own making, in JSON until [`in_format_of_client`] knows the client's format.
pub(crate) fn message(status: StatusCode, text: &str) -> Response {
    let mut response = (status, Json(json!({ "message": text }))).into_response();
    response
        .extensions_mut()
        .insert(OwnMessage(text.to_owned()));
    response
}

/// Writes a response of the gateway's own making as the client's SDK reads errors. Others stay unchanged.
pub(crate) fn in_format_of_client(mut response: Response, context: &ErrorContext) -> Response {
    let Some(OwnMessage(text)) = response.extensions_mut().remove() else {
        return response;
    };
    let is_denied = response.extensions().get::<NotAllowed>().is_some();
    let written: http::Response<Bytes> = if is_denied {
        context.access_denied(&text)
    } else {
        context.response(response.status(), &text)
    };
    let (head, body) = written.into_parts();
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().extend(head.headers);
    response.map(|_| Body::from(body))
}

fn is_slow_body(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<TimeoutError>() || cause.is::<SlowBody>())
}

/// Returns `true` if the client's body failed while it was streamed.
pub(crate) fn is_body_error(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(<dyn Error>::is::<BodyFailed>)
}

fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    let is_io_timeout = |cause: &io::Error| cause.kind() == io::ErrorKind::TimedOut;
    causes(error)
        .any(|cause| cause.is::<Elapsed>() || cause.downcast_ref().is_some_and(is_io_timeout))
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use http::Request;
    use http_body::Frame;
    use http_body_util::BodyExt;
    use tower::ServiceExt;
    use tower_http::timeout::TimeoutBody;
    use tower_sigv4::sigv4::SigningParams;

    use super::*;
    use crate::{build::ActiveConfig, gateway::Gateway};

    /// A body that stalls before its first frame.
    struct StalledBody;

    impl http_body::Body for StalledBody {
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
    async fn stalled_bodies_get_request_timeout() {
        let address = "127.0.0.1:1".parse().expect("valid address");
        let config =
            ActiveConfig::parse(&crate::demo::config(address)).expect("valid configuration");
        let request = Request::post("/")
            .header("host", "h")
            .header("content-length", "4")
            .body(Body::new(StalledBody));
        let request = request.expect("valid request");
        let response = Gateway::new(config)
            .expect("a gateway")
            .service()
            .oneshot(request)
            .await;
        assert_eq!(
            response.expect("a response").status(),
            StatusCode::REQUEST_TIMEOUT
        );

        // A streamed body reports the error to the client of the origin.
        let streamed = TimeoutBody::new(Duration::from_secs(30), StalledBody)
            .collect()
            .await
            .expect_err("timed out");
        let error = axum::Error::new(streamed);
        assert_eq!(
            from_error(error.into()).status(),
            StatusCode::REQUEST_TIMEOUT
        );
        let error = axum::Error::new(SlowBody);
        assert_eq!(
            from_error(error.into()).status(),
            StatusCode::REQUEST_TIMEOUT
        );
    }

    #[tokio::test(start_paused = true)]
    async fn stalled_bodies_of_verified_routes_get_request_timeout() {
        let address = "127.0.0.1:1".parse().expect("valid address");
        let config = crate::demo::config(address)
            + "[verify]\nservice = \"execute-api\"\nregion = \"us-east-1\"\n\
               [[verify.key]]\naccess_key_id = \"AKID\"\nsecret_access_key = \"secret\"\n";
        let config = ActiveConfig::parse(&config).expect("valid configuration");
        let key = aws_credential_types::Credentials::new("AKID", "secret", None, None, "test");
        let head = Request::post("http://h/")
            .header("content-length", "4")
            .body(());
        let head = head.expect("valid request");
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
        let request = Request::from_parts(head, Body::new(StalledBody));
        let response = Gateway::new(config)
            .expect("a gateway")
            .service()
            .oneshot(request)
            .await;
        assert_eq!(
            response.expect("a response").status(),
            StatusCode::REQUEST_TIMEOUT
        );
    }

    #[tokio::test]
    async fn slow_origins_get_gateway_timeout() {
        let timeouts: [BoxError; 2] = [
            Elapsed::new().into(),
            io::Error::from(io::ErrorKind::TimedOut).into(),
        ];
        for error in timeouts {
            assert_eq!(from_error(error).status(), StatusCode::GATEWAY_TIMEOUT);
        }
        assert_eq!(from_error("reset".into()).status(), StatusCode::BAD_GATEWAY);
    }
}
