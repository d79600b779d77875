//! `--check` of identities that need a user.

use crate::{
    VARIABLES,
    support::{TempFile, gateway_command},
};

const VALID: &str = r#"[verify]
[[verify.jwt]]
issuer = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_example"
audience = "app"
[[identity]]
name = "users"
source = "cognito-identity-pool"
identity_pool_id = "eu-west-1:00000000-1111-2222-3333-444444444444"
[[identity]]
name = "web"
source = "caller-web-identity"
role_arn = "arn:aws:iam::123456789012:role/web"
[[origin]]
name = "o"
url = "http://127.0.0.1:1"
service = "execute-api"
region = "eu-west-1"
identity = "users"
[[route]]
path = "/"
origin = "o"
[[route]]
path = "/web"
origin = "o"
identity = "web"
"#;

fn check(config: &str, more: &[&str]) -> (bool, String) {
    let file = TempFile::new(config);
    let output = gateway_command()
        .args(["--config", &file.path, "--check"])
        .args(more)
        .envs(VARIABLES)
        .output()
        .expect("it runs");
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
    (output.status.success(), text.replace(&file.path, "FILE"))
}

#[test]
fn identities_that_need_a_user_are_reported_without_a_call() {
    let (succeeded, text) = check(VALID, &["--credentials"]);
    assert!(succeeded, "{text}");
    for line in [
        "identity \"users\": source \"cognito-identity-pool\", needs a caller with a token\n",
        "identity \"web\": source \"caller-web-identity\", needs a caller with a token\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn mistakes_are_reported_with_line_and_remedy() {
    let pool = "identity_pool_id = \"eu-west-1:00000000-1111-2222-3333-444444444444\"\n";
    let role = "role_arn = \"arn:aws:iam::123456789012:role/web\"\n";
    for (from, to, line, expected) in [
        (pool, "", 6, "needs identity_pool_id"),
        (
            "eu-west-1:00000000-1111-2222-3333-444444444444",
            "users",
            8,
            "\"users\" is not an identity pool's ID",
        ),
        (
            pool,
            &*format!("{pool}duration = \"1h\"\n"),
            9,
            "duration does not go with source = \"cognito-identity-pool\"",
        ),
        (
            pool,
            &*format!("{pool}role_arn = \"admin\"\n"),
            9,
            "\"admin\" is not the ARN of a role",
        ),
        (
            pool,
            &*format!("{pool}login = \"https://example.com\"\n"),
            9,
            "login is an issuer without https://",
        ),
        (
            pool,
            &*format!("{pool}login = \"example.com\"\n"),
            6,
            "login of identity \"users\" is the issuer of no [[verify.jwt]]",
        ),
        (
            pool,
            &*format!("{pool}cognito_endpoint = \"cognito\"\n"),
            9,
            "\"cognito\" is not a URL without user and query",
        ),
        (
            pool,
            &*format!("{pool}cognito_endpoint = \"http://cognito.example.com\"\n"),
            9,
            "http is accepted for this machine only",
        ),
        (
            pool,
            &*format!("{pool}chain = [\"web\"]\nrole_arn = \"arn:aws:iam::123456789012:role/a\"\n"),
            7,
            "an identity has a source or a chain",
        ),
        (
            role,
            "",
            10,
            "source = \"caller-web-identity\" needs role_arn",
        ),
        (
            role,
            &*format!("{role}session_name = \"{{route}}\"\n"),
            13,
            "use {caller} only",
        ),
        (
            role,
            &*format!("{role}tags = {{ a = \"b\" }}\n"),
            13,
            "tags does not go with source = \"caller-web-identity\"",
        ),
        (
            "[[origin]]",
            "[[identity]]\nname = \"next\"\nchain = [\"users\"]\nrole_arn = \"arn:aws:iam::123456789012:role/a\"\n[[origin]]",
            15,
            "identity \"users\" has other credentials for each caller",
        ),
        (
            "path = \"/\"",
            "path = \"/\"\nverify = false",
            18,
            "identity \"users\" needs a token",
        ),
    ] {
        let config = VALID.replacen(from, to, 1);
        assert_ne!(config, VALID, "{from}");
        let (succeeded, text) = check(&config, &[]);
        assert!(!succeeded, "{to}: {text}");
        assert!(text.contains(expected), "{to}: {text}");
        let place = format!("FILE:{line}:");
        assert!(text.contains(&place), "{to}: {place}: {text}");
    }
}

#[test]
fn routes_without_tokens_cannot_use_the_identity() {
    let (_, rest) = VALID.split_once("[[identity]]").expect("an identity");
    let keys = "[verify]\nservice = \"execute-api\"\nregion = \"eu-west-1\"\n\
                [[verify.key]]\naccess_key_id = \"AKID\"\nsecret_access_key = \"secret\"\n";
    for verify in ["", keys] {
        let (succeeded, text) = check(&format!("{verify}[[identity]]{rest}"), &[]);
        assert!(!succeeded, "{text}");
        assert!(text.contains("identity \"users\" needs a token"), "{text}");
        assert!(text.contains("[[verify.jwt]]"), "{text}");
    }
}

#[test]
fn configurations_of_the_recipe_are_valid() {
    let document = include_str!("../../../../docs/api-gateway-custom-domain.md");
    let mut blocks = Vec::new();
    for part in document.split("```toml\n").skip(1) {
        let (block, _) = part.split_once("```").expect("an end");
        blocks.push(block);
    }
    assert_eq!(blocks.len(), 3, "one for each way");
    for block in blocks {
        assert_eq!(sigv4_gateway::check(block), Ok(()), "{block}");
    }
}
