//! Invalid sections `[[caller]]` and names of routes.

use crate::{
    client::verify_section,
    support::{TempFile, gateway_command},
};

const BASE: &str = r#"[credentials]
source = "static"
access_key_id = "AKID"
secret_access_key = "secret"
[[origin]]
name = "a"
url = "http://127.0.0.1:1"
service = "execute-api"
region = "r"
[[origin]]
name = "s3"
url = "http://127.0.0.1:1"
service = "s3"
region = "r"
[[route]]
name = "orders"
path = "/orders"
origin = "a"
[[route]]
name = "s3"
path = "/s3"
origin = "s3"
[[route]]
name = "open"
path = "/open"
origin = "a"
verify = false
"#;

const TOKENS: &str =
    "[[verify.jwt]]\nissuer = \"https://issuer.example.com\"\naudience = \"orders\"\n";

fn check(config: &str) -> (bool, String) {
    let file = TempFile::new(config);
    let output = gateway_command()
        .args(["--config", &file.path, "--check"])
        .output()
        .expect("output");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text)
        .expect("UTF-8")
        .replace(&file.path, "FILE");
    (output.status.success(), text)
}

#[test]
fn mistakes_have_a_line_and_a_remedy() {
    let verify = verify_section("s3", &["AKIDONE"]) + TOKENS;
    for (section, expected) in [
        (
            "match = { any = true }\nallow = []",
            "allow is empty, so the caller may send no request; name a route",
        ),
        (
            "match = { any = true }\nallow = \"other\"",
            "there is no route \"other\"; name one of [\"orders\", \"s3\", \"open\"]",
        ),
        (
            "match = { any = true }\nallow = \"orders:get\"",
            "\"get\" is not a method; write one such as \"GET\"",
        ),
        (
            "match = { any = true }\nallow = \"orders:\"",
            "\"\" is not a method",
        ),
        (
            "match = { any = true }\nallow = { route = \"orders\", methods = [] }",
            "methods is empty",
        ),
        (
            "match = { any = true }\nallow = \"open\"",
            "route \"open\" has verify = false and is open to everyone; remove it",
        ),
        (
            "match = { any = true }\nallow = \"orders:GET:b/**\"",
            "the origin of route \"orders\" is not S3",
        ),
        (
            "match = { any = true }\nallow = \"s3:GET:bucket-a\"",
            "write bucket and key, such as \"bucket-a/**\" for a whole bucket",
        ),
        (
            "match = { any = true }\nallow = \"s3:GET:bucket-a/\"",
            "is not a pattern of objects",
        ),
        (
            "match = { any = true }\nallow = { route = \"s3\", objects = [] }",
            "objects is empty",
        ),
        (
            "match = { any = true }\nallow = { routes = \"s3\" }",
            "unknown field `routes`",
        ),
        (
            "match = { any = false }\nallow = \"*\"",
            "any = false matches no caller",
        ),
        (
            "match = {}\nallow = \"*\"",
            "match needs exactly one of access_key_id, arn, claim and any",
        ),
        (
            "match = { any = true, access_key_id = \"AKIDONE\" }\nallow = \"*\"",
            "match needs exactly one of",
        ),
        (
            "match = { access_key_id = [] }\nallow = \"*\"",
            "access_key_id is empty",
        ),
        (
            "match = { access_key_id = \"AKID*\" }\nallow = \"*\"",
            "write it in full",
        ),
        (
            "match = { arn = \"arn:aws:iam::1:role/orders\" }\nallow = \"*\"",
            "arn matches no caller without IAM principals",
        ),
        (
            "match = { arn = \"orders\" }\nallow = \"*\"",
            "\"orders\" is not an ARN",
        ),
        (
            "match = { arn = \"arn:aws:iam::1:role/team/orders\" }\nallow = \"*\"",
            "has no path of its role",
        ),
        (
            "match = { issuer = \"https://other.example.com\" }\nallow = \"*\"",
            "there is no [[verify.jwt]] of issuer",
        ),
        (
            "match = { claim = { group = [] } }\nallow = \"*\"",
            "claim \"group\" has no value",
        ),
        (
            "match = { any = true }\nallow = \"*\"\nrate = \"fast\"",
            "is not a valid rate",
        ),
        (
            "match = { any = true }\nallow = \"*\"\nmax_concurrency = 0",
            "max_concurrency is 0",
        ),
        (
            "name = \"\"\nmatch = { any = true }\nallow = \"*\"",
            "name must have 1 to 64 bytes",
        ),
        (
            "name = \"x\"\nmatch = { any = true }\nallow = \"*\"\n[[caller]]\nname = \"x\"\nmatch = { any = true }\nallow = \"*\"",
            "there is another caller \"x\"",
        ),
    ] {
        let (is_valid, text) = check(&format!("{BASE}{verify}[[caller]]\n{section}\n"));
        assert!(!is_valid && text.contains(expected), "{section}: {text}");
        assert!(text.contains("FILE:"), "{section}: {text}");
    }
    let second = TOKENS.replace("issuer.example", "other.example");
    for (tables, expected) in [
        ("", "match needs callers with tokens; add a [[verify.jwt]]"),
        (&*format!("{TOKENS}{second}"), "set issuer to one of"),
    ] {
        let keys = verify_section("s3", &["AKIDONE"]);
        let caller = "[[caller]]\nmatch = { claim = { group = \"a\" } }\nallow = \"*\"\n";
        let (is_valid, text) = check(&format!("{BASE}{keys}{tables}{caller}"));
        assert!(!is_valid && text.contains(expected), "{text}");
    }
    let (is_valid, text) = check(&format!(
        "{BASE}[[caller]]\nmatch = {{ any = true }}\nallow = \"*\"\n"
    ));
    assert!(
        !is_valid && text.contains("match needs verified callers; add a section [verify]"),
        "{text}"
    );
}

