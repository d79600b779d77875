//! Commands of curl, read for the request that they send.

use std::ffi::OsString;

use http::{HeaderName, HeaderValue, Method, Request, Uri, header, request::Parts};
use lexopt::{Arg, Parser, ValueExt};
use tower_sigv4::sigv4::Payload;

use super::exchange::payload;

/// Long options that take a value, besides those that are looked at.
const WITH_VALUE: &[&str] = &[
    "cacert",
    "cert",
    "cert-type",
    "ciphers",
    "config",
    "connect-timeout",
    "connect-to",
    "cookie-jar",
    "dump-header",
    "interface",
    "key",
    "key-type",
    "limit-rate",
    "max-filesize",
    "max-redirs",
    "max-time",
    "netrc-file",
    "oauth2-bearer",
    "proto",
    "request-target",
    "socks5",
    "unix-socket",
    "url-query",
    "doh-url",
    "dns-servers",
    "local-port",
    "noproxy",
    "output",
    "output-dir",
    "pass",
    "proxy",
    "proxy-header",
    "proxy-user",
    "range",
    "resolve",
    "retry",
    "retry-delay",
    "retry-max-time",
    "stderr",
    "tls-max",
    "trace",
    "trace-ascii",
    "user",
    "write-out",
];
/// The same of the short ones.
const SHORT_WITH_VALUE: &str = "cCDEKmoPQrtuUwxyYz";

/// A command at the beginning, on one line, and what stands behind it.
pub(super) fn command(saved: &str) -> Option<(String, &str)> {
    let saved = saved.strip_prefix("$ ").unwrap_or(saved);
    saved
        .strip_prefix("curl")
        .filter(|rest| rest.starts_with(char::is_whitespace))?;
    let (mut command, mut quote, mut escaped) = (String::new(), None, false);
    for (at, letter) in saved.char_indices() {
        match (quote, letter) {
            (None, '\r') => continue,
            (None, '\n') if escaped => {
                command.pop();
                command.push(' ');
                escaped = false;
                continue;
            }
            (None, '\n') => return Some((command, &saved[at..])),
            _ if escaped => escaped = false,
            (Some(open), letter) if open == letter => quote = None,
            (None | Some('"'), '\\') => escaped = true,
            (None, '\'' | '"') => quote = Some(letter),
            _ => {}
        }
        command.push(letter);
    }
    Some((command, ""))
}

/// The request that a command sends, with what was signed of its body where that is known.
pub(super) fn request(command: &str) -> Result<(Parts, Option<Payload>), String> {
    if command.contains(" $'") {
        return Err(
            "the curl command quotes by $'...', which is not read here; write '...'".to_owned(),
        );
    }
    let words = shlex::split(command).ok_or("the curl command ends within quotes")?;
    let options = Options::read(words).map_err(|error| format!("the curl command: {error}"))?;
    options.request()
}

