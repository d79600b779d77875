//! Time to find the rule of a request among 10 and 5,000, beside a search through all of them and `matchit`, the router
//! of axum, which has no hosts, methods and headers and prefers the most specific path.
//!
//! ```text
//! cargo bench -p tower-sigv4-benches --bench rules
//! ```

use std::hint::black_box;

use http::{Request, request::Parts};
use matchit::Router;
use percent_encoding::percent_decode_str;
use tower_sigv4::{
    Origin, SigningSettings,
    origin::{OriginRule, OriginRules},
};
use tower_sigv4_benches::{Contender, compare, contender};

const MANY: usize = 5000;
const FEW: usize = 10;

/// Host and path of a rule.
type Place = fn(usize) -> (Option<String>, String);

fn main() {
    let measured = std::env::args().any(|arg| arg == "--bench"); // not by `cargo test --benches`
    let cases: [(&str, Place); 4] = [
        ("a path for each", |n| (None, format!("/v1/service-{n}"))),
        ("a host for each", |n| {
            (Some(format!("tenant-{n}.example.com")), "/".to_owned())
        }),
        ("a domain for each", |n| {
            (Some(format!("*.tenant-{n}.example.com")), "/".to_owned())
        }),
        ("50 hosts, 100 paths", |n| {
            let host = format!("tenant-{}.example.com", n % 50);
            (Some(host), format!("/v1/service-{}", n / 50))
        }),
    ];
    for (title, place) in cases {
        let (many, few) = (Case::new(place, MANY), Case::new(place, FEW));
        let router = router(place);
        let path = many.head.uri.path().to_owned();
        let mut contenders: Vec<Contender<'_>> = vec![
            contender("nothing", || ()),
            contender("10 rules", || few.find()),
            contender("5,000 rules", || many.find()),
            contender("5,000 rules, none", || many.find_none()),
            contender("5,000, a search", || many.search()),
        ];
        if place(0).0.is_none() {
            contenders.push(contender("5,000, matchit", || {
                *router.at(&path).expect("a match").value
            }));
        }
        if measured {
            compare(title, contenders);
        }
    }
}

struct Case {
    rules: OriginRules,
    plain: Vec<Plain>,
    /// A request for the last rule.
    head: Parts,
    no_match: Parts,
}

impl Case {
    fn new(place: Place, count: usize) -> Self {
        let settings = SigningSettings::new("execute-api", "us-east-1").expect("valid");
        let origin = Origin::new("https://origin.example.com", settings).expect("valid");
        let rule = |number: usize| {
            let (host, path) = place(number);
            let rule = OriginRule::path(&path).expect("a path");
            match host {
                Some(name) => rule.with_host(&name).expect("a host"),
                None => rule,
            }
        };
        let add = |rules: OriginRules, number| rules.add_rule(rule(number), origin.clone());
        let case = Self {
            rules: (0..count).fold(OriginRules::new(), add),
            plain: (0..count)
                .map(|number| Plain::new(&place(number)))
                .collect(),
            head: head(&place(count - 1)),
            no_match: head(&(Some("other.example.org".to_owned()), "/other".to_owned())),
        };
        assert_eq!(case.find(), count - 1);
        assert_eq!(case.search(), count - 1);
        case
    }

    fn find(&self) -> usize {
        self.rules.position(black_box(&self.head)).expect("a match")
    }

    fn find_none(&self) -> bool {
        self.rules.position(black_box(&self.no_match)).is_ok()
    }

    fn search(&self) -> usize {
        let head = black_box(&self.head);
        let host = head.headers["host"].to_str().expect("ASCII");
        let is_match = |rule: &Plain| rule.matches(host, head.uri.path());
        self.plain.iter().position(is_match).expect("a match")
    }
}

/// A rule that is compared with each request, as this crate did before it had an index.
struct Plain {
    /// With a dot in front unless it is one host.
    host: Option<String>,
    segments: Vec<Vec<u8>>,
}

impl Plain {
    fn new((host, path): &(Option<String>, String)) -> Self {
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        Self {
            host: host
                .as_ref()
                .map(|name| name.trim_start_matches('*').to_owned()),
            segments: segments
                .map(|segment| segment.as_bytes().to_vec())
                .collect(),
        }
    }

    fn matches(&self, host: &str, path: &str) -> bool {
        let is_host = self.host.as_ref().is_none_or(|name| {
            let at = host.len().checked_sub(name.len());
            let end = at.and_then(|start| host.get(start..));
            end.is_some_and(|text| text.eq_ignore_ascii_case(name))
                && (name.starts_with('.') || at == Some(0))
        });
        let mut sent = path.trim_start_matches('/').split('/');
        is_host
            && self.segments.iter().all(|expected| {
                sent.next()
                    .is_some_and(|segment| percent_decode_str(segment).eq(expected.iter().copied()))
            })
    }
}

fn head((host, path): &(Option<String>, String)) -> Parts {
    let named = host.as_deref().unwrap_or("api.example.com");
    Request::get(format!("{path}/orders/1"))
        .header("host", named.replace('*', "a"))
        .body(())
        .expect("a request")
        .into_parts()
        .0
}

fn router(place: Place) -> Router<usize> {
    let mut router = Router::new();
    for number in 0..MANY {
        let (host, path) = place(number);
        if host.is_none() {
            let route = format!("{path}/{{*rest}}");
            router.insert(route, number).expect("a route");
        }
    }
    router
}
