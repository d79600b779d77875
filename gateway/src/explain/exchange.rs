//! Exchanges as they are saved: by curl, from a log, by hand.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header, request::Parts,
};
use tower_sigv4::sigv4::{Payload, PayloadHash};

use super::curl;

/// More headers than any server sends or takes.
const HEADERS: usize = 256;

/// The last exchange in a text, taken apart.
#[derive(Default)]
pub(super) struct Exchange {
    /// With what was signed of its body, where that can be known.
    pub(super) request: Option<(Parts, Option<Payload>)>,
    pub(super) answer: Option<(StatusCode, HeaderMap)>,
    /// The answer's.
    pub(super) body: String,
}

impl Exchange {
    pub(super) fn read(saved: &str) -> Result<Self, String> {
        let saved = saved.trim_start_matches('\u{feff}').trim_start();
        if saved
            .lines()
            .any(|line| line.starts_with("< HTTP/") || is_request_line(line, "> "))
        {
            return Self::read_verbose(saved);
        }
        if let Some((command, rest)) = curl::command(saved) {
            let request = Some(curl::request(&command)?);
            return Self {
                request,
                ..Self::default()
            }
            .with_answer(rest);
        }
        if saved
            .lines()
            .next()
            .is_some_and(|line| is_request_line(line, ""))
        {
            return Self::read_raw(saved);
        }
        Self::default().with_answer(saved)
    }

    /// Answers before the last one (RFC 9110, section 15.2) stand in front of it.
    fn with_answer(mut self, saved: &str) -> Result<Self, String> {
        let mut rest = saved.trim_start();
        while rest.starts_with("HTTP/") {
            let (head, body) = split_head(rest);
            self.answer = Some(answer_head(&format!("{}\r\n\r\n", head.trim_end()))?);
            rest = body;
        }
        rest.clone_into(&mut self.body);
        Ok(self)
    }

    /// A request, with its body if it is there, and maybe the answer behind it.
    fn read_raw(saved: &str) -> Result<Self, String> {
        let (head, rest) = split_head(saved);
        let (head, answer) = match head.find("\nHTTP/") {
            Some(at) => (&head[..at], &saved[at + 1..]),
            None => (head, rest),
        };
        let lines: Vec<_> = head.lines().map(str::trim_end).collect();
        let head = request_head(&format!("{}\r\n\r\n", lines.join("\r\n")))?;
        let length = head.headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        let body = length.and_then(|length| answer.split_at_checked(length));
        let (body, answer) = body.map_or((None, answer), |(body, answer)| (Some(body), answer));
        let payload = payload(&head, body.map(str::as_bytes));
        Self {
            request: Some((head, payload)),
            ..Self::default()
        }
        .with_answer(answer)
    }

    /// Of `curl -v`: lines of the request's head begin with `> `, of the answer's with `< `.
    fn read_verbose(saved: &str) -> Result<Self, String> {
        let (mut last_request, mut last_answer, mut body) = (None, None, String::new());
        let (mut request, mut answer) = (String::new(), String::new());
        for line in saved.split_inclusive('\n') {
            let text = line.trim_end_matches(['\r', '\n']);
            let head = |mark: &str| {
                let bare = (text == mark.trim_end()).then_some("");
                text.strip_prefix(mark)
                    .or(bare)
                    .map(|line| format!("{}\r\n", line.trim_end()))
            };
            if let Some(line) = head("> ") {
                request += &line;
                if line == "\r\n" {
                    last_request = Some(std::mem::take(&mut request));
                }
            } else if let Some(line) = head("< ") {
                answer += &line;
                if line == "\r\n" {
                    last_answer = Some(std::mem::take(&mut answer));
                    body.clear();
                }
            } else if !["* ", "{ [", "} ["]
                .iter()
                .any(|mark| text.starts_with(mark))
            {
                body += line;
            }
        }
        if last_request.is_none() && !request.is_empty() {
            last_request = Some(request + "\r\n");
        }
        let answer = last_answer.as_deref().map(answer_head).transpose()?;
        let request = last_request.as_deref().map(request_head).transpose()?;
        let request = request.map(|head| {
            let payload = payload(&head, None);
            (head, payload)
        });
        // What shows how far curl is may stand around the answer, or its body.
        let from = if answer.is_none() {
            body.find("HTTP/")
        } else {
            None
        };
        if let Some(from) = from {
            return Self {
                request,
                ..Self::default()
            }
            .with_answer(&body[from..]);
        }
        if let Some((start, end)) = body.find(['{', '<']).zip(body.rfind(['}', '>'])) {
            body = body.get(start..=end).unwrap_or_default().to_owned();
        }
        Ok(Self {
            request,
            answer,
            body,
        })
    }
}

/// True for a line such as `GET / HTTP/1.1` behind the mark.
fn is_request_line(line: &str, mark: &str) -> bool {
    let words = line
        .strip_prefix(mark)
        .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    matches!(words.as_deref(), Some([_, _, version]) if version.starts_with("HTTP/"))
}

/// What stands before and behind the first empty line.
fn split_head(text: &str) -> (&str, &str) {
    let blank = |at: usize| {
        let next = &text[at + 1..];
        Some((
            at,
            ["\n", "\r\n"]
                .iter()
                .find_map(|line| next.strip_prefix(line))?,
        ))
    };
    let end = text.match_indices('\n').find_map(|(at, _)| blank(at));
    let (at, rest) = end.unwrap_or((text.len(), ""));
    (&text[..at], rest)
}

/// What was signed of a body; what has no body, and is not known to have one, was signed as empty.
pub(super) fn payload(head: &Parts, body: Option<&[u8]>) -> Option<Payload> {
    let announced = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
    let without = matches!(head.method, Method::GET | Method::HEAD)
        && !announced.iter().any(|name| head.headers.contains_key(name));
    match body {
        Some(body) => Some(Payload::Hash(PayloadHash::of(body))),
        None => without.then_some(Payload::Hash(PayloadHash::EMPTY)),
    }
}

fn answer_head(head: &str) -> Result<(StatusCode, HeaderMap), String> {
    let head = with_version_1(head);
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    answer
        .parse(head.as_bytes())
        .map_err(|error| format!("the answer's head: {error}"))?;
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or("the answer has no status")?;
    Ok((status, header_map(answer.headers)?))
}

fn request_head(head: &str) -> Result<Parts, String> {
    let head = with_version_1(head);
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    request
        .parse(head.as_bytes())
        .map_err(|error| format!("the request's head: {error}"))?;
    let (method, target) = (
        request.method.unwrap_or_default(),
        request.path.unwrap_or_default(),
    );
    let built = Request::builder().method(method).uri(target).body(());
    let (mut parts, ()) = built
        .map_err(|error| format!("the request's head: {error}"))?
        .into_parts();
    parts.headers = header_map(request.headers)?;
    Ok(parts)
}

/// Heads of HTTP/2, as curl prints them, are those of HTTP/1.1 but for the version.
fn with_version_1(head: &str) -> String {
    let (first, rest) = head.split_once("\r\n").unwrap_or((head, ""));
    let words = first.split(' ').map(|word| match word {
        "HTTP/2" | "HTTP/3" => "HTTP/1.1",
        word => word,
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
    for (name, value) in pairs.ok_or("a header that cannot be one")? {
        map.append(name, value);
    }
    Ok(map)
}
