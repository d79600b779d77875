//! Secrets by reference, and outputs that might contain one.
#![cfg(all(feature = "aws-config", feature = "otlp"))]

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{
    ACCESS_KEY_ID, REGION, SERVICE, TempFile, TestOrigin, exchange, gateway_command,
    logging::{LoggingGateway, OK},
    read_until, signed_request,
};

const ORIGIN: &str = "[[origin]]\nname = \"a\"\nurl = \"http://127.0.0.1:9\"\nservice = \"execute-api\"\nregion = \"r\"\n";
const ROUTE: &str = "[[route]]\npath = \"/\"\norigin = \"a\"\n";
const ROLE: &str =
    "[[identity]]\nname = \"b\"\nrole_arn = \"arn:aws:iam::123456789012:role/orders\"\n";
const JWT: &str = "[verify]\n[[verify.jwt]]\naudience = \"orders\"\n";

/// Part of each secret here.
const MARKER: &str = "hunter2";

/// Each place of a secret: its path in the schema, and a configuration that has `VALUE` there.
const PLACES: [(&str, &str); 17] = [
    ("cache.redis", "[cache]\nredis = VALUE\n"),
    (
        "cache.redis[]",
        "[cache]\nredis_mode = \"cluster\"\nredis = [VALUE]\n",
    ),
    (
        "cache.redis_service",
        "[cache]\nredis_mode = \"sentinel\"\nredis = [\"redis://127.0.0.1:1\"]\nredis_service = VALUE\n",
    ),
    (
        "credentials.secret_access_key",
        "[credentials]\nsource = \"static\"\naccess_key_id = \"AKID\"\nsecret_access_key = VALUE\n",
    ),
    (
        "credentials.session_token",
        "[credentials]\nsource = \"static\"\naccess_key_id = \"AKID\"\nsecret_access_key = \"env:OTHER\"\n\
         session_token = VALUE\n",
    ),
    (
        "identity[].external_id",
        "[[identity]]\nname = \"b\"\nrole_arn = \"arn:aws:iam::123456789012:role/orders\"\nexternal_id = VALUE\n",
    ),
    (
        "identity[].secret_access_key",
        "[[identity]]\nname = \"b\"\nsource = \"static\"\naccess_key_id = \"AKID\"\nsecret_access_key = VALUE\n",
    ),
    (
        "identity[].session_token",
        "[[identity]]\nname = \"b\"\nsource = \"static\"\naccess_key_id = \"AKID\"\n\
         secret_access_key = \"env:OTHER\"\nsession_token = VALUE\n",
    ),
    ("route[].headers.*", "headers = { x-a = VALUE }\n"),
    (
        "route[].request_headers.add.*",
        "request_headers = { add = { x-a = VALUE } }\n",
    ),
    (
        "route[].request_headers.set.*",
        "request_headers = { set = { x-a = VALUE } }\n",
    ),
    (
        "route[].response_headers.add.*",
        "response_headers = { add = { x-a = VALUE } }\n",
    ),
    (
        "route[].response_headers.set.*",
        "response_headers = { set = { x-a = VALUE } }\n",
    ),
    (
        "telemetry.headers.*",
        "[telemetry]\nheaders = { x-a = VALUE }\n",
    ),
    (
        "verify.key[].secret_access_key",
        "[verify]\nservice = \"execute-api\"\nregion = \"r\"\n[[verify.key]]\naccess_key_id = \"AKIDA\"\n\
         secret_access_key = VALUE\n",
    ),
    (
        "verify.key[].session_token",
        "[verify]\nservice = \"execute-api\"\nregion = \"r\"\n[[verify.key]]\naccess_key_id = \"AKIDA\"\n\
         secret_access_key = \"env:OTHER\"\nsession_token = VALUE\n",
    ),
    (
        "verify.keys_endpoint.authorization",
        "[verify]\nservice = \"execute-api\"\nregion = \"r\"\n[verify.keys_endpoint]\n\
         url = \"https://keys.example.com\"\nauthorization = VALUE\n",
    ),
];

