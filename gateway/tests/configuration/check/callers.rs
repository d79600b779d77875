//! Mistakes in `[[verify.jwt]]`, `[verify.iam]` and `[verify.keys_endpoint]`.

use super::{VALID, check};

/// `VALID` has 17 lines.
const TOKENS: &str = "[[verify.jwt]]
issuer = \"https://login.example.com\"
audience = \"orders\"
algorithms = [\"RS256\"]
clock_skew = \"30s\"
required_claims = { token_use = \"id\" }
";

const ENDPOINT: &str = "[verify]
service = \"execute-api\"
region = \"us-east-1\"
[verify.keys_endpoint]
url = \"https://keys.example.com/lookup\"
timeout = \"2s\"
";

const PRINCIPALS: &str = "[verify]
[verify.iam]
server_id = \"gateway.example.com\"
principals = [\"arn:**\"]
";

fn assert_mistakes(section: &str, mistakes: &[(&str, &str, usize, &str)]) {
    let valid = VALID.replace("no-override", "always") + section;
    let (code, text) = check(&valid);
    assert_eq!(code, Some(0), "{text}");
    for (from, to, line, expected) in mistakes {
        assert!(valid.contains(from), "{from}");
        let (found, text) = check(&valid.replacen(from, to, 1));
        assert_eq!(found, Some(1), "{to}: {text}");
        let place = format!("sigv4-gateway: FILE:{line}: ");
        assert!(text.starts_with(&place), "{to}: {text}");
        assert!(text.contains(expected), "{to}: {text}");
        assert!(!text.contains("hunter2"), "{to}: {text}");
    }
}

#[test]
fn mistakes_in_principals_are_reported_with_line_and_remedy() {
    assert_mistakes(
        PRINCIPALS,
        &[
            ("principals = [\"arn:**\"]\n", "", 20, "set accounts"),
            ("[\"arn:**\"]", "[]", 21, "name at least one"),
        ],
    );
}

#[test]
fn mistakes_in_issuers_are_reported_with_line_and_remedy() {
    let twice = format!("{TOKENS}{TOKENS}");
    assert_mistakes(
        TOKENS,
        &[
            ("https://login", "http://login", 19, "https"),
            ("https://login.example.com", "login", 19, "\"login\""),
            ("audience = \"orders\"\n", "", 19, "audience is missing"),
            (
                "audience = \"orders\"",
                "audience = []",
                19,
                "audience is missing",
            ),
            (
                "RS256",
                "HS256",
                21,
                "the algorithm \"HS256\" is not supported; use one of RS256",
            ),
            (
                "RS256",
                "none",
                21,
                "the algorithm \"none\" is not supported",
            ),
            ("[\"RS256\"]", "[]", 19, "algorithms is empty"),
            ("30s", "10m", 22, "at most 5 minutes"),
            ("30s", "soon", 22, "not a valid duration"),
            (
                "clock_skew",
                "token_types = []\nclock_skew",
                19,
                "token_types is empty",
            ),
            (
                "clock_skew",
                "header = \"host\"\nclock_skew",
                22,
                "host has another meaning",
            ),
            (
                "clock_skew",
                "header = \"x-amz-security-token\"\nclock_skew",
                22,
                "has another meaning",
            ),
            (
                "clock_skew",
                "jwks_url = \"http://login.example.com/keys\"\nclock_skew",
                22,
                "https",
            ),
            (
                "clock_skew",
                "jwks_url = \"https://a.example/k\"\ndiscovery = \"https://a.example/d\"\nclock_skew",
                23,
                "there is a jwks_url already",
            ),
            (
                "clock_skew",
                "leeway = \"1s\"\nclock_skew",
                22,
                "unknown field `leeway`",
            ),
            (TOKENS, &twice, 25, "configured twice"),
        ],
    );
}

#[test]
fn mistakes_in_the_keys_endpoint_are_reported_with_line_and_remedy() {
    assert_mistakes(
        ENDPOINT,
        &[
            (
                "https://keys",
                "http://keys",
                22,
                "http is accepted for this machine only",
            ),
            (
                "https://keys.example.com/lookup",
                "keys",
                22,
                "https://keys.example.com",
            ),
            (
                "https://keys",
                "https://me:hunter2@keys",
                22,
                "set authorization",
            ),
            (
                "url = \"https://keys.example.com/lookup\"\n",
                "",
                21,
                "missing field `url`",
            ),
            ("\"2s\"", "\"0s\"", 23, "not a valid duration"),
            ("timeout = \"2s\"", "capacity = 0", 23, "capacity is 0"),
            (
                "timeout = \"2s\"",
                "authorization = \"env:NO_SUCH_VARIABLE\"",
                23,
                "\"NO_SUCH_VARIABLE\"",
            ),
            (
                "timeout = \"2s\"",
                "authorization = \"file:/no/such/file\"",
                23,
                "cannot read the file \"/no/such/file\"",
            ),
            (
                "timeout = \"2s\"",
                "authorization = \"hunter2\\n\"",
                23,
                "authorization is not the value of a header",
            ),
            (
                "[verify]\nservice = \"execute-api\"",
                "[verify]",
                21,
                "service is missing",
            ),
        ],
    );
}
