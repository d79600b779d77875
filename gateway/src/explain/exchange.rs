//! Parses saved exchanges: output of curl, raw HTTP, or a curl command; and holds those of other formats.

use std::mem;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header, request::Parts,
};
use tower_sigv4::sigv4::{Payload, PayloadHash};

use super::curl;

/// More than servers send or accept.
pub(super) const MAX_HEADERS: usize = 256;

/// The last exchange in a saved text.
#[derive(Default)]
pub(super) struct Exchange {
    /// With the signed payload, if it can be derived.
    pub(super) request: Option<(Parts, Option<Payload>)>,
    pub(super) response: Option<(StatusCode, HeaderMap)>,
    /// Body of the response.
    pub(super) body: String,
    /// Strings that the client itself logged, in place of its request.
    pub(super) logged: Option<LoggedStrings>,
    /// Position in a file with other exchanges.
    pub(super) note: Option<String>,
}

pub(super) struct LoggedStrings {
    pub(super) canonical_request: String,
    pub(super) string_to_sign: String,
    pub(super) signature: Option<String>,
}

impl Exchange {
    pub(super) fn parse(saved: &str) -> Result<Self, String> {
        let trimmed = saved.trim_start_matches('\u{feff}').trim_start();
        let is_verbose = |line: &str| {
            line.starts_with("< HTTP/") || line.strip_prefix("> ").is_some_and(is_request_line)
        };
        if trimmed.lines().any(is_verbose) {
            Self::parse_verbose(trimmed)
        } else if let Some((command, rest)) = curl::split_command(trimmed) {
            Self::parse_response(Some(curl::parse(&command)?), rest)
        } else if trimmed.lines().next().is_some_and(is_request_line) {
            Self::parse_raw(trimmed)
        } else {
            Self::parse_response(None, trimmed)
        }
    }

    pub(super) fn has_response(&self) -> bool {
        self.response.is_some() || !self.body.trim().is_empty()
    }

    /// Returns `true` if the request has a signature, which may be malformed.
    pub(super) fn carries_signature(&self) -> bool {
        self.request.as_ref().is_some_and(|(head, _)| {
            let query = head.uri.query().unwrap_or_default();
            head.headers.contains_key(header::AUTHORIZATION) || query.contains("X-Amz-Signature=")
        })
    }

    /// Interim responses (RFC 9110, section 15.2) precede the final one.
    fn parse_response(
        request: Option<(Parts, Option<Payload>)>,
        saved: &str,
    ) -> Result<Self, String> {
        let mut response = None;
        let mut rest = saved.trim_start();
        while rest.starts_with("HTTP/") {
            let (head, body) = split_head(rest);
            response = Some(response_head(&format!("{}\r\n\r\n", head.trim_end()))?);
            rest = body;
        }
        Ok(Self {
            request,
            response,
            body: rest.to_owned(),
            ..Self::default()
        })
    }

    /// Parses a raw request with an optional body and an optional response.
    pub(super) fn parse_raw(saved: &str) -> Result<Self, String> {
        let (text, after_blank) = split_head(saved);
        let (lines, rest) = match text.find("\nHTTP/") {
            Some(at) => (&text[..at], &saved[at + 1..]),
            None => (text, after_blank),
        };
        let trimmed: Vec<_> = lines.lines().map(str::trim_end).collect();
        let head = request_head(&format!("{}\r\n\r\n", trimmed.join("\r\n")))?;
        let split_body = || {
            let length = head.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?;
            rest.split_at_checked(length.parse().ok()?)
        };
        let (payload, response) = match split_body() {
            Some((body, response)) => {
                let hash = PayloadHash::of(body.as_bytes());
                (Some(Payload::Hash(hash)), response)
            }
            None => (payload_of_unknown_body(&head), rest),
        };
        Self::parse_response(Some((head, payload)), response)
    }

