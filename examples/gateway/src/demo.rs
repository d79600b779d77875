//! The demonstration: an origin that verifies signatures as API Gateway does.
//!
//! It derives the signature with AWS's own signer, not with tower-sigv4, so that the two check each
//! other. Where that signer is wrong the answer is a 403 that API Gateway would not give: for query bytes
//! that are not UTF-8, and for tabs and other bytes beyond ASCII in a signed header.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header, request::Parts};
use serde_json::json;
use time::{PrimitiveDateTime, macros::format_description};
use tokio::net::TcpListener;

use crate::BoxError;

const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const REGION: &str = "us-east-1";
const SERVICE: &str = "execute-api";
const STAGE: &str = "/prod";
const BODY_LIMIT: usize = 16 * 1024 * 1024;
const CLOCK_WINDOW: Duration = Duration::from_secs(5 * 60);

/// Starts the origin on a free port.
pub(crate) async fn start_origin() -> Result<SocketAddr, BoxError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let router =
        Router::new().fallback(handle).layer(DefaultBodyLimit::max(BODY_LIMIT)).with_state(address);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// The configuration of a gateway before this origin, as it could stand in a file.
pub(crate) fn config(origin: SocketAddr) -> String {
    format!(
        "[credentials]\n\
         source = \"static\"\n\
         access_key_id = \"{ACCESS_KEY_ID}\"\n\
         secret_access_key = \"{SECRET_ACCESS_KEY}\"\n\
         [[origin]]\n\
         name = \"demo\"\n\
         url = \"http://{origin}{STAGE}\"\n\
         service = \"{SERVICE}\"\n\
         region = \"{REGION}\"\n\
         [[route]]\n\
         path = \"/\"\n\
         origin = \"demo\"\n"
    )
}

/// What to try.
pub(crate) fn welcome(origin: SocketAddr, gateway: SocketAddr) -> String {
    format!(
        "origin  http://{origin}{STAGE} verifies SigV4, as API Gateway does\n\
         gateway http://{gateway} signs for it\n\
         \n\
         Try, in another terminal:\n\
         \n\
         # the origin itself, not signed: 403\n\
         curl -i http://{origin}{STAGE}/orders\n\
         \n\
         # the origin itself, signed for another host, as clients of a custom domain do: 403\n\
         curl -i -H 'host: api.example.com' --aws-sigv4 aws:amz:{REGION}:{SERVICE} \\\n  \
         --user {ACCESS_KEY_ID}:{SECRET_ACCESS_KEY} http://{origin}{STAGE}/orders\n\
         \n\
         # the same through the gateway: 200\n\
         curl -i http://{gateway}/orders\n\
         curl -i 'http://{gateway}/v1/items:batch?b=2&a=1+1' -d 'any body'\n\
         \n\
         Ctrl-C ends it."
    )
}

async fn handle(State(address): State<SocketAddr>, parts: Parts, body: Bytes) -> Response {
    match verify(&parts, &body, address) {
        Ok(()) => {
            let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
            let seen = json!({
                "message": "the signature is right",
                "method": parts.method.as_str(),
                "path": parts.uri.path(),
                "query": parts.uri.query(),
                "host": header("host"),
                "x-forwarded-for": header("x-forwarded-for"),
                "x-forwarded-host": header("x-forwarded-host"),
                "body bytes": body.len(),
            });
            Json(seen).into_response()
        }
        Err(Rejection { error_type, message }) => {
            let error_type = [("x-amzn-errortype", error_type)];
            (StatusCode::FORBIDDEN, error_type, Json(json!({ "message": message }))).into_response()
        }
    }
}

struct Rejection {
    error_type: &'static str,
    message: &'static str,
}

const MISSING: Rejection = Rejection {
    error_type: "MissingAuthenticationTokenException",
    message: "Missing Authentication Token",
};
const INCOMPLETE: Rejection = Rejection {
    error_type: "IncompleteSignatureException",
    message: "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature', and the \
              request an 'X-Amz-Date' header.",
};
const EXPIRED: Rejection = Rejection {
    error_type: "InvalidSignatureException",
    message: "Signature expired or not yet current.",
};
const MISMATCH: Rejection = Rejection {
    error_type: "InvalidSignatureException",
    message: "The request signature we calculated does not match the signature you provided. Check \
              your AWS Secret Access Key and signing method. Consult the service documentation for \
              details.",
};

/// Derives the signature that the request should have had here, at this origin's own host.
fn verify(parts: &Parts, body: &[u8], address: SocketAddr) -> Result<(), Rejection> {
    let authorization = text(&parts.headers, header::AUTHORIZATION.as_str()).ok_or(MISSING)?;
    let field = |name: &str| {
        let fields = authorization.strip_prefix("AWS4-HMAC-SHA256 ")?.split(',');
        fields.map(str::trim).find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
    };
    let signed_headers = field("SignedHeaders").ok_or(INCOMPLETE)?;
    let signature = field("Signature").ok_or(INCOMPLETE)?;
    let time = text(&parts.headers, "x-amz-date").and_then(parse_time).ok_or(INCOMPLETE)?;
    let now = SystemTime::now();
    if now.duration_since(time).or_else(|_| time.duration_since(now)).ok() > Some(CLOCK_WINDOW) {
        return Err(EXPIRED);
    }
    let derived = derive(parts, body, address, signed_headers, time).ok_or(MISMATCH)?;
    let scope = field("Credential").and_then(|credential| credential.split_once('/'));
    let expected_scope = derived
        .split_once("Credential=")
        .and_then(|(_, rest)| rest.split_once(',')?.0.split_once('/'));
    let matches = scope.is_some()
        && scope == expected_scope
        && derived.rsplit_once("Signature=").map(|(_, derived)| derived) == Some(signature)
        && derived.contains(&format!("SignedHeaders={signed_headers},"));
    if matches { Ok(()) } else { Err(MISMATCH) }
}

/// The authorization header that AWS's signer makes of the request as it arrived.
fn derive(
    parts: &Parts,
    body: &[u8],
    address: SocketAddr,
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
    let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "demo");
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
    // Host, date and hash are left to the signer: it knows what they have to be.
    let ours = ["host", "x-amz-date", hash_header];
    let headers = parts
        .headers
        .iter()
        .filter(|(name, _)| names.contains(&name.as_str()) && !ours.contains(&name.as_str()))
        .map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect::<Option<Vec<_>>>()?;
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let request = SignableRequest::new(
        parts.method.as_str(),
        format!("http://{address}{target}"),
        headers.into_iter(),
        SignableBody::Bytes(body),
    )
    .ok()?;
    let (instructions, _) = sign(request, &params).ok()?.into_parts();
    instructions.headers().find(|(name, _)| *name == "authorization").map(|(_, value)| value.into())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn parse_time(text: &str) -> Option<SystemTime> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    Some(PrimitiveDateTime::parse(text, format).ok()?.assume_utc().into())
}
