//! Origin that verifies signatures with AWS's own signer.
//!
//! It has the bugs of that signer: it rejects query bytes that are not UTF-8, and tabs and non-ASCII bytes in signed
//! headers.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use axum::{Router, body::Bytes, extract::State};
use http::{HeaderMap, StatusCode, header, request::Parts};
use time::{PrimitiveDateTime, macros::format_description};
use tokio::net::TcpListener;

use super::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, SERVICE};

const CLOCK_WINDOW: Duration = Duration::from_secs(5 * 60);

/// Starts on a free port. The status is 200 for valid signatures and 403 otherwise.
pub async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = router(address.to_string());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Returns the same origin as a router.
pub fn router(authority: String) -> Router {
    Router::new().fallback(handle).with_state(authority)
}

async fn handle(
    State(authority): State<String>,
    parts: Parts,
    body: Bytes,
) -> (StatusCode, &'static str) {
    match verify(&parts, &body, &authority) {
        Ok(()) => (StatusCode::OK, "AWS's signer agrees"),
        Err(why) => (StatusCode::FORBIDDEN, why),
    }
}

/// Compares the signature with the one derived for this origin's host.
fn verify(parts: &Parts, body: &[u8], authority: &str) -> Result<(), &'static str> {
    let authorization = text(&parts.headers, header::AUTHORIZATION.as_str()).ok_or("not signed")?;
    let field = |name: &str| {
        let fields = authorization.strip_prefix("AWS4-HMAC-SHA256 ")?.split(',');
        fields
            .map(str::trim)
            .find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
    };
    let signed_headers = field("SignedHeaders").ok_or("incomplete")?;
    let signature = field("Signature").ok_or("incomplete")?;
    let time = text(&parts.headers, "x-amz-date")
        .and_then(parse_time)
        .ok_or("incomplete")?;
    let now = SystemTime::now();
    if now
        .duration_since(time)
        .or_else(|_| time.duration_since(now))
        .ok()
        > Some(CLOCK_WINDOW)
    {
        return Err("expired");
    }
    let derived =
        derive(parts, body, authority, signed_headers, time).ok_or("not to be derived")?;
    let scope = field("Credential").and_then(|credential| credential.split_once('/'));
    let expected_scope = derived
        .split_once("Credential=")
        .and_then(|(_, rest)| rest.split_once(',')?.0.split_once('/'));
    let matches = scope.is_some()
        && scope == expected_scope
        && derived
            .rsplit_once("Signature=")
            .map(|(_, derived)| derived)
            == Some(signature)
        && derived.contains(&format!("SignedHeaders={signed_headers},"));
    if matches { Ok(()) } else { Err("mismatch") }
}

/// Returns the authorization header that AWS's signer derives for the received request.
fn derive(
    parts: &Parts,
    body: &[u8],
    authority: &str,
    signed_headers: &str,
    time: SystemTime,
) -> Option<String> {
    let names: Vec<_> = signed_headers.split(';').collect();
    let hash_header = "x-amz-content-sha256";
    let mut settings = SigningSettings::default();
    settings.excluded_headers = None;
    if names.contains(&hash_header) {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "judge");
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name(SERVICE)
        .time(time)
        .settings(settings)
        .build()
        .ok()?
        .into();
    // The signer adds host, date and hash itself.
    let ours = ["host", "x-amz-date", hash_header];
    let headers = parts
        .headers
        .iter()
        .filter(|(name, _)| names.contains(&name.as_str()) && !ours.contains(&name.as_str()))
        .map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect::<Option<Vec<_>>>()?;
    let target = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let request = SignableRequest::new(
        parts.method.as_str(),
        format!("http://{authority}{target}"),
        headers.into_iter(),
        SignableBody::Bytes(body),
    )
    .ok()?;
    let (instructions, _) = sign(request, &params).ok()?.into_parts();
    instructions
        .headers()
        .find(|(name, _)| *name == "authorization")
        .map(|(_, value)| value.into())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn parse_time(text: &str) -> Option<SystemTime> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    Some(
        PrimitiveDateTime::parse(text, format)
            .ok()?
            .assume_utc()
            .into(),
    )
}
