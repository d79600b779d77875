//! Mistakes in `[[identity]]` are reported with line and remedy.

use crate::support::{TempFile, gateway_command};

const VALID: &str = r#"[[identity]]
name = "base"
source = "env"
[[identity]]
name = "orders"
chain = ["base"]
role_arn = "arn:aws:iam::123456789012:role/orders"
external_id = "ext"
session_name = "gw"
duration = "1h"
tags = { team = "a" }
transitive_tags = ["team"]
[[origin]]
name = "o"
url = "http://127.0.0.1:1"
service = "s3"
region = "eu-west-1"
identity = "orders"
[[route]]
path = "/"
origin = "o"
"#;

/// Returns whether the configuration is valid, and the output of `--check`.
fn check(config: &str) -> (bool, String) {
    let file = TempFile::new(config);
    let output = gateway_command()
        .args(["--config", &file.path, "--check"])
        .output()
        .expect("it runs");
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
    (output.status.success(), text.replace(&file.path, "FILE"))
}

#[test]
fn mistakes_are_reported_with_line_and_remedy() {
    assert_eq!(
        check(VALID),
        (
            true,
            "FILE: 1 origin(s), 1 route(s), no errors\n".to_owned()
        )
    );
    for (from, to, line, expected) in [
        ("\"env\"", "\"vault\"", 3, "unknown variant"),
        (
            "\"env\"",
            "\"static\"",
            2,
            "needs access_key_id and secret_access_key",
        ),
        ("\"env\"", "\"process\"", 2, "needs command"),
        (
            "\"env\"",
            "\"process\"\ncommand = []",
            4,
            "command is empty",
        ),
        ("\"env\"", "\"file\"", 2, "needs file"),
        (
            "\"env\"",
            "\"env\"\nprofile = \"p\"",
            4,
            "profile needs source = \"profile\" or \"file\"",
        ),
        (
            "\"env\"",
            "\"env\"\nsecret_access_key = \"hunter2\"",
            4,
            "secret_access_key needs source = \"static\"",
        ),
        (
            "\"env\"",
            "\"env\"\nexternal_id = \"ext\"",
            4,
            "external_id needs role_arn",
        ),
        (
            "\"env\"",
            "\"env\"\nduration = \"1h\"",
            4,
            "duration needs role_arn",
        ),
        (
            "\"env\"",
            "\"env\"\nmax_sessions = 5",
            4,
            "max_sessions needs {caller}",
        ),
        (
            "\"env\"",
            "\"web-identity\"\nexternal_id = \"ext\"",
            4,
            "does not go with source = \"web-identity\"",
        ),
        (
            "\"env\"",
            "\"web-identity\"\nsession_name = \"{caller}\"",
            4,
            "one session",
        ),
        ("\"base\"\n", "\"a b\"\n", 2, "is not a name of an identity"),
        (
            "\"base\"\n",
            "\"orders\"\n",
            5,
            "another identity \"orders\"",
        ),
        ("[\"base\"]", "[\"orders\"]", 6, "leads back to it"),
        (
            "[\"base\"]",
            "[\"other\"]",
            6,
            "no identity \"other\"; name one of [\"base\", \"orders\"]",
        ),
        ("[\"base\"]", "[\"base\", \"base\"]", 6, "has no role_arn"),
        ("[\"base\"]", "[]", 6, "chain is empty"),
        (
            "[\"base\"]",
            "[\"base\"]\nsource = \"env\"",
            7,
            "a source or a chain",
        ),
        (
            "role_arn = \"arn:aws:iam::123456789012:role/orders\"\n",
            "",
            6,
            "chain needs role_arn",
        ),
        (
            "arn:aws:iam::123456789012:role/orders",
            "arn:aws:iam::1:user/a",
            7,
            "is not the ARN of a role",
        ),
        ("\"ext\"", "\"e t\"", 8, "STS rejects this external_id"),
        ("\"gw\"", "\"g w\"", 9, "2 to 64 letters"),
        (
            "\"gw\"",
            "\"{user}\"",
            9,
            "use {caller}, {route} or {request_id}",
        ),
        ("\"gw\"", "\"{caller}\"", 18, "the route verifies no caller"),
        ("\"1h\"", "\"1m\"", 10, "15m to 12h"),
        ("\"1h\"", "\"13h\"", 10, "15m to 12h"),
        (
            "team = \"a\"",
            "\"aws:a\" = \"a\"",
            11,
            "STS rejects the tag key",
        ),
        ("[\"team\"]", "[\"other\"]", 12, "there is no tag \"other\""),
        (
            "identity = \"orders\"",
            "identity = \"other\"",
            18,
            "no identity \"other\"",
        ),
        (
            "identity = \"orders\"",
            "identity = \"orders\"\nsigning = \"never\"",
            18,
            "no identity signs",
        ),
        (
            "origin = \"o\"",
            "origin = \"o\"\nidentity = \"other\"",
            22,
            "no identity \"other\"",
        ),
        (
            "\"gw\"",
            "\"gw\"\npolicy = \"all\"",
            10,
            "not a JSON object",
        ),
        (
            "\"gw\"",
            "\"gw\"\npolicy_arns = [\"all\"]",
            10,
            "up to 10 ARNs",
        ),
        (
            "\"gw\"",
            "\"gw\"\nsts_endpoint = \"sts\"",
            10,
            "is not a URL without user and query",
        ),
    ] {
        assert!(VALID.contains(from), "{from}");
        let (is_valid, text) = check(&VALID.replacen(from, to, 1));
        let place = format!("FILE:{line}: ");
        assert!(
            !is_valid && text.contains(&place) && text.contains(expected),
            "{to}: {text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn chained_roles_last_an_hour_at_most() {
    let hop = "[[identity]]\nname = \"hop\"\nchain = [\"base\"]\n\
               role_arn = \"arn:aws:iam::123456789012:role/hop\"\n";
    let chained = format!(
        "{}{hop}",
        VALID.replace("[\"base\"]", "[\"base\", \"hop\"]")
    );
    assert!(check(&chained).0);
    let (is_valid, text) = check(&chained.replace("\"1h\"", "\"2h\""));
    assert!(!is_valid && text.contains("lasts at most 1h"), "{text}");
    assert!(check(&VALID.replace("\"1h\"", "\"2h\"")).0, "not chained");
}

#[test]
fn default_identity_has_one_place() {
    let credentials = "[credentials]\nsource = \"env\"\n";
    assert!(check(&format!("{credentials}{VALID}")).0);
    let second = VALID.replace("name = \"base\"", "name = \"default\"");
    let second = second.replace("[\"base\"]", "[\"default\"]");
    assert!(check(&second).0);
    let (is_valid, text) = check(&format!("{credentials}{second}"));
    assert!(!is_valid && text.contains("FILE:4: "), "{text}");
}

#[test]
fn sessions_per_request_are_warned_of_and_never_cached() {
    let config = VALID.replace("\"gw\"", "\"{request_id}\"");
    let (is_valid, text) = check(&config);
    assert!(
        is_valid && text.contains("calls STS for each request"),
        "{text}"
    );
    let (is_valid, text) = check(&format!("{config}cache = true\n"));
    assert!(!is_valid && text.contains("the cache never hits"), "{text}");
}
