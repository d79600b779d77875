//! Attributes of OpenTelemetry's conventions for HTTP spans.
//!
//! No attribute contains a query, which may hold a signature.

use http::{HeaderValue, Method, Request, Version, header, uri::Authority};
use tower_sigv4::origin::ClientAddr;

use super::span::{Attribute, Value};

/// Longest prefix of a value that the client chose, in bytes.
const MAX_VALUE_LEN: usize = 1024;

/// Attributes of a received request.
pub(super) fn request_attributes<B>(request: &Request<B>, scheme: &'static str) -> Vec<Attribute> {
    let uri = request.uri();
    let mut attributes = method_attributes(request.method());
    attributes.push(("url.path", truncated(uri.path()).into()));
    attributes.push(("url.scheme", scheme.into()));
    let host = request.headers().get(header::HOST);
    let host_header = || Authority::try_from(host?.as_bytes()).ok();
    if let Some(authority) = uri.authority().cloned().or_else(host_header) {
        attributes.push(("server.address", truncated(address(&authority)).into()));
        let port = authority.port_u16();
        attributes.extend(port.map(|number| ("server.port", number.into())));
    }
    attributes.extend(version_attribute(request.version()));
    if let Some(client) = request.extensions().get().map(ClientAddr::address) {
        attributes.push(("client.address", Value::Text(client.to_string())));
    }
    let user_agent = request
        .headers()
        .get(header::USER_AGENT)
        .map(HeaderValue::to_str);
    if let Some(Ok(name)) = user_agent {
        attributes.push(("user_agent.original", truncated(name).into()));
    }
    attributes
}

/// Attributes of a request to an origin.
pub(super) fn origin_attributes<B>(request: &Request<B>) -> Vec<Attribute> {
    let uri = request.uri();
    let mut attributes = method_attributes(request.method());
    if let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) {
        let url = format!("{scheme}://{authority}{}", uri.path());
        let default_port = if scheme == "https" { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(default_port);
        attributes.push(("url.full", truncated(&url).into()));
        attributes.push(("server.address", address(authority).into()));
        attributes.push(("server.port", port.into()));
    }
    attributes
}

/// Returns the host, an IPv6 address without its brackets.
fn address(authority: &Authority) -> &str {
    authority.host().trim_matches(['[', ']'])
}

/// The name of an unknown method is chosen by the client, so it has an attribute of its own.
fn method_attributes(method: &Method) -> Vec<Attribute> {
    match known_method(method) {
        Some(name) => vec![("http.request.method", name.into())],
        None => vec![
            ("http.request.method", "_OTHER".into()),
            (
                "http.request.method_original",
                truncated(method.as_str()).into(),
            ),
        ],
    }
}

/// Returns the method as it stands in a span's name.
pub(super) fn method_in_name(method: &Method) -> &'static str {
    known_method(method).unwrap_or("HTTP")
}

fn known_method(method: &Method) -> Option<&'static str> {
    const NAMES: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE",
    ];
    NAMES.into_iter().find(|name| *name == method.as_str())
}

pub(super) fn version_attribute(version: Version) -> Option<Attribute> {
    let name = match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        Version::HTTP_2 => "2",
        _ => return None,
    };
    Some(("network.protocol.version", name.into()))
}

fn truncated(value: &str) -> &str {
    &value[..value.floor_char_boundary(MAX_VALUE_LEN)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(attributes: Vec<Attribute>) -> Vec<(&'static str, String)> {
        let text = |value| match value {
            Value::Text(text) => text,
            Value::Int(number) => number.to_string(),
        };
        let pairs = attributes.into_iter();
        pairs.map(|(name, value)| (name, text(value))).collect()
    }

    fn requested(method: &str, url: &str) -> Request<()> {
        let request = Request::builder().method(method).uri(url);
        request.body(()).expect("a request")
    }

    #[test]
    fn requests_to_origins_have_the_required_attributes() {
        for (url, full, address, port) in [
            (
                "https://a.example/b?X-Amz-Signature=c",
                "https://a.example/b",
                "a.example",
                "443",
            ),
            ("http://a.example", "http://a.example/", "a.example", "80"),
            ("http://[::1]:8080/", "http://[::1]:8080/", "::1", "8080"),
        ] {
            let expected = [
                ("http.request.method", "GET"),
                ("url.full", full),
                ("server.address", address),
                ("server.port", port),
            ]
            .map(|(name, value)| (name, value.to_owned()));
            assert_eq!(texts(origin_attributes(&requested("GET", url))), expected);
        }
    }

    #[test]
    fn unknown_methods_are_not_part_of_names() {
        let unknown = requested("BREW", "/pot");
        assert_eq!(method_in_name(unknown.method()), "HTTP");
        assert_eq!(method_in_name(&Method::PATCH), "PATCH");
        let attributes = texts(request_attributes(&unknown, "http"));
        let expected = [
            ("http.request.method", "_OTHER".to_owned()),
            ("http.request.method_original", "BREW".to_owned()),
        ];
        assert_eq!(attributes[..2], expected);
    }

    #[test]
    fn long_values_are_truncated() {
        let long = format!("/{}", "a".repeat(2 * MAX_VALUE_LEN));
        let attributes = texts(request_attributes(&requested("GET", &long), "http"));
        let (_, path) = &attributes[1];
        assert_eq!(path.len(), MAX_VALUE_LEN);
    }
}
