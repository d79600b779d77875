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
    /// Bytes, or -1 if unknown.
    body_size: Option<i64>,
}

#[derive(Deserialize)]
struct PostData {
    text: Option<String>,
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
    let start: String = without_mark(saved)
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .take(7)
        .collect();
    start == "{\"log\":"
}

/// Removes the byte order mark, with which some programs save text.
fn without_mark(saved: &str) -> &str {
    saved.trim_start_matches('\u{feff}')
}

/// Returns the last rejected exchange, one with a signature if there is any.
pub(super) fn parse(saved: &str) -> Result<Exchange, String> {
    let file: File = serde_json::from_str(without_mark(saved))
        .map_err(|error| format!("the HAR file is invalid: {error}"))?;
    let all = &file.log.entries;
    let rejected: Vec<_> = (1..)
        .zip(all)
        .filter(|(_, entry)| entry.is_rejected())
        .collect();
    let signed = rejected
        .iter()
        .rev()
        .find(|(_, entry)| entry.request.is_signed());
    let (number, entry) = signed.or(rejected.last()).ok_or(
        "the HAR file has no rejected request, that is, none with status 301, 307 or 400 to 403",
    )?;
    let mut exchange = entry.exchange()?;
    if rejected.len() > 1 {
        exchange.note = Some(format!(
            "Of {} rejected requests in the HAR file, this is the last {}: entry {number} of {}.",
            rejected.len(),
            if signed.is_some() {
                "signed one"
            } else {
                "one"
            },
            all.len()
        ));
    }
    Ok(exchange)
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
            request: Some((head, request.payload())),
            response: Some((status, header_map(&self.response.headers))),
            body,
            ..Exchange::default()
        })
    }
}

impl SentRequest {
    /// Returns `None` if the file may lack the body: browsers omit binary and large ones.
    fn payload(&self) -> Option<Payload> {
        let text = self.post_data.as_ref().and_then(|data| data.text.as_ref());
        if let Some(sent) = text {
            return Some(Payload::Hash(PayloadHash::of(sent.as_bytes())));
        }
        let may_be_unknown = self.post_data.is_none() && ["GET", "HEAD"].contains(&&*self.method);
        let is_empty = match self.body_size {
            Some(0) => true,
            Some(-1) | None => may_be_unknown,
            Some(_) => false,
        };
        is_empty.then_some(Payload::Hash(PayloadHash::EMPTY))
    }

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
