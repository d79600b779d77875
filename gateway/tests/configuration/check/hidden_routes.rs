//! Warnings of routes that no request reaches.

use std::time::{Duration, Instant};

use super::{VALID, check};

fn route(settings: &str) -> String {
    format!("[[route]]\norigin = \"orders\"\n{settings}\n")
}

#[test]
fn routes_that_no_request_reaches_are_warned_of() {
    // The route of the file is GET /orders in line 15.
    for (added, expected) in [
        (
            route("path = \"/orders/\"\nmethods = [\"GET\"]"),
            "FILE:15: warning: route \"/orders\" matches all requests of the later route \"/orders/\" (FILE:20); put the \
             narrower one first, or remove one\n",
        ),
        (
            route("path = \"/\"\nhost = \"*.a.com\"")
                + &route("name = \"b\"\nhost = \"b.a.com\"\npath = \"/b\""),
            "FILE:20: warning: route \"*.a.com/\" matches all requests of the later route \"b\" (FILE:26); ",
        ),
        (
            route("path = \"/\"\nheaders = { x-a = \"hunter2\" }").repeat(9),
            "FILE:20: warning: route \"/\" matches all requests of the later routes \"/\" (FILE:24), \"/\" (FILE:28), \"/\" \
             (FILE:32), \"/\" (FILE:36), \"/\" (FILE:40) and 3 more; ",
        ),
    ] {
        let (code, text) = check(&format!("{VALID}{added}"));
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains(expected), "{added}: {text}");
        assert!(text.contains("no errors, 1 warning(s)\n"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    for reachable in [
        route("path = \"/orders\""),
        route("path = \"/\"\nmethods = [\"GET\"]"),
        route("path = \"/orders\"\nmethods = [\"GET\", \"PUT\"]"),
        route("path = \"/orders2\"\nmethods = [\"GET\"]"),
    ] {
        let (_, text) = check(&format!("{VALID}{reachable}"));
        assert!(text.ends_with("no errors\n"), "{reachable}: {text}");
    }
}

#[test]
fn thousands_of_routes_are_compared_in_time() {
    let every = route("path = \"/\"\nmethods = [\"POST\"]");
    let routes: String = (0..5000)
        .map(|number| route(&format!("path = \"/{number}\"\nmethods = [\"POST\"]")))
        .collect();
    let start = Instant::now();
    let (_, text) = check(&format!("{VALID}{routes}"));
    let without_warnings = start.elapsed();
    assert!(text.ends_with("no errors\n"), "{text}");
    let hidden = Instant::now();
    let (_, text) = check(&format!("{VALID}{every}{routes}"));
    let limit = 3 * without_warnings + Duration::from_secs(1);
    assert!(hidden.elapsed() < limit, "{without_warnings:?}");
    assert!(text.contains("and 4995 more; "), "{text}");
}
