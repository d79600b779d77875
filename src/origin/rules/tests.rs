use fastrand::Rng;
use http::{HeaderName, HeaderValue, Method, Request};

use super::*;
use crate::{Origin, SigningSettings};

const SEGMENTS: [&str; 8] = ["a", "b", "c", "a%2Fb", "%61", "%c3%a9", "A", "a b"];
const HOSTS: [&str; 9] = [
    "example.com",
    "*.example.com",
    "{bucket}.example.com",
    "a.example.com",
    "*.a.example.com",
    "{bucket}.a.example.com",
    "com",
    "*.com",
    "[::1]",
];
const REQUEST_HOSTS: [&str; 13] = [
    "example.com",
    "EXAMPLE.com",
    "example.com.:8080",
    "a.example.com",
    "A.a.Example.Com",
    "b.a.example.com",
    "x.y.z.a.example.com",
    "com",
    "x.com",
    "notexample.com",
    "[::1]:80",
    "other",
    "",
];

fn path(random: &mut Rng) -> String {
    let segments = (0..random.usize(..4)).map(|_| SEGMENTS[random.usize(..SEGMENTS.len())]);
    let joined = segments
        .map(|it| it.replace(' ', "%20"))
        .collect::<Vec<_>>();
    format!("/{}", joined.join("/"))
}

fn rule(random: &mut Rng) -> OriginRule {
    let mut rule = OriginRule::path(&path(random)).expect("a path");
    if random.bool() {
        rule = rule
            .with_host(HOSTS[random.usize(..HOSTS.len())])
            .expect("a host");
    }
    if random.u8(..4) == 0 {
        rule = rule.with_methods([Method::GET]);
    }
    if random.u8(..4) == 0 {
        let name = HeaderName::from_static("x-version");
        rule = rule.add_header(name, HeaderValue::from_static("1"));
    }
    rule
}

fn request(random: &mut Rng) -> Parts {
    let slashes = if random.u8(..8) == 0 { "//" } else { "" };
    let mut request = Request::builder()
        .method(if random.bool() {
            Method::GET
        } else {
            Method::PUT
        })
        .uri(format!("{}{slashes}", path(random)))
        .header("host", REQUEST_HOSTS[random.usize(..REQUEST_HOSTS.len())]);
    if random.bool() {
        request = request.header("x-version", "1");
    }
    request.body(()).expect("a request").into_parts().0
}

/// Returns the first rule that matches, by a search through all.
fn searched(rules: &OriginRules, head: &Parts, path: &str) -> Option<usize> {
    let host = host(head).expect("a host");
    let lower = host.unwrap_or_default().to_ascii_lowercase();
    let bucket_domain = |rule: &Rule| rule.conditions.bucket_domain().map(str::to_owned);
    let domains = rules.inner.rules.iter().filter_map(bucket_domain);
    let longest = domains
        .filter(|domain| lower == *domain || lower.ends_with(&format!(".{domain}")))
        .max_by_key(String::len);
    rules.inner.rules.iter().position(|rule| {
        bucket_domain(rule).is_none_or(|domain| Some(domain) == longest)
            && rule.conditions.matches_except_path(head, host)
            && rule.conditions.matches_path(path)
    })
}

#[test]
fn the_index_finds_the_rule_of_a_search_through_all() {
    let settings = SigningSettings::new("execute-api", "us-east-1").expect("valid");
    let origin = Origin::new("https://origin.example.com", settings).expect("valid");
    let mut random = Rng::with_seed(5000);
    let mut found = 0;
    for _ in 0..1000 {
        let count = random.usize(..40);
        let rules = (0..count).fold(OriginRules::new(), |rules, _| {
            rules.add_rule(rule(&mut random), origin.clone())
        });
        for _ in 0..100 {
            let head = request(&mut random);
            let path = encode::fold_escaped(head.uri.path());
            let expected = searched(&rules, &head, &path);
            assert_eq!(rules.position(&head).ok(), expected, "{head:?} {rules:?}");
            found += usize::from(expected.is_some());
        }
    }
    assert!(found > 30_000, "{found}");
}

#[test]
fn requests_never_reach_hidden_rules() {
    let origins = ["s3", "execute-api"].map(|service| {
        let settings = SigningSettings::new(service, "us-east-1").expect("valid");
        Origin::new("https://origin.example.com", settings).expect("valid")
    });
    let mut random = Rng::with_seed(7);
    let (mut hidden, mut reached) = (0, 0);
    for _ in 0..1000 {
        let rules = (0..random.usize(..40)).fold(OriginRules::new(), |rules, _| {
            rules.add_rule(rule(&mut random), origins[random.usize(..2)].clone())
        });
        let unreachable: Vec<_> = rules.hidden_rules().map(|(position, _)| position).collect();
        hidden += unreachable.len();
        for _ in 0..100 {
            if let Ok(position) = rules.position(&request(&mut random)) {
                assert!(!unreachable.contains(&position), "{position} {rules:?}");
                reached += 1;
            }
        }
    }
    assert!(hidden > 3000 && reached > 10_000, "{hidden} {reached}");
}

