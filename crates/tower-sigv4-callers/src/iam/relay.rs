//! Requests to STS.

use std::time::SystemTime;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, StatusCode, Uri,
    header::{ACCEPT, CONTENT_TYPE, HOST},
};
use http_body_util::Full;
use serde_json::Value;

use super::{
    IamSettings, Rejection, RejectionKind as Kind, VerifiedPrincipal, signed_url::SignedUrl,
};
use crate::{BoxError, HttpClient};

/// Maximum size of a response in bytes. GetCallerIdentity has about 400.
const MAX_RESPONSE: usize = 16 * 1024;

/// A request to STS that a caller has signed.
pub(super) struct Relay {
    request: Request<Full<Bytes>>,
    partition: &'static str,
    expires_at: SystemTime,
}

impl Relay {
    pub(super) fn new(url: &SignedUrl<'_>, settings: &IamSettings) -> Result<Self, Rejection> {
        let invalid = || Kind::Malformed.rejection("the URL of STS is not valid");
        let mut parts = match &settings.relay_url {
            Some(base) => base.clone(),
            None => format!("https://{}/", url.endpoint.host)
                .parse::<Uri>()
                .map_err(|_| invalid())?,
        }
        .into_parts();
        parts.path_and_query = Some(url.target().parse().map_err(|_| invalid())?);
        let request = Request::get(Uri::from_parts(parts).map_err(|_| invalid())?)
            .header(HOST, &url.endpoint.host)
            .header(&settings.server_id_header, &settings.server_id)
            // Otherwise STS responds with XML.
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .body(Full::default())
            .map_err(|_| invalid())?;
        Ok(Self {
            request,
            partition: url.endpoint.partition,
            expires_at: url.expires_at,
        })
    }

    /// Sends the request. Only a response in the documented form makes a principal.
    pub(super) async fn send(
        self,
        client: &HttpClient,
        settings: &IamSettings,
    ) -> Result<VerifiedPrincipal, Rejection> {
        let sent = client
            .send(self.request, MAX_RESPONSE, settings.timeout)
            .await;
        let (head, body) = sent.map_err(unavailable)?.into_parts();
        match head.status {
            StatusCode::OK => {}
            // Throttling, which has the status 400, says nothing about the caller.
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
                if !is_throttled(&body) =>
            {
                return Err(Kind::Denied.rejection("STS rejects the signature of the URL"));
            }
            status => return Err(unavailable(format!("STS responds with {status}").into())),
        }
        if !is_json(&head.headers) {
            return Err(unavailable("STS does not respond with JSON".into()));
        }
        let principal = parse(&body, self.partition, self.expires_at);
        principal.ok_or_else(|| unavailable("the response of STS is malformed".into()))
    }
}

/// Returns `true` if STS limits the rate of requests. This request is not at fault.
fn is_throttled(body: &[u8]) -> bool {
    let document = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let code = document.pointer("/Error/Code").and_then(Value::as_str);
    code.is_some_and(|it| it.starts_with("Throttl") || it == "RequestLimitExceeded")
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = value.and_then(|text| text.split(';').next());
    media_type.is_some_and(|text| text.trim().eq_ignore_ascii_case("application/json"))
}

/// Reads the JSON form of the response (AWS STS API Reference, GetCallerIdentity).
fn parse(body: &[u8], partition: &str, expires_at: SystemTime) -> Option<VerifiedPrincipal> {
    let document: Value = serde_json::from_slice(body).ok()?;
    let result = document.pointer("/GetCallerIdentityResponse/GetCallerIdentityResult")?;
    let text = |name| result.get(name).and_then(Value::as_str);
    let (account, arn, user_id) = (text("Account")?, text("Arn")?, text("UserId")?);
    VerifiedPrincipal::new(account, arn, user_id, partition, expires_at)
}

fn unavailable(cause: BoxError) -> Rejection {
    Kind::StsUnavailable
        .rejection("STS is not available; try again later")
        .with_source(cause)
}
