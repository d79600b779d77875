//! Rejects requests that foreign web pages send to the admin port through a local browser.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderValue, Request, StatusCode, header, uri::Authority};

#[derive(Clone)]
pub(super) struct Guard {
    pub(super) address: SocketAddr,
    /// Additional host names, in lower case.
    pub(super) allowed_hosts: Vec<String>,
}

impl Guard {
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), (StatusCode, &'static str)> {
        let Some(host) = requested_host(request).filter(|host| self.allows(host.host())) else {
            // After DNS rebinding a foreign page has the same origin as this port.
            let message = "unknown Host header; add it to allowed_hosts in [admin]";
            return Err((StatusCode::MISDIRECTED_REQUEST, message));
        };
        // Browsers keep foreign pages from reading responses. Event streams are endless and few, so these are checked.
        let is_protected = !request.method().is_safe() || request.uri().path() == "/events";
        if is_protected && is_cross_origin(request.headers(), &host) {
            return Err((
                StatusCode::FORBIDDEN,
                "cross-origin requests are not allowed",
            ));
        }
        Ok(())
    }

    fn allows(&self, host: &str) -> bool {
        let name = host.to_ascii_lowercase();
        let address = name.trim_start_matches('[').trim_end_matches(']');
        match address.parse::<IpAddr>() {
            // DNS rebinding needs a name.
            Ok(ip) => self.address.ip().is_unspecified() || ip == self.address.ip(),
            Err(_) => name == "localhost" || self.allowed_hosts.contains(&name),
        }
    }
}

/// Returns host and port, or `None` if they are missing or ambiguous.
fn requested_host<B>(request: &Request<B>) -> Option<Authority> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let authority = match (request.uri().authority(), hosts.next(), hosts.next()) {
        (Some(authority), None, _) => authority.clone(),
        (None, Some(host), None) => host.to_str().ok()?.parse().ok()?,
        (Some(authority), Some(host), None) if host == authority.as_str() => authority.clone(),
        _ => return None,
    };
    (!authority.as_str().contains('@')).then_some(authority)
}

/// Browsers send at least one of these headers, other programs neither. Another port is another origin.
fn is_cross_origin(headers: &HeaderMap, host: &Authority) -> bool {
    let is_same_site = |site: &HeaderValue| site == "none" || site == "same-origin";
    let is_same_origin = |origin: &HeaderValue| {
        let authority = origin.to_str().ok().and_then(|it| it.split_once("://"));
        authority.is_some_and(|(_, it)| it.eq_ignore_ascii_case(host.as_str()))
    };
    !headers.get_all("sec-fetch-site").iter().all(is_same_site)
        || !headers.get_all(header::ORIGIN).iter().all(is_same_origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_hosts_are_rejected() {
        for (address, host, allowed) in [
            ("127.0.0.1:9090", "127.0.0.1:9090", true),
            ("127.0.0.1:9090", "127.0.0.1", true),
            ("127.0.0.1:9090", "LocalHost:80", true),
            ("127.0.0.1:9090", "Ops.example.com", true),
            ("127.0.0.1:9090", "10.0.0.1:9090", false),
            ("127.0.0.1:9090", "evil.example", false),
            ("127.0.0.1:9090", "localhost.evil.example", false),
            ("127.0.0.1:9090", "127.0.0.1.evil.example", false),
            ("127.0.0.1:9090", "evil@127.0.0.1", false),
            ("127.0.0.1:9090", "", false),
            ("0.0.0.0:9090", "10.0.0.1:9090", true),
            ("0.0.0.0:9090", "evil.example", false),
            ("[::1]:9090", "[::1]:9090", true),
            ("[::1]:9090", "[::2]:9090", false),
        ] {
            let address = address.parse().expect("valid address");
            let guard = Guard {
                address,
                allowed_hosts: vec!["ops.example.com".to_owned()],
            };
            let request = Request::get("/healthz").header("host", host).body(());
            let checked = guard.check(&request.expect("valid request"));
            assert_eq!(checked.is_ok(), allowed, "{host} at {address}");
        }
    }
}