#[derive(Default)]
struct Options {
    url: Option<String>,
    method: Option<String>,
    headers: Vec<(String, String)>,
    /// What curl adds where no header of that name is given.
    own_headers: Vec<(&'static str, String)>,
    body: Option<String>,
    /// Where it is in a file, say.
    body_unknown: bool,
    in_query: bool,
    head: bool,
}

impl Options {
    fn read(words: Vec<String>) -> Result<Self, lexopt::Error> {
        let mut options = Self::default();
        let mut parser = Parser::from_iter(words.into_iter().map(OsString::from));
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("url") => options.url = Some(parser.value()?.string()?),
                Arg::Value(url) if options.url.is_none() => options.url = Some(url.string()?),
                Arg::Value(_) => return Err("it names more than one URL".into()),
                Arg::Long("aws-sigv4") => {
                    let message = "curl signs as it runs (--aws-sigv4), so the signature is not in the command; \
                                   give what curl -v prints";
                    return Err(message.into());
                }
                Arg::Short('X') | Arg::Long("request") => {
                    options.method = Some(parser.value()?.string()?);
                }
                Arg::Short('H') | Arg::Long("header") => options.header(&parser.value()?.string()?),
                Arg::Short('A') | Arg::Long("user-agent") => {
                    options.own("user-agent", parser.value()?.string()?);
                }
                Arg::Short('e') | Arg::Long("referer") => {
                    options.own("referer", parser.value()?.string()?);
                }
                Arg::Short('b') | Arg::Long("cookie") => {
                    options.own("cookie", parser.value()?.string()?);
                }
                Arg::Short('I') | Arg::Long("head") => options.head = true,
                Arg::Short('G') | Arg::Long("get") => options.in_query = true,
                Arg::Short('d') | Arg::Long("data" | "data-ascii" | "data-binary") => {
                    let data = parser.value()?.string()?;
                    options.body_unknown |= data.starts_with('@');
                    options.data(&data);
                }
                Arg::Long("data-raw") => options.data(&parser.value()?.string()?),
                Arg::Long("json") => {
                    let data = parser.value()?.string()?;
                    options.body_unknown |= data.starts_with('@');
                    options.data(&data);
                    options.own("content-type", "application/json".to_owned());
                    options.own("accept", "application/json".to_owned());
                }
                Arg::Short('F' | 'T') | Arg::Long("form" | "upload-file" | "data-urlencode") => {
                    parser.value()?;
                    options.data("");
                    options.body_unknown = true;
                }
                Arg::Long(name) if WITH_VALUE.contains(&name) => drop(parser.value()?),
                Arg::Short(name) if SHORT_WITH_VALUE.contains(name) => drop(parser.value()?),
                Arg::Long(_) | Arg::Short(_) => {}
            }
        }
        Ok(options)
    }

    fn header(&mut self, field: &str) {
        match field.split_once(':') {
            Some((name, value)) if !value.trim().is_empty() => {
                self.add(name, value.trim().to_owned())
            }
            Some(_) => {} // it takes one of curl's own away
            None => self.add(field.trim_end_matches(';'), String::new()),
        }
    }

    fn add(&mut self, name: &str, value: String) {
        self.headers.push((name.trim().to_owned(), value));
    }

    fn own(&mut self, name: &'static str, value: String) {
        self.own_headers.push((name, value));
    }

    fn data(&mut self, data: &str) {
        match &mut self.body {
            Some(body) => {
                body.push('&');
                body.push_str(data);
            }
            None => self.body = Some(data.to_owned()),
        }
    }

    fn request(mut self) -> Result<(Parts, Option<Payload>), String> {
        let error = |what: &str| format!("the curl command: {what}");
        let mut url = self.url.take().ok_or_else(|| error("it names no URL"))?;
        url.truncate(url.find('#').unwrap_or(url.len()));
        if !url.contains("://") {
            url.insert_str(0, "http://");
        }
        if let Some(data) = self.body.take_if(|_| self.in_query) {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&data);
        }
        let url: Uri = url.parse().map_err(|_| error("its URL cannot be one"))?;
        let authority = url
            .authority()
            .ok_or_else(|| error("its URL has no host"))?;
        let host = match (url.scheme_str(), authority.port_u16()) {
            (Some("https"), Some(443)) | (Some("http"), Some(80)) => authority.host(),
            _ => authority.as_str().rsplit('@').next().unwrap_or_default(),
        };
        let default = match &self.body {
            _ if self.head => Method::HEAD,
            Some(_) => Method::POST,
            None => Method::GET,
        };
        let method = match &self.method {
            Some(method) => method
                .parse()
                .map_err(|_| error("its method cannot be one"))?,
            None => default,
        };
        let (mut head, ()) = Request::new(()).into_parts();
        let host = HeaderValue::from_str(host).map_err(|_| error("its host cannot be one"))?;
        for (name, value) in &self.headers {
            let name = name.parse::<HeaderName>().ok();
            let pair = name.zip(HeaderValue::from_str(value).ok());
            let (name, value) = pair.ok_or_else(|| error("it has a header that cannot be one"))?;
            head.headers.append(name, value);
        }
        head.headers.entry(header::HOST).or_insert(host);
        let form = (
            "content-type",
            "application/x-www-form-urlencoded".to_owned(),
        );
        let defaults = [("accept", "*/*".to_owned())]
            .into_iter()
            .chain(self.body.as_ref().map(|_| form));
        for (name, value) in self.own_headers.into_iter().chain(defaults) {
            let value = HeaderValue::try_from(value)
                .map_err(|_| error("it has a header that cannot be one"))?;
            head.headers.entry(name).or_insert(value);
        }
        (head.method, head.uri) = (method, url);
        let payload = match &self.body {
            _ if self.body_unknown => None,
            body => payload(&head, Some(body.as_deref().unwrap_or_default().as_bytes())),
        };
        Ok((head, payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_ends_with_its_line() {
        for (saved, first, rest) in [
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
            assert_eq!(command(saved), Some((first.to_owned(), rest)), "{saved}");
        }
        for saved in ["curly h", "curl", "wget h", "GET / HTTP/1.1"] {
            assert_eq!(command(saved), None, "{saved}");
        }
    }

    #[test]
    fn the_request_is_the_one_that_curl_sends() {
        for (command, line, headers, known) in [
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
            let (head, payload) = request(command).expect(command);
            assert_eq!(format!("{} {}", head.method, head.uri), line, "{command}");
            let text = |(name, value): (&HeaderName, &HeaderValue)| {
                format!("{name}: {}", value.to_str().expect("a text"))
            };
            let mut found: Vec<_> = head.headers.iter().map(text).collect();
            found.sort();
            assert_eq!(found.join("|"), headers, "{command}");
            assert_eq!(payload.is_some(), known, "{command}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for (command, told) in [
            ("curl", "it names no URL"),
            ("curl -H", "missing argument"),
            ("curl a b", "more than one URL"),
            ("curl 'a", "ends within quotes"),
            ("curl --aws-sigv4 aws:amz h", "give what curl -v prints"),
            ("curl h -d $'a'", "write '...'"),
            ("curl 'h/ x'", "its URL"),
            ("curl http://", "its URL"),
            ("curl h -X 'a b'", "its method"),
            ("curl h -H 'a b: c'", "a header that cannot be one"),
        ] {
            let error = request(command).expect_err(command);
            assert!(error.contains(told), "{command}: {error}");
        }
    }
}
