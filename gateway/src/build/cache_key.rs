//! Keys of cached responses: which forwarding headers separate them.
//!
//! An origin may build links from `x-forwarded-host` or redirect by `x-forwarded-proto`. A stored response must
//! therefore never depend on values that a client has forged.

use std::{
    net::IpAddr,
    sync::{Arc, Once},
};

use http::{HeaderName, HeaderValue, Method, request::Parts};
use http_cache_layer::Key;
use ipnet::IpNet;
use tower_sigv4::origin::{ClientAddr, ForwardedHeaders};

use crate::identity::RoutePicker;

/// Makes the keys of a route.
pub(super) struct RouteKeys {
    /// Forwarding headers that the origin receives.
    pub(super) forwarded: ForwardedHeaders,
    pub(super) trusted_proxies: Arc<[IpNet]>,
    /// Separates the responses of sessions, which may see different ones.
    sessions: Option<RoutePicker>,
    warned: Once,
}

impl RouteKeys {
    pub(super) fn new(forwarded: ForwardedHeaders, trusted_proxies: Arc<[IpNet]>) -> Self {
        Self {
            forwarded,
            trusted_proxies,
            sessions: None,
            warned: Once::new(),
        }
    }

    /// Gives each session of an identity responses of its own.
    pub(super) fn with_sessions(mut self, picker: Option<RoutePicker>) -> Self {
        self.sessions = picker;
        self
    }

    /// Returns the key of a request. GET and HEAD have none if the origin receives forwarding headers that no trusted
    /// proxy has set. A request without a session has none, too.
    pub(super) fn key(&self, head: &Parts) -> Option<Key> {
        let url = Key::from_request(head)?;
        let key = match &self.sessions {
            Some(picker) => url.with_identity(&picker.cache_part(head)?),
            None => url,
        };
        let mut names: Vec<_> = head
            .headers
            .keys()
            .filter(|name| self.separates(name))
            .collect();
        let Some(name) = names.first() else {
            return Some(key);
        };
        let client = head.extensions.get().map(ClientAddr::address);
        if client.is_some_and(|address| self.trusts(address)) {
            names.sort_unstable_by_key(|it| it.as_str());
            let values = names.into_iter().flat_map(|it| {
                let values = head.headers.get_all(it).iter();
                [it.as_str().as_bytes()]
                    .into_iter()
                    .chain(values.map(HeaderValue::as_bytes))
            });
            return Some(values.fold(key, Key::with_part));
        }
        self.warned.call_once(|| {
            tracing::warn!(
                "{} sends {name}: requests with it bypass the cache; add the address to trusted_proxies in [cache] \
                 if it is your proxy",
                client.map_or_else(|| "a client".to_owned(), |it| it.to_string())
            );
        });
        // An unsafe request still invalidates the URL, in all parts. No lookup uses this one.
        let is_lookup = matches!(head.method, Method::GET | Method::HEAD);
        (!is_lookup).then(|| key.with_part(b"untrusted"))
    }

    /// Returns `true` for a header that the origin receives and may use for its response.
    fn separates(&self, name: &HeaderName) -> bool {
        let selected = self.forwarded;
        match name.as_str() {
            // Each client has its own. A response that depends on it has to say so in `vary`, and is not stored.
            "x-forwarded-for" => false,
            "x-forwarded-host" => selected == selected.with_host(true),
            "x-forwarded-proto" => selected == selected.with_proto(true),
            "forwarded" => selected == ForwardedHeaders::ALL,
            other => is_prefixed(other) && selected == ForwardedHeaders::ALL,
        }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let canonical = address.to_canonical();
        let mut networks = self.trusted_proxies.iter();
        networks.any(|network| network.contains(&canonical))
    }
}

/// CGI and WSGI read `_` as `-`.
fn is_prefixed(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.starts_with(b"x") && bytes.len() > 11 && {
        bytes[2..].starts_with(b"forwarded") && matches!(bytes[1], b'-' | b'_')
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn keys(forwarded: ForwardedHeaders) -> RouteKeys {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|it| it.parse().expect("a network"));
        RouteKeys::new(forwarded, networks.into())
    }

    fn head(method: &str, client: &str, headers: &[(&str, &str)]) -> Parts {
        let mut builder = Request::builder()
            .method(method)
            .uri("/a")
            .header("host", "h");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let address: IpAddr = client.parse().expect("an address");
        let request = builder.extension(ClientAddr::new(address)).body(());
        request.expect("valid request").into_parts().0
    }

    #[test]
    fn forwarding_headers_of_trusted_proxies_separate_responses() {
        let route = keys(ForwardedHeaders::ALL);
        for trusted in ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"] {
            let of = |headers: &[_]| route.key(&head("GET", trusted, headers)).expect("a key");
            let plain = of(&[]);
            let [http, https] = ["http", "https"].map(|it| of(&[("x-forwarded-proto", it)]));
            assert_eq!(plain, Key::new("h", "/a"));
            assert_ne!(http, https);
            assert_ne!(plain, https);
            assert_ne!(https, of(&[("x-forwarded-host", "https")]));
            let two = [("x-forwarded-proto", "https"), ("x-forwarded-host", "a")];
            assert_eq!(of(&two), of(&[two[1], two[0]]));
        }
    }

    #[test]
    fn forged_forwarding_headers_make_no_variants() {
        let route = keys(ForwardedHeaders::ALL);
        for name in [
            "forwarded",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-port",
            "x-forwarded-prefix",
            "x_forwarded_host",
        ] {
            let forged = [(name, "junk")];
            assert_eq!(
                route.key(&head("GET", "192.0.2.1", &forged)),
                None,
                "{name}"
            );
            assert_eq!(
                route.key(&head("HEAD", "192.0.2.1", &forged)),
                None,
                "{name}"
            );
            let change = route.key(&head("POST", "192.0.2.1", &forged));
            let other = route.key(&head("POST", "192.0.2.1", &[(name, "other")]));
            assert!(
                change.is_some_and(|key| key != Key::new("h", "/a")),
                "{name}"
            );
            assert_eq!(
                other,
                route.key(&head("POST", "192.0.2.1", &forged)),
                "{name}"
            );
        }
        let address = [("x-forwarded-for", "198.51.100.1"), ("x-other", "a")];
        let key = route.key(&head("GET", "192.0.2.1", &address));
        assert_eq!(key, Some(Key::new("h", "/a")));
    }

    #[test]
    fn removed_forwarding_headers_do_not_count() {
        let only_proto = ForwardedHeaders::NONE.with_proto(true);
        for (forwarded, name, counts) in [
            (ForwardedHeaders::NONE, "x-forwarded-host", false),
            (ForwardedHeaders::NONE, "forwarded", false),
            (only_proto, "x-forwarded-host", false),
            (only_proto, "x-forwarded-port", false),
            (only_proto, "x-forwarded-proto", true),
        ] {
            let key = keys(forwarded).key(&head("GET", "192.0.2.1", &[(name, "a")]));
            let expected = (!counts).then(|| Key::new("h", "/a"));
            assert_eq!(key, expected, "{name}");
        }
    }
}
