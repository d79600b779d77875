//! Parses debug logs of clients, which contain the canonical request that the client itself derived.

use std::fmt::Write;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{
    exchange::{Exchange, LoggedStrings, response_head},
    literal,
};

/// Text before the canonical request, and text before the string to sign after it.
///
/// botocore/auth.py, SigV4Auth.add_auth; aws-sdk-go, aws/signer/v4/v4.go, logSignInfoMsg; aws-sdk-java,
/// AWS4Signer.java, createCanonicalRequest; aws-sdk-java-v2, V4CanonicalRequest.
const MARKS: [(&str, &str); 4] = [
    ("CanonicalRequest:\n", "StringToSign:\n"),
    (
        "---[ CANONICAL STRING  ]-----------------------------\n",
        "---[ STRING TO SIGN ]--------------------------------\n",
    ),
    ("AWS4 Canonical Request: ", "AWS4 String to Sign: "),
    ("AWS4 Canonical Request: ", "AWS4 String to sign: "),
];

/// Maximum number of places that a member is read from.
const MAX_MEMBERS: usize = 100;

/// Members of errors that Node.js prints, with the element of S3's response that each is read from.
const ERROR_MEMBERS: [(&str, &str); 6] = [
    ("Code", "Code"),
    ("message", "Message"),
    ("CanonicalRequest", "CanonicalRequest"),
    ("StringToSign", "StringToSign"),
    ("SignatureProvided", "SignatureProvided"),
    ("AWSAccessKeyId", "AWSAccessKeyId"),
];

/// Returns the last rejected exchange of a log, or `None` if the text is not a log that shows one.
pub(super) fn parse(saved: &str) -> Option<Result<Exchange, String>> {
    let text = saved.replace("\r\n", "\n");
    for (canonical, to_sign) in MARKS {
        let mut last = None;
        for section in text.split(canonical).skip(1) {
            let Some(logged) = logged_strings(section, to_sign) else {
                continue;
            };
            let (response, body) = response(section);
            let is_rejected = response
                .as_ref()
                .is_some_and(|(status, _)| status.as_u16() >= 300)
                || body.contains("Signature");
            if is_rejected || last.is_none() {
                last = Some(Exchange {
                    logged: Some(logged),
                    response,
                    body,
                    ..Exchange::default()
                });
            }
        }
        if let Some(exchange) = last {
            return Some(Ok(exchange));
        }
    }
    node_error(saved)
}

/// Reads a canonical request at the start of a section: three lines, the headers up to an empty line, and two lines.
fn logged_strings(section: &str, to_sign_mark: &str) -> Option<LoggedStrings> {
    let is_quote = |letter| ['"', '\''].contains(&letter);
    let mut lines = section.lines();
    let mut canonical = vec![
        lines.next()?.trim_start_matches(is_quote),
        lines.next()?,
        lines.next()?,
    ];
    for line in &mut lines {
        canonical.push(line);
        if line.is_empty() {
            break;
        }
    }
    canonical.push(lines.next()?);
    canonical.push(lines.next()?.trim_end_matches(is_quote));
    let (_, after) = section.split_once(to_sign_mark)?;
    let to_sign: Vec<_> = after
        .lines()
        .take(4)
        .map(|line| line.trim_matches(is_quote))
        .collect();
    Some(LoggedStrings {
        canonical_request: canonical.join("\n"),
        string_to_sign: to_sign.join("\n"),
        signature: logged_signature(after),
    })
}

/// Returns the signature that botocore logs, or that of the request's `authorization`.
fn logged_signature(log: &str) -> Option<String> {
    let after_mark = |mark| log.split_once(mark)?.1.get(..64);
    ["Signature:\n", "Signature="]
        .into_iter()
        .filter_map(after_mark)
        .find(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()))
        .map(str::to_owned)
}

type LoggedResponse = (Option<(StatusCode, HeaderMap)>, String);

/// Returns the response that follows a canonical request: that of botocore, an HTTP message, or a body alone.
fn response(section: &str) -> LoggedResponse {
    if let Some((before, body)) = section.split_once("Response body:\n") {
        return (
            python_response(before),
            literal::parse(body).unwrap_or_else(|| body.to_owned()),
        );
    }
    if let Some(start) = section.rfind("\nHTTP/") {
        let message = &section[start + 1..];
        let (head, body) = message.split_once("\n\n").unwrap_or((message, ""));
        let end = body.find("\n-----").unwrap_or(body.len());
        let parsed = response_head(&format!("{}\r\n\r\n", head.replace('\n', "\r\n")));
        return (parsed.ok(), body[..end].to_owned());
    }
    let start = ["\n{", "\n<"]
        .iter()
        .filter_map(|mark| section.rfind(mark))
        .min();
    (
        None,
        start.map_or_else(String::new, |at| section[at + 1..].to_owned()),
    )
}

/// Reads the status that urllib3 logs and the headers that botocore logs.
fn python_response(log: &str) -> Option<(StatusCode, HeaderMap)> {
    let (_, after) = log.rsplit_once("HTTP/1.1\" ")?;
    let status = after.get(..3)?.parse().ok()?;
    let mut headers = HeaderMap::new();
    let logged = log
        .rsplit_once("Response headers: {")
        .map_or("", |(_, rest)| rest);
    let line = logged.lines().next().unwrap_or_default();
    for name in [
        "x-amzn-ErrorType",
        "x-amzn-errortype",
        "x-amz-bucket-region",
        "Date",
        "Via",
    ] {
        let value = line
            .split_once(&format!("'{name}': "))
            .and_then(|(_, rest)| literal::parse(rest));
        if let Some(field) = value.and_then(|text| HeaderValue::try_from(text).ok())
            && let Ok(header) = HeaderName::try_from(name)
        {
            headers.insert(header, field);
        }
    }
    Some((status, headers))
}

/// Reads an error as `console.log` of Node.js prints it: `_header` of its request, and the members of S3's error.
fn node_error(saved: &str) -> Option<Result<Exchange, String>> {
    let member = |name: &str| {
        let values = saved.match_indices(name).filter(|(at, _)| {
            !saved[..*at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_')
        });
        let mut texts = values
            .take(MAX_MEMBERS)
            .filter_map(|(at, _)| literal::parse(saved[at + name.len()..].strip_prefix(':')?));
        // An HTTP client's own message says only that the status is 403.
        texts.find(|text| name != "message" || text.contains("ignature"))
    };
    let head = member("_header");
    // axios keeps the body of S3 as text.
    let xml = saved
        .rmatch_indices("data:")
        .take(MAX_MEMBERS)
        .find_map(|(at, mark)| {
            literal::parse(&saved[at + mark.len()..]).filter(|text| text.contains("<Error>"))
        });
    let mut body = String::new();
    for (name, element) in ERROR_MEMBERS {
        if let Some(text) = member(name) {
            let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
            let _ = write!(body, "<{element}>{escaped}</{element}>");
        }
    }
    if xml.is_some() {
        body.clear();
    }
    let error = xml.unwrap_or_else(|| format!("<Error>{body}</Error>"));
    if body.is_empty() && error == "<Error></Error>"
        || head.is_none() && !error.contains("<CanonicalRequest>")
    {
        return None;
    }
    let parse = || {
        let mut exchange = match head {
            Some(lines) => Exchange::parse_raw(&lines)?,
            None => Exchange::default(),
        };
        exchange.response = Some((StatusCode::FORBIDDEN, HeaderMap::new()));
        exchange.body = error;
        Ok(exchange)
    };
    Some(parse())
}