/// Runs the gateway. Returns `true` if it succeeds, and its output.
fn run(config: &str, argument: &str, variables: &[(&str, &str)]) -> (bool, String) {
    let file = TempFile::new(config);
    let output = gateway_command()
        .args(["--config", &file.path, argument])
        .env_remove("SECRET")
        .env("OTHER", "secret")
        .envs(variables.iter().copied())
        .output()
        .expect("output");
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
    (output.status.success(), text)
}

/// Collects the paths of the values that the schema marks as secrets.
fn collect_secrets(schema: &Value, at: &Value, path: &str, found: &mut BTreeSet<String>) {
    if let Some(pointer) = at["$ref"].as_str() {
        let definition = schema.pointer(pointer.trim_start_matches('#'));
        collect_secrets(schema, definition.expect("a definition"), path, found);
    }
    if at["writeOnly"] == true {
        found.insert(path.to_owned());
    }
    for alternative in at["anyOf"].as_array().into_iter().flatten() {
        collect_secrets(schema, alternative, path, found);
    }
    collect_secrets_of(schema, &at["items"], format!("{path}[]"), found);
    collect_secrets_of(
        schema,
        &at["additionalProperties"],
        format!("{path}.*"),
        found,
    );
    for (key, property) in at["properties"].as_object().into_iter().flatten() {
        let inner = format!("{path}.{key}").trim_start_matches('.').to_owned();
        collect_secrets_of(schema, property, inner, found);
    }
}

fn collect_secrets_of(schema: &Value, at: &Value, path: String, found: &mut BTreeSet<String>) {
    if at.is_object() {
        collect_secrets(schema, at, &path, found);
    }
}

#[test]
fn every_secret_may_be_a_reference_and_is_not_printed() {
    let output = gateway_command().arg("--print-schema").output();
    let schema: Value = serde_json::from_slice(&output.expect("output").stdout).expect("JSON");
    let mut secrets = BTreeSet::new();
    collect_secrets(&schema, &schema, "", &mut secrets);
    assert_eq!(secrets, PLACES.map(|(path, _)| path.to_owned()).into());

    for (path, text) in PLACES {
        let value = match path {
            "cache.redis_service" => format!("redis://user:{MARKER}@mymaster/0"),
            _ if path.starts_with("cache") => format!("redis://user:{MARKER}@127.0.0.1:1"),
            _ => MARKER.to_owned(),
        };
        let file = TempFile::new(&format!("{value}\n"));
        let in_file = format!("file:{}", file.path);
        let set = [("SECRET", &*value)];
        let config = |written: &str| {
            let shown = text.replace("VALUE", &format!("{written:?}"));
            format!("{ORIGIN}{ROUTE}{shown}")
        };
        for (written, variables, printed) in [
            (&*value, &[][..], "[redacted]"),
            ("env:SECRET", &set, "env:SECRET"),
            (&in_file, &[], &in_file),
        ] {
            let (is_valid, output) = run(&config(written), "--print-config", variables);
            assert!(is_valid, "{path}: {output}");
            assert!(
                output.contains(&format!("\"{printed}\"")),
                "{path}: {output}"
            );
            assert!(!output.contains(MARKER), "{path}: {output}");
        }
        for (unreadable, message) in [
            ("env:SECRET", "\"SECRET\" is not set"),
            ("file:/nonexistent", "cannot read the file \"/nonexistent\""),
            ("[redacted]", "\"[redacted]\" stands for a secret"),
        ] {
            let (is_valid, output) = run(&config(unreadable), "--print-config", &[]);
            assert!(!is_valid && output.contains(message), "{path}: {output}");
        }
    }
}

