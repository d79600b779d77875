//! `--explain`: why a saved answer refused a signature.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, request::Parts};
use tower_sigv4::doctor::{Refusal, Sent, diagnose};

/// More headers than any server sends or takes.
const HEADERS: usize = 256;

/// What is the matter with an exchange that curl has printed, `curl -v ... 2>&1` or `curl -i ...`, or with the
/// body of an answer alone.
pub(crate) fn explain(saved: &str) -> Result<String, String> {
    let exchange = Exchange::read(saved);
    let (status, headers) = match exchange.answer.as_deref() {
        Some(head) => answer_head(head)?,
        None => (StatusCode::FORBIDDEN, HeaderMap::new()),
    };
    let refusal = Refusal::read(status, &headers, exchange.body.as_bytes());
    let sent = exchange.request.as_deref().map(request_head).transpose()?;
    let sent = sent.map(|head| Sent::read(&head, None));
    let diagnosis = diagnose(&refusal, sent.as_ref().and_then(|sent| sent.as_ref().ok()))
        .ok_or_else(|| format!("the answer, of status {status}, does not speak of a signature"))?;

    let (cause, sentence, cure) = (diagnosis.cause(), diagnosis.sentence(), diagnosis.cure());
    let mut text = format!("cause  {cause}\nwhy    {sentence}\ncure   {cure}\n");
    let _ = match sent {
        None => writeln!(
            text,
            "\nFrom the answer alone; of an exchange that curl -v has printed (curl -v ... >FILE 2>&1) more can \
             be told."
        ),
        Some(Err(error)) => writeln!(text, "\nFrom the answer alone, since {error}."),
        Some(Ok(_)) => Ok(()),
    };
    for difference in diagnosis.differences() {
        let (part, signed, derived) = (&difference.part, &difference.signed, &difference.derived);
        let _ = write!(text, "\n{part}\n  signed   {signed}\n  derived  {derived}\n");
    }
    Ok(text)
}

/// The last exchange in what curl prints, taken apart.
#[derive(Default)]
struct Exchange {
    request: Option<String>,
    answer: Option<String>,
    body: String,
}

impl Exchange {
    fn read(saved: &str) -> Self {
        let saved = saved.trim_start_matches('\u{feff}');
        if saved.lines().any(|line| line.starts_with("< HTTP/")) {
            return Self::read_verbose(saved);
        }
        // Answers before the last one (RFC 9110, section 15.2) stand in front of it.
        let mut exchange = Self::default();
        let mut rest = saved;
        while rest.starts_with("HTTP/") {
            let blank = |at: &usize| {
                let next = &rest[at + 1..];
                ["\n", "\r\n"].iter().find_map(|line| next.strip_prefix(line))
            };
            let mut ends = rest.match_indices('\n').map(|(at, _)| at);
            let end = ends.find_map(|at| Some((at, blank(&at)?)));
            let (at, body) = end.unwrap_or((rest.len(), ""));
            exchange.answer = Some(format!("{}\r\n\r\n", rest[..at].trim_end()));
            rest = body;
        }
        rest.clone_into(&mut exchange.body);
        exchange
    }

    /// Of `curl -v`: lines of the request's head begin with `> `, of the answer's with `< `.
    fn read_verbose(saved: &str) -> Self {
        let mut exchange = Self::default();
        let (mut request, mut answer) = (String::new(), String::new());
        for line in saved.split_inclusive('\n') {
            let text = line.trim_end_matches(['\r', '\n']);
            let head = |mark: &str| {
                let bare = (text == mark.trim_end()).then_some("");
                text.strip_prefix(mark).or(bare).map(|line| format!("{}\r\n", line.trim_end()))
            };
            if let Some(line) = head("> ") {
                request += &line;
                if line == "\r\n" {
                    exchange.request = Some(std::mem::take(&mut request));
                }
            } else if let Some(line) = head("< ") {
                answer += &line;
                if line == "\r\n" {
                    exchange.answer = Some(std::mem::take(&mut answer));
                    exchange.body.clear();
                }
            } else if !["* ", "{ [", "} ["].iter().any(|mark| text.starts_with(mark)) {
                exchange.body += line;
            }
        }
        // What shows how far curl is may stand around the body.
        if let Some((start, end)) =
            exchange.body.find(['{', '<']).zip(exchange.body.rfind(['}', '>']))
        {
            exchange.body = exchange.body.get(start..=end).unwrap_or_default().to_owned();
        }
        exchange
    }
}