    /// Parses the output of `curl -v`, which marks heads of requests with `> ` and of responses with `< `.
    fn parse_verbose(saved: &str) -> Result<Self, String> {
        let mut request_lines = HeadLines::new("> ");
        let mut response_lines = HeadLines::new("< ");
        let mut body = String::new();
        for line in saved.split_inclusive('\n') {
            let text = line.trim_end_matches(['\r', '\n']);
            if request_lines.push(text) {
                continue;
            }
            if response_lines.push(text) {
                if response_lines.unfinished.is_empty() {
                    body.clear();
                }
            } else if !["* ", "{ [", "} ["].iter().any(|it| text.starts_with(it)) {
                body += line;
            }
        }
        if request_lines.last.is_none() && !request_lines.unfinished.is_empty() {
            request_lines.last = Some(request_lines.unfinished + "\r\n");
        }
        let response = response_lines
            .last
            .as_deref()
            .map(response_head)
            .transpose()?;
        let request = match request_lines.last {
            Some(lines) => {
                let head = request_head(&lines)?;
                let payload = payload_of_unknown_body(&head);
                Some((head, payload))
            }
            None => None,
        };
        // curl's progress meter may surround the response or its body.
        if response.is_none()
            && let Some(start) = body.find("HTTP/")
        {
            return Self::parse_response(request, &body[start..]);
        }
        if let Some((start, end)) = body.find(['{', '<']).zip(body.rfind(['}', '>'])) {
            body = body.get(start..=end).unwrap_or_default().to_owned();
        }
        Ok(Self {
            request,
            response,
            body,
            ..Self::default()
        })
    }
}

/// Collects the lines of heads that start with a mark.
struct HeadLines {
    mark: &'static str,
    unfinished: String,
    last: Option<String>,
}

impl HeadLines {
    fn new(mark: &'static str) -> Self {
        Self {
            mark,
            unfinished: String::new(),
            last: None,
        }
    }

    /// Returns `false` for a line without the mark.
    fn push(&mut self, text: &str) -> bool {
        let blank = (text == self.mark.trim_end()).then_some("");
        let Some(line) = text.strip_prefix(self.mark).or(blank) else {
            return false;
        };
        self.unfinished += line.trim_end();
        self.unfinished += "\r\n";
        if line.trim_end().is_empty() {
            self.last = Some(mem::take(&mut self.unfinished));
        }
        true
    }
}

/// Returns `true` for a line such as `GET / HTTP/1.1`.
fn is_request_line(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    words
        .nth(2)
        .is_some_and(|version| version.starts_with("HTTP/"))
        && words.next().is_none()
}

/// Splits at the first empty line.
fn split_head(text: &str) -> (&str, &str) {
    let blank_line = text.match_indices('\n').find_map(|(at, _)| {
        let next = &text[at + 1..];
        let rest = next.strip_prefix("\r\n").or(next.strip_prefix('\n'))?;
        Some((&text[..at], rest))
    });
    blank_line.unwrap_or((text, ""))
}

/// Returns the payload of an empty body if nothing in the head announces a body.
fn payload_of_unknown_body(head: &Parts) -> Option<Payload> {
    let announces_body = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING]
        .iter()
        .any(|name| head.headers.contains_key(name));
    let is_empty = matches!(head.method, Method::GET | Method::HEAD) && !announces_body;
    is_empty.then_some(Payload::Hash(PayloadHash::EMPTY))
}

pub(super) fn response_head(head: &str) -> Result<(StatusCode, HeaderMap), String> {
    let http1 = with_http1_version(head);
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    response
        .parse(http1.as_bytes())
        .map_err(|error| format!("the response's head: {error}"))?;
    let status = response
        .code
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or("the response has no valid status")?;
    Ok((status, header_map(response.headers)?))
}

fn request_head(head: &str) -> Result<Parts, String> {
    let http1 = with_http1_version(head);
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    request
        .parse(http1.as_bytes())
        .map_err(|error| format!("the request's head: {error}"))?;
    let (mut parts, ()) = Request::builder()
        .method(request.method.unwrap_or_default())
        .uri(request.path.unwrap_or_default())
        .body(())
        .map_err(|error| format!("the request's head: {error}"))?
        .into_parts();
    parts.headers = header_map(request.headers)?;
    Ok(parts)
}

/// Replaces the version of HTTP/2 and HTTP/3 heads, which curl prints in the format of HTTP/1.1.
fn with_http1_version(head: &str) -> String {
    let (first, rest) = head.split_once("\r\n").unwrap_or((head, ""));
    let words = first.split(' ').map(|word| match word {
        "HTTP/2" | "HTTP/3" => "HTTP/1.1",
        _ => word,
    });
    format!("{}\r\n{rest}", words.collect::<Vec<_>>().join(" "))
}

fn header_map(headers: &[httparse::Header<'_>]) -> Result<HeaderMap, String> {
    let pair = |header: &httparse::Header<'_>| {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(header.value).ok()?))
    };
    let pairs: Option<Vec<_>> = headers.iter().map(pair).collect();
    let mut map = HeaderMap::new();
    for (name, value) in pairs.ok_or("a header is invalid")? {
        map.append(name, value);
    }
    Ok(map)
}