#[test]
fn rules_are_hidden_by_one_that_matches_all_of_their_requests() {
    const GET: &[Method] = &[Method::GET];
    const BOTH: &[Method] = &[Method::GET, Method::PUT];
    let origins = ["s3", "execute-api"].map(|service| {
        let settings = SigningSettings::new(service, "us-east-1").expect("valid");
        Origin::new("https://origin.example.com", settings).expect("valid")
    });
    let rule = |(path, host, methods, headers): (&str, &str, &[Method], &[&'static str])| {
        let mut rule = OriginRule::path(path).expect("a path");
        if !host.is_empty() {
            rule = rule.with_host(host).expect("a host");
        }
        if !methods.is_empty() {
            rule = rule.with_methods(methods.iter().cloned());
        }
        headers.iter().fold(rule, |rule, &value| {
            rule.add_header(
                HeaderName::from_static("x-a"),
                HeaderValue::from_static(value),
            )
        })
    };
    for (earlier, later, is_hidden) in [
        (
            ("/", "", &[][..], &[][..]),
            ("/", "", &[][..], &[][..]),
            true,
        ),
        (("/", "", &[], &[]), ("/a", "a.com", GET, &["1"]), true),
        (("/a", "", &[], &[]), ("/", "", &[], &[]), false),
        (("/a", "", &[], &[]), ("/ab", "", &[], &[]), false),
        (("/%61/", "", &[], &[]), ("/a/../a/b", "", &[], &[]), true),
        (("/", "a.com", &[], &[]), ("/", "", &[], &[]), false),
        (("/", "a.com", &[], &[]), ("/", "A.com.", &[], &[]), true),
        (("/", "a.com", &[], &[]), ("/", "b.a.com", &[], &[]), false),
        (("/", "*.com", &[], &[]), ("/", "a.com", &[], &[]), true),
        (
            ("/", "*.com", &[], &[]),
            ("/", "{bucket}.a.com", &[], &[]),
            true,
        ),
        (("/", "*.a.com", &[], &[]), ("/", "*.com", &[], &[]), false),
        (("/", "*.a.com", &[], &[]), ("/", "a.com", &[], &[]), false),
        (
            ("/", "*.a.com", &[], &[]),
            ("/", "*.ba.com", &[], &[]),
            false,
        ),
        (
            ("/", "{bucket}.a.com", &[], &[]),
            ("/", "*.a.com", &[], &[]),
            true,
        ),
        (("/", "", BOTH, &[]), ("/", "", GET, &[]), true),
        (("/", "", GET, &[]), ("/", "", BOTH, &[]), false),
        (("/", "", GET, &[]), ("/", "", &[], &[]), false),
        (("/", "", &[], &["1"]), ("/", "", &[], &["2", "1"]), true),
        (("/", "", &[], &["1"]), ("/", "", &[], &["2"]), false),
        (("/", "", &[], &["1"]), ("/", "", &[], &[]), false),
    ] {
        let rules = OriginRules::new()
            .add_rule(rule(earlier), origins[0].clone())
            .add_rule(rule(later), origins[1].clone());
        let expected = is_hidden.then_some((1, 0));
        assert_eq!(rules.hidden_rules().next(), expected, "{rules:?}");
    }
    // The longest domain names the bucket, so hosts below it do not match the first rule.
    let [wide, narrow] = ["{bucket}.a.com", "{bucket}.s3.a.com"];
    for (hosts, expected) in [
        (&[wide, narrow][..], &[][..]),
        (&[narrow, wide], &[]),
        (&[wide, narrow, "*.s3.a.com"], &[(2, 1)]),
        (&[wide, "*.a.com", narrow], &[(2, 1)]),
    ] {
        let rules = hosts.iter().fold(OriginRules::new(), |rules, host| {
            rules.add_rule(rule(("/", host, &[], &[])), origins[0].clone())
        });
        assert_eq!(
            rules.hidden_rules().collect::<Vec<_>>(),
            expected,
            "{hosts:?}"
        );
    }
    // S3 reads an escaped slash as a slash.
    for (first, second, is_hidden) in [(0, 0, true), (0, 1, false), (1, 0, true)] {
        let [earlier, later] = [("/a", first), ("/a%2Fb", second)];
        let add = |rules: OriginRules, (path, origin): (&str, usize)| {
            let rule = OriginRule::path(path).expect("a path");
            rules.add_rule(rule, origins[origin].clone())
        };
        let rules = add(add(OriginRules::new(), earlier), later);
        assert_eq!(
            rules.hidden_rules().count(),
            usize::from(is_hidden),
            "{rules:?}"
        );
    }
}

#[test]
fn rules_of_s3_agree_with_a_search_for_each_reading() {
    let settings = SigningSettings::new("s3", "us-east-1").expect("valid");
    let origin = Origin::new("https://s3.example.com", settings).expect("valid");
    let mut random = Rng::with_seed(3);
    let mut found = 0;
    for _ in 0..200 {
        let rules = (0..random.usize(..40)).fold(OriginRules::new(), |rules, _| {
            rules.add_rule(rule(&mut random), origin.clone())
        });
        for _ in 0..100 {
            let head = request(&mut random);
            let path = head.uri.path();
            let folded = encode::fold_escaped(path);
            let expected = searched(&rules, &head, &folded).filter(|&position| {
                let target = &rules.inner.rules[position].target;
                let form = target.key_form().expect("S3");
                let sent = target.options().wire.path(path, form).expect("a path");
                [&sent, &encode::fold_escaped(&sent)]
                    .iter()
                    .all(|reading| searched(&rules, &head, reading) == Some(position))
            });
            assert_eq!(rules.position(&head).ok(), expected, "{head:?} {rules:?}");
            found += usize::from(expected.is_some());
        }
    }
    assert!(found > 5000, "{found}");
}

#[test]
fn hosts_with_many_labels_match_as_others_do() {
    let settings = SigningSettings::new("execute-api", "us-east-1").expect("valid");
    let origin = Origin::new("https://origin.example.com", settings).expect("valid");
    let below = OriginRule::any().with_host("*.example.com").expect("valid");
    let rules = OriginRules::new().add_rule(below, origin);
    let long = "a.".repeat(100) + "example.com";
    let request = Request::get("/")
        .header("host", long)
        .body(())
        .expect("valid");
    assert_eq!(rules.position(&request.into_parts().0).ok(), Some(0));
}