fn answer_head(head: &str) -> Result<(StatusCode, HeaderMap), String> {
    let head = with_version_1(head);
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    answer.parse(head.as_bytes()).map_err(|error| format!("the answer's head: {error}"))?;
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or("the answer has no status")?;
    Ok((status, header_map(answer.headers)?))
}

fn request_head(head: &str) -> Result<Parts, String> {
    let head = with_version_1(head);
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(head.as_bytes()).map_err(|error| format!("the request's head: {error}"))?;
    let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
    let built = Request::builder().method(method).uri(target).body(());
    let (mut parts, ()) =
        built.map_err(|error| format!("the request's head: {error}"))?.into_parts();
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

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"message":"The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for this request should have been\n'GET\n/orders\n\nhost:api.example.com\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'"}"#;
    const VERBOSE: &str = "* Connected to h\n> GET /other HTTP/1.1\n> Host: h\n> \n< HTTP/1.1 302 Found\r\n< \r\n\
        * Issue another request\n> GET /orders HTTP/2\r\n> Host: h.example.com\r\n> X-Amz-Date: 20150830T123600Z\r\n\
        > Authorization: AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/execute-api/aws4_request, \
        SignedHeaders=host;x-amz-date, \
        Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31\r\n>\r\n\
        * Request completely sent off\n< HTTP/2 403 \r\n< x-amzn-errortype: InvalidSignatureException\r\n<\r\n\
        { [5 bytes data]\n";

    #[test]
    fn exchanges_are_read_as_curl_prints_them() {
        let progress = "  % Total    % Received\r  0     0\r100   10\r";
        let verbose =
            format!("{progress}\n{VERBOSE}{progress}{BODY}\n* Connection #0 left intact\n");
        let told = explain(&verbose).expect("explained");
        assert!(told.starts_with("cause  host-changed\nwhy    the host was changed"), "{told}");
        assert!(
            told.contains("\nhost\n  signed   \"h.example.com\"\n  derived  \"api.example.com\"\n")
        );
        assert!(!told.contains("answer alone"), "{told}");

        let head =
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/2 403 \r\ncontent-type: application/json\r\n\r\n";
        for saved in [BODY.to_owned(), head.to_owned() + BODY, head.replace('\r', "") + BODY] {
            let told = explain(&saved).expect("explained");
            assert!(told.starts_with("cause  mismatch\n"), "{told}");
            assert!(told.contains("for host \"api.example.com\""), "{told}");
            assert!(told.contains("curl -v"), "{told}");
        }
        let head = "HTTP/1.1 400 Bad Request\nx-amzn-errortype: ExpiredTokenException\n";
        assert!(explain(head).expect("explained").starts_with("cause  token-expired\n"));
    }

    #[test]
    fn a_request_without_a_signature_is_named() {
        let unsigned = "> GET / HTTP/1.1\n> Host: h\n>\n< HTTP/1.1 403 Forbidden\n<\n\
            {\"message\":\"Missing Authentication Token\"}\n";
        let told = explain(unsigned).expect("explained");
        assert!(told.contains("cause  not-signed\n"), "{told}");
        assert!(told.contains("since the request carries no signature"), "{told}");
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for (saved, told) in [
            ("", "of status 403 Forbidden, does not speak of a signature"),
            ("HTTP/1.1 200 OK\r\n\r\nfine", "of status 200 OK, does not speak"),
            ("HTTP/1.1 nothing\r\n\r\n", "the answer's head"),
            ("> GET / HTTP/1.1\n> a b\n>\n< HTTP/1.1 403 x\n<\n{}", "the request's head"),
            ("> GET {} HTTP/1.1\n>\n< HTTP/1.1 403 x\n<\n{}", "the request's head"),
            ("HTTP/", "the answer's head"),
            ("HTTP/1.1 403", "of status 403 Forbidden, does not speak"),
        ] {
            let error = explain(saved).expect_err(saved);
            assert!(error.contains(told), "{saved}: {error}");
        }
    }
}