#[test]
fn access_key_ids_may_be_references() {
    for section in [
        "[credentials]\nsource = \"static\"\n",
        "[[identity]]\nname = \"b\"\nsource = \"static\"\n",
        "[verify]\nservice = \"execute-api\"\nregion = \"r\"\n[[verify.key]]\n",
    ] {
        let keys = "access_key_id = \"env:ID\"\nsecret_access_key = \"env:OTHER\"\n";
        let config = format!("{ORIGIN}{ROUTE}{section}{keys}");
        for (variables, expected) in [
            (&[("ID", "AKID")][..], None),
            (&[], Some("\"ID\" is not set")),
            // The value is checked, not its place.
            (&[("ID", "AKID ")], Some("stray space")),
        ] {
            let (is_valid, output) = run(&config, "--print-config", variables);
            assert_eq!(is_valid, expected.is_none(), "{section}: {output}");
            let part = expected.unwrap_or("access_key_id = \"env:ID\"");
            assert!(output.contains(part), "{section}: {output}");
        }
    }
}

#[test]
fn errors_contain_no_secret_of_a_url() {
    let pool = "[[identity]]\nname = \"b\"\nsource = \"cognito-identity-pool\"\n\
        identity_pool_id = \"eu-west-1:00000000-1111-2222-3333-444444444444\"\n";
    let user = format!("{ROLE}source = \"caller-web-identity\"\n");
    let endpoint = "[verify]\nservice = \"execute-api\"\nregion = \"r\"\n[verify.keys_endpoint]\n";
    let iam = "[verify]\n[verify.iam]\nserver_id = \"a\"\naccounts = [\"123456789012\"]\n";
    let issuer = format!("{JWT}issuer = \"https://login.example.com\"\n");
    let origin = ORIGIN.replace("url = \"http://127.0.0.1:9\"\n", "");
    let with_user = "https://me:hunter2@a.example";
    let with_query = "https://a.example/?token=hunter2";
    let insecure = "http://a.example/?token=hunter2";
    for (section, key, urls) in [
        (&*origin, "url", &[with_query, "http://me:hunter2/@a"][..]),
        (endpoint, "url", &[with_user, insecure, "hunter2"]),
        (&issuer, "jwks_url", &[with_user, insecure]),
        (&issuer, "discovery", &[with_user, insecure]),
        (JWT, "issuer", &[with_user, with_query, insecure]),
        (iam, "sts_endpoint", &[with_user, with_query, insecure]),
        (ROLE, "sts_endpoint", &[with_user, with_query, insecure]),
        (&user, "sts_endpoint", &[with_user, with_query, insecure]),
        (pool, "cognito_endpoint", &[with_user, with_query, insecure]),
        ("[telemetry]\n", "endpoint", &[with_user, with_query]),
    ] {
        for url in urls {
            let others = if section == origin {
                ROUTE.to_owned()
            } else {
                format!("{ORIGIN}{ROUTE}")
            };
            let (is_valid, output) = run(
                &format!("{section}{key} = {url:?}\n{others}"),
                "--check",
                &[],
            );
            let line = section.lines().count() + 1;
            assert!(!is_valid, "{key} {url}: {output}");
            assert!(
                output.contains(&format!(":{line}: ")),
                "{key} {url}: {output}"
            );
            assert!(!output.contains(MARKER), "{key} {url}: {output}");
        }
    }
}

