//! Parses curl commands into the requests that they send.

use std::ffi::OsString;

use http::{HeaderName, HeaderValue, Method, Request, Uri, header, request::Parts};
use lexopt::{Arg, Parser, ValueExt};
use tower_sigv4::sigv4::{Payload, PayloadHash};

/// Long options with a value that does not change the request.
const IGNORED_WITH_VALUE: &str = "cacert cert cert-type ciphers config connect-timeout connect-to cookie-jar \
    dns-servers doh-url dump-header interface key key-type limit-rate local-port max-filesize max-redirs max-time \
    netrc-file noproxy oauth2-bearer output output-dir pass proto proxy proxy-header proxy-user range \
    request-target resolve retry retry-delay retry-max-time socks5 stderr tls-max trace trace-ascii unix-socket \
    url-query user write-out";
const IGNORED_SHORT_WITH_VALUE: &str = "cCDEKmoPQrtuUwxyYz";

/// Splits a leading command, joined into one line, from the text after it.
pub(super) fn split_command(saved: &str) -> Option<(String, &str)> {
    let text = saved.strip_prefix("$ ").unwrap_or(saved);
    text.strip_prefix("curl")
        .filter(|rest| rest.starts_with(char::is_whitespace))?;
    let mut command = String::new();
    let mut quote = None;
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (None, '\r') => continue,
            (None, '\n') if escaped => {
                command.pop();
                command.push(' ');
                escaped = false;
                continue;
            }
            (None, '\n') => return Some((command, &text[at..])),
            _ if escaped => escaped = false,
            (Some(open), _) if open == letter => quote = None,
            (None | Some('"'), '\\') => escaped = true,
            (None, '\'' | '"') => quote = Some(letter),
            _ => {}
        }
        command.push(letter);
    }
    Some((command, ""))
}

/// Returns the request with its payload, if the command contains the whole body.
pub(super) fn parse(command: &str) -> Result<(Parts, Option<Payload>), String> {
    if command.contains(" $'") {
        return Err("the curl command uses $'...' quotes; write '...'".to_owned());
    }
    let words = shlex::split(command).ok_or("the curl command has an unclosed quote")?;
    Options::parse(words)
        .map_err(|error| error.to_string())
        .and_then(Options::into_request)
        .map_err(|error| format!("the curl command: {error}"))
}

