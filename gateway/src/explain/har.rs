//! Parses HAR files of browsers: HTTP Archive 1.2.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use serde::Deserialize;
use tower_sigv4::sigv4::{Payload, PayloadHash};

use super::exchange::Exchange;

#[derive(Deserialize)]
struct File {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    request: SentRequest,
    response: Response,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SentRequest {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<Header>,
    post_data: Option<PostData>,
}

#[derive(Deserialize)]
struct PostData {
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
struct Response {
    status: u16,
    #[serde(default)]
    headers: Vec<Header>,
    #[serde(default)]
    content: Content,
}

#[derive(Deserialize, Default)]
struct Content {
    #[serde(default)]
    text: String,
    encoding: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    name: String,
    value: String,
}

/// Returns `true` if the text starts as a HAR file does.
pub(super) fn is_har(saved: &str) -> bool {
    let start: String = saved
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .take(7)
        .collect();
    start == "{\"log\":"
}

/// Returns the last rejected exchange, one with a signature if there is any.
pub(super) fn parse(saved: &str) -> Result<Exchange, String> {
    let file: File =
        serde_json::from_str(saved).map_err(|error| format!("the HAR file is invalid: {error}"))?;
    let entries = || {
        file.log
            .entries
            .iter()
            .rev()
            .filter(|entry| entry.is_rejected())
    };
    let entry = entries()
        .find(|entry| entry.request.is_signed())
        .or_else(|| entries().next())
        .ok_or("the HAR file has no rejected request, that is, none with status 301, 307 or 400 to 403")?;
    entry.exchange()
}

impl Entry {
    fn is_rejected(&self) -> bool {
        matches!(self.response.status, 301 | 307 | 400..=403)
    }

    fn exchange(&self) -> Result<Exchange, String> {
        let request = &self.request;
        let url = request.url.split('#').next().unwrap_or_default();
        let uri: Uri = url
            .parse()
            .map_err(|_| "the URL of the request in the HAR file is invalid")?;
        let (mut head, ()) = Request::builder()
            .method(&*request.method)
            .uri(&uri)
            .body(())
            .map_err(|error| format!("the request in the HAR file: {error}"))?
            .into_parts();
        head.headers = header_map(&request.headers);
        // HTTP/2 has `:authority` in its place.
        if let Some(authority) = uri.authority()
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            head.headers.entry(header::HOST).or_insert(host);
        }
        let sent = request.post_data.as_ref().map_or("", |data| &*data.text);
        let payload = Payload::Hash(PayloadHash::of(sent.as_bytes()));
        let status = StatusCode::from_u16(self.response.status)
            .map_err(|_| "the status of the response in the HAR file is invalid")?;
        let content = &self.response.content;
        let decoded = match content.encoding.as_deref() {
            Some("base64") => BASE64_STANDARD.decode(&content.text).ok(),
            _ => None,
        };
        let body = decoded.map_or_else(
            || content.text.clone(),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        );
        Ok(Exchange {
            request: Some((head, Some(payload))),
            response: Some((status, header_map(&self.response.headers))),
            body,
            ..Exchange::default()
        })
    }
}

impl SentRequest {
    fn is_signed(&self) -> bool {
        let is_authorization = |header: &Header| {
            header.name.eq_ignore_ascii_case("authorization") && header.value.starts_with("AWS4-")
        };
        self.headers.iter().any(is_authorization) || self.url.contains("X-Amz-Signature=")
    }
}

/// Skips the pseudo-headers of HTTP/2 and headers that no message can have.
fn header_map(headers: &[Header]) -> HeaderMap {
    let pair = |header: &Header| {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(&header.value).ok()?))
    };
    let mut map = HeaderMap::new();
    for (name, value) in headers
        .iter()
        .filter_map(pair)
        .take(super::exchange::MAX_HEADERS)
    {
        map.append(name, value);
    }
    map
}
