//! Origin that verifies signatures with AWS's own signer, the crate `aws-sigv4`.

use std::time::{Duration, SystemTime};

use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use aws_smithy_runtime_api::client::identity::Identity;
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, request::Parts},
};
use time::{PrimitiveDateTime, macros::format_description};

use crate::{REGION, credentials};

const CLOCK_WINDOW: Duration = Duration::from_secs(5 * 60);
/// Headers that the signer adds itself.
const OWN: [&str; 3] = ["x-amz-content-sha256", "x-amz-date", "x-amz-security-token"];

/// Responds with 200 to a valid signature and with 403 otherwise.
pub(crate) fn router(service: &'static str) -> Router {
    Router::new()
        .fallback(handle)
        .layer(DefaultBodyLimit::disable())
        .with_state(service)
}

async fn handle(
    State(service): State<&'static str>,
    parts: Parts,
    body: Bytes,
) -> (StatusCode, String) {
    match verify(&parts, &body, service) {
        Ok(()) => (StatusCode::OK, format!("{} bytes", body.len())),
        Err(reason) => (StatusCode::FORBIDDEN, reason),
    }
}

fn verify(parts: &Parts, body: &[u8], service: &str) -> Result<(), String> {
    let authorization = text(&parts.headers, "authorization").ok_or("not signed")?;
    let (_, fields) = authorization
        .split_once("SignedHeaders=")
        .ok_or("no signed headers")?;
    let (names, _) = fields.split_once(',').ok_or("no signature")?;
    let date = text(&parts.headers, "x-amz-date").ok_or("no date")?;
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let time: SystemTime = PrimitiveDateTime::parse(date, format)
        .map_err(|error| error.to_string())?
        .assume_utc()
        .into();
    let now = SystemTime::now();
    let skew = now.duration_since(time).or(time.duration_since(now));
    if skew.ok() > Some(CLOCK_WINDOW) {
        return Err(format!("{date} is outside the clock window"));
    }
    let derived = derive(parts, body, service, names, time)?;
    // Spaces after the commas are optional.
    if derived.replace(", ", ",") == authorization.replace(", ", ",") {
        Ok(())
    } else {
        Err(format!("{authorization}, not {derived}"))
    }
}

/// Returns the authorization header that AWS's signer derives for the received request.
fn derive(
    parts: &Parts,
    body: &[u8],
    service: &str,
    names: &str,
    time: SystemTime,
) -> Result<String, String> {
    let signed: Vec<_> = names.split(';').collect();
    let headers = parts
        .headers
        .iter()
        .filter(|(name, _)| signed.contains(&name.as_str()) && !OWN.contains(&name.as_str()))
        .map(|(name, value)| {
            let text = value.to_str().map_err(|error| error.to_string())?;
            Ok((name.as_str(), text))
        })
        .collect::<Result<Vec<_>, String>>()?;
    let mut settings = SigningSettings::default();
    settings.excluded_headers = None;
    if signed.contains(&"x-amz-content-sha256") {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    let identity = Identity::new(credentials(), None);
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name(service)
        .time(time)
        .settings(settings)
        .build()
        .map_err(|error| error.to_string())?
        .into();
    let host = text(&parts.headers, "host").ok_or("no host")?;
    let uri = format!("https://{host}{}", parts.uri);
    let request = SignableRequest::new(
        parts.method.as_str(),
        uri,
        headers.into_iter(),
        SignableBody::Bytes(body),
    )
    .map_err(|error| error.to_string())?;
    let output = sign(request, &params).map_err(|error| error.to_string())?;
    let (instructions, _) = output.into_parts();
    let (_, derived) = instructions
        .headers()
        .find(|(name, _)| *name == "authorization")
        .ok_or("the signer adds no authorization")?;
    Ok(derived.to_owned())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