/// Returns a configuration with a secret in each place that a valid one may have it in.
fn config_with_secrets(address: SocketAddr) -> String {
    let issuer = |name: &str, key: &str| {
        format!(
            "[[verify.jwt]]\nissuer = \"http://{address}/{name}\"\naudience = \"a\"\n\
             {key} = \"http://{address}/{key}?code={MARKER}\"\n"
        )
    };
    let [first, second] = ["jwks_url", "discovery"].map(|key| issuer(key, key));
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[log]\nlevel = \"debug\"\naccess = true\n\
         [credentials]\nsource = \"static\"\naccess_key_id = \"AKID\"\nsecret_access_key = \"{MARKER}\"\n\
         session_token = \"{MARKER}\"\n[cache]\nredis = \"redis://me:{MARKER}@127.0.0.1:1\"\n\
         [telemetry]\nendpoint = \"http://127.0.0.1:1\"\nmetrics_interval = \"1s\"\nheaders = {{ x-a = \"{MARKER}\" }}\n\
         [[origin]]\nname = \"a\"\nurl = \"http://me:{MARKER}@{address}\"\nservice = \"execute-api\"\nregion = \"r\"\n\
         [[route]]\npath = \"/open\"\norigin = \"a\"\nverify = false\n\
         {ROUTE}cache = true\nrequest_headers = {{ set = {{ x-a = \"{MARKER}\" }} }}\n\
         [verify]\nservice = \"{SERVICE}\"\nregion = \"{REGION}\"\n\
         [verify.keys_endpoint]\nurl = \"http://{address}/lookup?code={MARKER}\"\nauthorization = \"{MARKER}\"\n\
         {first}{second}"
    )
}

/// Returns a token whose key only the issuer knows.
fn unverifiable_token(issuer: &str) -> String {
    let header = json!({ "alg": "RS256", "kid": "a" });
    let claims = json!({ "iss": issuer, "aud": "a", "sub": "alice", "exp": 4_102_444_800_u64 });
    let [head, body] = [header, claims].map(|it| URL_SAFE_NO_PAD.encode(it.to_string()));
    format!("{head}.{body}.AAAA")
}

#[tokio::test]
async fn no_output_contains_a_secret() {
    let origin = TestOrigin::start(OK).await;
    let config = config_with_secrets(origin.address);
    let mut outputs = Vec::new();
    for argument in ["--print-config", "--check"] {
        let (is_valid, output) = run(&config, argument, &[]);
        assert!(is_valid, "{output}");
        outputs.push(output);
    }
    for shown in [
        format!("http://[redacted]@{}\"", origin.address),
        "/lookup?[redacted]\"".to_owned(),
        "/jwks_url?[redacted]\"".to_owned(),
        "/discovery?[redacted]\"".to_owned(),
    ] {
        assert!(outputs[0].contains(&shown), "{shown}: {}", outputs[0]);
    }

    let logged = LoggingGateway::start(&config);
    let address = logged.gateway.address;
    let admin = logged.gateway.printed_after("admin http://").to_owned();
    let admin_address = admin.parse().expect("an address");
    let get = async |target: &str| {
        let host = format!("host: {admin}\r\nconnection: close\r\n\r\n");
        exchange(admin_address, &format!("GET {target} HTTP/1.1\r\n{host}"))
            .await
            .body
    };
    // The endpoint of keys and both issuers respond with text that is not JSON.
    let request = signed_request("GET", "/", "a", "", ACCESS_KEY_ID, MARKER);
    assert_eq!(exchange(address, &request).await.status, 503);
    let bearer = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer {}\r\n\r\n",
        unverifiable_token(&format!("http://{}/discovery", origin.address))
    );
    assert_eq!(exchange(address, &bearer).await.status, 503);
    let open = "GET /open HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert_eq!(exchange(address, open).await.status, 200);
    let since = Instant::now();
    let mut ready = String::new();
    while !ready.contains("/jwks_url is not usable") || !ready.contains("/discovery: ") {
        assert!(since.elapsed() < Duration::from_secs(20), "{ready}");
        ready = get("/readyz").await;
    }
    outputs.push(ready);
    for target in ["/", "/metrics", "/log", "/fleet"] {
        outputs.push(get(target).await);
    }
    let mut events = TcpStream::connect(admin_address).await.expect("connected");
    let subscription = format!("GET /events HTTP/1.0\r\nhost: {admin}\r\n\r\n");
    events
        .write_all(subscription.as_bytes())
        .await
        .expect("sent");
    outputs.push(read_until(&mut events, "\n\n").await);
    outputs.push(logged.lines().join("\n"));
    for output in outputs {
        assert!(!output.contains(MARKER), "{output}");
    }
}
