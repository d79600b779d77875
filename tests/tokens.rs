//! Comparison of tokens and POST policies with botocore, the aws CLI and the generators that AWS publishes.
//!
//! `scripts/interop` runs this test, and sets `TOKENS_PYTHON` to a Python that has them.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::{Duration, UNIX_EPOCH},
};

use fastrand::Rng;
use serde_json::{Value, json};
use tower_sigv4::{
    Error, SigningSettings,
    credentials::Credentials,
    sigv4::{
        Identity, Payload, PostPolicy, SigningParams,
        token::{self, Token, TokenParams},
    },
};

/// Requests of each kind.
const REQUESTS: usize = 100;

const KINDS: [&str; 10] = [
    "bedrock", "cache", "dsql", "eks", "eks_cli", "memorydb", "msk", "post", "rds", "rds_cli",
];

/// Regions of partitions in which the services exist.
const REGIONS: [&str; 5] = [
    "us-east-1",
    "eu-central-1",
    "ap-southeast-2",
    "us-gov-west-1",
    "cn-north-1",
];

#[test]
#[ignore = "needs botocore and the aws CLI; run scripts/interop"]
fn tokens_equal_those_of_aws() {
    let python = env::var_os("TOKENS_PYTHON");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/interop.d/tokens.py");
    let mut program = Command::new(python.expect("TOKENS_PYTHON names a Python with botocore"))
        .args(["-EsB", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut stdin = program.stdin.take().expect("piped");
    let mut stdout = BufReader::new(program.stdout.take().expect("piped"));

    let seed = fastrand::u64(..);
    let mut rng = Rng::with_seed(seed);
    for kind in KINDS {
        let count = if kind.ends_with("_cli") {
            REQUESTS / 5
        } else {
            REQUESTS
        };
        for _ in 0..count {
            let case = random_case(kind, &mut rng);
            writeln!(stdin, "{case}").expect("sent");
            let mut line = String::new();
            stdout.read_line(&mut line).expect("received");
            let expected: Value = serde_json::from_str(&line)
                .unwrap_or_else(|error| panic!("{error}: {case:#}, seed {seed}"));
            let ours = created(kind, &case).unwrap_or_else(|error| panic!("{error}: {case:#}"));
            let expected = expected.get("fields").unwrap_or(&expected);
            assert_eq!(&ours, expected, "{case:#}, seed {seed}");
        }
    }
    drop(stdin);
    assert!(program.wait().expect("ended").success());
}

fn random_case(kind: &str, rng: &mut Rng) -> Value {
    let session_token = rng.bool().then(|| random_text(rng, "AZaz09+/="));
    let mut case = json!({
        "kind": kind,
        "id": "AKIDEXAMPLE",
        "secret": random_text(rng, "AZaz09+/"),
        "token": session_token,
        "region": *rng.choice(&REGIONS).expect("some"),
        "time": rng.u64(1_000_000_000..4_000_000_000),
    });
    let mut set = |name: &str, value: Value| case[name] = value;
    match kind {
        "bedrock" => set("expires", json!(rng.u64(1..=43_200))),
        "cache" | "memorydb" => {
            let memorydb = kind == "memorydb";
            set("kind", json!("cache"));
            set(
                "service",
                json!(if memorydb { kind } else { "elasticache" }),
            );
            set("serverless", json!(!memorydb && rng.bool()));
            set("name", json!(random_text(rng, "AZaz09")));
            set("user", json!(random_text(rng, "az09-@+ é")));
        }
        "dsql" => {
            set("host", json!("abc123.dsql.us-east-1.on.aws"));
            set("admin", json!(rng.bool()));
        }
        // The CLI would take a leading hyphen for an option.
        "eks" | "eks_cli" => {
            set(
                "cluster",
                json!(format!("c{}", random_text(rng, "AZaz09-_"))),
            );
        }
        // AWS's generator writes a space as `+`, and this crate as `%20`. The signature covers neither.
        "msk" => set("user_agent", json!(random_text(rng, "az09-/.+é"))),
        "post" => {
            let acl = random_text(rng, "az-\"\\é\u{1f600}\n");
            let file_name = if rng.bool() { "${filename}" } else { "" };
            let key = random_text(rng, "az09/-+ é$") + file_name;
            set("bucket", json!("bucket-1"));
            set("key", json!(key));
            set("fields", json!({"acl": acl}));
            let max = rng.u64(..1 << 50);
            set(
                "conditions",
                json!([
                    {"acl": acl},
                    ["starts-with", "$Content-Type", "image/"],
                    ["content-length-range", 0, max],
                ]),
            );
            set("expires", json!(rng.u64(1..=604_800)));
        }
        _ => {
            set("host", json!("db.abc123.us-east-1.rds.amazonaws.com"));
            set(
                "port",
                json!(rng.choice([3306, 5432, 443, 80, 65_535]).expect("some")),
            );
            // The CLI would take a leading hyphen for an option.
            set(
                "user",
                json!(format!("u{}", random_text(rng, "az09-_@+/ é"))),
            );
        }
    }
    case
}

/// Returns 1 to 40 of these characters.
fn random_text(rng: &mut Rng, alphabet: &str) -> String {
    let chars: Vec<_> = alphabet.chars().collect();
    let len = rng.usize(1..=40);
    (0..len)
        .map(|_| *rng.choice(&chars).expect("some"))
        .collect()
}

/// Returns a token as a string, or a form as an object.
fn created(kind: &str, case: &Value) -> Result<Value, Error> {
    let text = |name: &str| case[name].as_str().expect("a string");
    let number = |name: &str| case[name].as_u64().expect("a number");
    let is = |name: &str| case[name].as_bool().expect("a boolean");
    let session_token = case["token"].as_str().map(str::to_owned);
    let keys = Credentials::new(text("id"), text("secret"), session_token, None, "test");
    let identity = Identity::new(keys)?;
    let time = UNIX_EPOCH + Duration::from_secs(number("time"));
    let params = TokenParams::new(text("region"), &identity, time);
    let string = |token: Token| Value::from(token.as_str());
    match kind {
        "bedrock" => token::bedrock(&params, Duration::from_secs(number("expires"))),
        "cache" if is("serverless") => {
            token::elasticache_serverless(&params, text("name"), text("user"))
        }
        "cache" => token::elasticache(&params, text("name"), text("user")),
        "memorydb" => token::memorydb(&params, text("name"), text("user")),
        "dsql" if is("admin") => token::dsql_admin(&params, text("host")),
        "dsql" => token::dsql(&params, text("host")),
        "eks" | "eks_cli" => token::eks(&params, text("cluster")),
        "msk" => token::msk(&params, text("user_agent")),
        "post" => return form(case, &identity),
        _ => {
            let port = number("port").try_into().expect("a port");
            token::rds(&params, text("host"), port, text("user"))
        }
    }
    .map(string)
}

fn form(case: &Value, identity: &Identity) -> Result<Value, Error> {
    let text = |name: &str| case[name].as_str().expect("a string");
    let number = |name: &str| case[name].as_u64().expect("a number");
    let settings = SigningSettings::new("s3", text("region"))?;
    let time = UNIX_EPOCH + Duration::from_secs(number("time"));
    let params = SigningParams::new(&settings, identity, Payload::Unsigned, time);
    let expires = Duration::from_secs(number("expires"));
    let acl = case["fields"]["acl"].as_str().expect("a string");
    let max = case["conditions"][2][2].as_u64().expect("a number");
    let form = PostPolicy::new(text("bucket"), text("key"), expires)?
        .add_field("acl", acl)?
        .add_starts_with("Content-Type", "image/")?
        .with_content_length(0..=max)?
        .sign(&params)?;
    let fields = form.fields().iter().cloned();
    Ok(fields
        .map(|(name, value)| (name, Value::from(value)))
        .collect())
}