#[derive(Default)]
struct Options {
    url: Option<String>,
    method: Option<String>,
    headers: Vec<(String, String)>,
    /// Headers that curl adds unless `headers` has the name.
    default_headers: Vec<(&'static str, String)>,
    body: Option<String>,
    /// `true` if a part of the body is not in the command.
    body_is_external: bool,
    get: bool,
    head: bool,
}

impl Options {
    fn parse(words: Vec<String>) -> Result<Self, lexopt::Error> {
        let mut options = Self::default();
        let mut parser = Parser::from_iter(words.into_iter().map(OsString::from));
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("url") => options.url = Some(parser.value()?.string()?),
                Arg::Value(url) if options.url.is_none() => options.url = Some(url.string()?),
                Arg::Value(_) => return Err("it has more than one URL".into()),
                Arg::Long("aws-sigv4") => {
                    let message = "--aws-sigv4 signs while curl runs, so the command has no signature; provide the \
                                   output of curl -v";
                    return Err(message.into());
                }
                Arg::Short('X') | Arg::Long("request") => {
                    options.method = Some(parser.value()?.string()?);
                }
                Arg::Short('H') | Arg::Long("header") => {
                    options.add_header(&parser.value()?.string()?);
                }
                Arg::Short('A') | Arg::Long("user-agent") => {
                    options.add_default("user-agent", parser.value()?.string()?);
                }
                Arg::Short('e') | Arg::Long("referer") => {
                    options.add_default("referer", parser.value()?.string()?);
                }
                Arg::Short('b') | Arg::Long("cookie") => {
                    options.add_default("cookie", parser.value()?.string()?);
                }
                Arg::Short('I') | Arg::Long("head") => options.head = true,
                Arg::Short('G') | Arg::Long("get") => options.get = true,
                Arg::Short('d') | Arg::Long("data" | "data-ascii" | "data-binary") => {
                    options.add_data_or_file(&parser.value()?.string()?);
                }
                Arg::Long("data-raw") => options.add_data(&parser.value()?.string()?),
                Arg::Long("json") => {
                    options.add_data_or_file(&parser.value()?.string()?);
                    options.add_default("content-type", "application/json".to_owned());
                    options.add_default("accept", "application/json".to_owned());
                }
                Arg::Short('F' | 'T') | Arg::Long("form" | "upload-file" | "data-urlencode") => {
                    parser.value()?;
                    options.add_data("");
                    options.body_is_external = true;
                }
                Arg::Long(name) if IGNORED_WITH_VALUE.split(' ').any(|known| known == name) => {
                    parser.value()?;
                }
                Arg::Short(name) if IGNORED_SHORT_WITH_VALUE.contains(name) => {
                    parser.value()?;
                }
                Arg::Long(_) | Arg::Short(_) => {}
            }
        }
        Ok(options)
    }

    fn add_header(&mut self, field: &str) {
        let (name, value) = match field.split_once(':') {
            Some((_, value)) if value.trim().is_empty() => return, // removes a default header
            Some((name, value)) => (name, value),
            None => (field.trim_end_matches(';'), ""),
        };
        self.headers
            .push((name.trim().to_owned(), value.trim().to_owned()));
    }

    fn add_default(&mut self, name: &'static str, value: String) {
        self.default_headers.push((name, value));
    }

    fn add_data(&mut self, data: &str) {
        match &mut self.body {
            Some(body) => {
                body.push('&');
                body.push_str(data);
            }
            None => self.body = Some(data.to_owned()),
        }
    }

    fn add_data_or_file(&mut self, data: &str) {
        self.body_is_external |= data.starts_with('@');
        self.add_data(data);
    }

    fn into_request(mut self) -> Result<(Parts, Option<Payload>), String> {
        const INVALID_HEADER: &str = "a header is invalid";
        let query = self.body.take_if(|_| self.get);
        let uri = self.uri(query)?;
        let authority = uri.authority().ok_or("its URL has no host")?;
        let host = match (uri.scheme_str(), authority.port_u16()) {
            (Some("https"), Some(443)) | (Some("http"), Some(80)) => authority.host(),
            _ => authority.as_str().rsplit('@').next().unwrap_or_default(),
        };
        let host_header = HeaderValue::from_str(host).map_err(|_| "its host is invalid")?;
        let method = match &self.method {
            Some(method) => method.parse().map_err(|_| "its method is invalid")?,
            None if self.head => Method::HEAD,
            None if self.body.is_some() => Method::POST,
            None => Method::GET,
        };
        let (mut head, ()) = Request::new(()).into_parts();
        for (name, value) in &self.headers {
            let header: HeaderName = name.parse().map_err(|_| INVALID_HEADER)?;
            let field = HeaderValue::from_str(value).map_err(|_| INVALID_HEADER)?;
            head.headers.append(header, field);
        }
        head.headers.entry(header::HOST).or_insert(host_header);
        self.add_default("accept", "*/*".to_owned());
        if self.body.is_some() {
            let form = "application/x-www-form-urlencoded";
            self.add_default("content-type", form.to_owned());
        }
        for (name, value) in self.default_headers {
            let field = HeaderValue::try_from(value).map_err(|_| INVALID_HEADER)?;
            head.headers.entry(name).or_insert(field);
        }
        head.method = method;
        head.uri = uri;
        let body = self.body.unwrap_or_default();
        let payload = Payload::Hash(PayloadHash::of(body.as_bytes()));
        Ok((head, (!self.body_is_external).then_some(payload)))
    }

    fn uri(&self, query: Option<String>) -> Result<Uri, &'static str> {
        let argument = self.url.as_deref().ok_or("it has no URL")?;
        let mut url = argument.split('#').next().unwrap_or_default().to_owned();
        if !url.contains("://") {
            url.insert_str(0, "http://");
        }
        if let Some(pairs) = query {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&pairs);
        }
        url.parse().map_err(|_| "its URL is invalid")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_end_at_the_end_of_the_line() {
        for (saved, command, rest) in [
            (
                "curl http://h/\nHTTP/1.1 403",
                "curl http://h/",
                "\nHTTP/1.1 403",
            ),
            (
                "$ curl h \\\r\n -H 'a: b'\n{}",
                "curl h   -H 'a: b'",
                "\n{}",
            ),
            (
                "curl h -d '{\n}' -d \"\\\"\n\"\n{}",
                "curl h -d '{\n}' -d \"\\\"\n\"",
                "\n{}",
            ),
            ("curl h -d 'a\\'\n<x/>", "curl h -d 'a\\'", "\n<x/>"),
        ] {
            assert_eq!(
                split_command(saved),
                Some((command.to_owned(), rest)),
                "{saved}"
            );
        }
        for saved in ["curly h", "curl", "wget h", "GET / HTTP/1.1"] {
            assert_eq!(split_command(saved), None, "{saved}");
        }
    }

    #[test]
    fn requests_are_those_that_curl_sends() {
        for (command, line, headers, has_payload) in [
            (
                "curl h:80/a?b=c#d",
                "GET http://h:80/a?b=c",
                "accept: */*|host: h",
                true,
            ),
            (
                "curl -sSv 'https://u:p@h:8443'",
                "GET https://u:p@h:8443/",
                "accept: */*|host: h:8443",
                true,
            ),
            (
                "curl --compressed -XPUT h -d a=1 --data-raw '@b' -H 'Host: x' -o /dev/null",
                "PUT http://h/",
                "accept: */*|content-type: application/x-www-form-urlencoded|host: x",
                true,
            ),
            (
                "curl -G h/?x -d y=1",
                "GET http://h/?x&y=1",
                "accept: */*|host: h",
                true,
            ),
            (
                "curl h --json {} -H 'accept: a' -H 'X-Empty;' -H 'content-type:'",
                "POST http://h/",
                "accept: a|content-type: application/json|host: h|x-empty: ",
                true,
            ),
            (
                "curl h -d @file -I -A me",
                "HEAD http://h/",
                "accept: */*|content-type: application/x-www-form-urlencoded|host: h|user-agent: me",
                false,
            ),
        ] {
            let (head, payload) = parse(command).expect(command);
            assert_eq!(format!("{} {}", head.method, head.uri), line, "{command}");
            let field = |(name, value): (&HeaderName, &HeaderValue)| {
                format!("{name}: {}", value.to_str().expect("ASCII value"))
            };
            let mut lines: Vec<_> = head.headers.iter().map(field).collect();
            lines.sort();
            assert_eq!(lines.join("|"), headers, "{command}");
            assert_eq!(payload.is_some(), has_payload, "{command}");
        }
    }

    #[test]
    fn unsupported_commands_are_rejected() {
        for (command, message) in [
            ("curl", "it has no URL"),
            ("curl -H", "missing argument"),
            ("curl a b", "more than one URL"),
            ("curl 'a", "unclosed quote"),
            (
                "curl --aws-sigv4 aws:amz h",
                "provide the output of curl -v",
            ),
            ("curl h -d $'a'", "write '...'"),
            ("curl 'h/ x'", "its URL"),
            ("curl http://", "its URL"),
            ("curl h -X 'a b'", "its method"),
            ("curl h -H 'a b: c'", "a header is invalid"),
        ] {
            let error = parse(command).expect_err(command);
            assert!(error.contains(message), "{command}: {error}");
        }
    }
}