#[test]
fn valid_sections_pass() {
    let verify = verify_section("s3", &["AKIDONE"]) + TOKENS;
    for section in [
        "match = { any = true }\nallow = \"*\"",
        "match = { access_key_id = [\"AKIDONE\", \"AKIDTWO\"] }\nallow = [\"orders:GET, HEAD\", \"*:*:bucket-*/x/**\"]",
        "name = \"team\"\nmatch = { access_key_id = \"AKIDONE\" }\nallow = { route = \"s3\", methods = \"GET\", objects = \"a/**\" }",
        "match = { claim = { \"cognito:groups\" = [\"a\", \"b\"], tier = \"3\" } }\nallow = \"*\"",
        "match = { issuer = \"https://issuer.example.com\" }\nallow = \"*\"",
        "match = { any = true }\nallow = [\"orders\", { route = \"s3\" }]\nrate = \"1/s\"\nmax_concurrency = 1",
    ] {
        let (is_valid, text) = check(&format!("{BASE}{verify}[[caller]]\n{section}\n"));
        assert!(is_valid, "{section}: {text}");
    }
}

#[test]
fn names_of_routes_are_valid_and_different() {
    for (name, expected) in [
        ("", "is not a valid name; use 1 to 64 letters"),
        ("a b", "is not a valid name"),
        ("a:b", "is not a valid name"),
        ("*", "is not a valid name"),
        (
            "s3",
            "there is another route \"s3\"; give each its own name",
        ),
    ] {
        let (is_valid, text) = check(&BASE.replace("\"orders\"\npath", &format!("{name:?}\npath")));
        assert!(!is_valid && text.contains(expected), "{name}: {text}");
    }
    let long = "a".repeat(65);
    let (is_valid, text) = check(&BASE.replace("\"orders\"\npath", &format!("{long:?}\npath")));
    assert!(!is_valid && text.contains("is not a valid name"), "{text}");
}
