//! Who may ask the admin port: of the pages of a browser its own alone.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderValue, Request, StatusCode, header, uri::Authority};

/// Keeps pages out that a browser on this machine shows.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) address: SocketAddr,
    /// Further names that it is called by, in small letters.
    pub(super) allowed_hosts: Vec<String>,
}

impl Guard {
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), (StatusCode, &'static str)> {
        let named = named(request).filter(|named| self.is_own(named.host()));
        let Some(named) = named else {
            // A page whose own name was made to lead here (DNS rebinding) is of the same origin.
            let message =
                "the admin port is not called so; add the name to allowed_hosts under [admin]";
            return Err((StatusCode::MISDIRECTED_REQUEST, message));
        };
        // Reading is left to the browser, which keeps it from other pages; but events have no end, and few places.
        let matters = !request.method().is_safe() || request.uri().path() == "/events";
        if matters && is_from_another_page(request.headers(), &named) {
            return Err((StatusCode::FORBIDDEN, "other pages may not do this"));
        }
        Ok(())
    }

    fn is_own(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        match host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
        {
            // Names alone can be made to lead elsewhere.
            Ok(ip) => self.address.ip().is_unspecified() || ip == self.address.ip(),
            Err(_) => host == "localhost" || self.allowed_hosts.contains(&host),
        }
    }
}

/// The host that is asked, with its port.
fn named<B>(request: &Request<B>) -> Option<Authority> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let authority = match (request.uri().authority(), hosts.next(), hosts.next()) {
        (Some(authority), None, _) => authority.clone(),
        (None, Some(host), None) => host.to_str().ok()?.parse().ok()?,
        (Some(authority), Some(host), None) if host == authority.as_str() => authority.clone(),
        _ => return None,
    };
    (!authority.as_str().contains('@')).then_some(authority)
}

/// Browsers send at least one of these with what a page sends, and programs none. Another port is another page.
fn is_from_another_page(headers: &HeaderMap, named: &Authority) -> bool {
    let own_site = |site: &HeaderValue| site == "none" || site == "same-origin";
    let own_origin = |origin: &HeaderValue| {
        let (_, authority) = origin.to_str().ok()?.split_once("://")?;
        Some(authority.eq_ignore_ascii_case(named.as_str()))
    };
    !headers.get_all("sec-fetch-site").iter().all(own_site)
        || !headers
            .get_all(header::ORIGIN)
            .iter()
            .all(|origin| own_origin(origin) == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_names_are_answered() {
        for (address, host, own) in [
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
            let address = address.parse().expect("an address");
            let guard = Guard {
                address,
                allowed_hosts: vec!["ops.example.com".to_owned()],
            };
            let request = Request::get("/healthz").header("host", host).body(());
            let checked = guard.check(&request.expect("a request"));
            assert_eq!(checked.is_ok(), own, "{host} at {address}");
        }
    }
}
