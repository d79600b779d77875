//! Comparison of tokens and POST policies with botocore, the aws CLI and the generators that AWS publishes.
//!
//! `scripts/interop` runs these tests, and sets `TOKENS_PYTHON` to a Python that has them, and `S3S_FS` to a server of S3.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
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

/// The server of s3s, which verifies POST policies.
struct Server {
    process: Child,
    address: String,
    folder: PathBuf,
    /// Open as long as the server writes to it.
    _log: BufReader<ChildStdout>,
}

impl Server {
    fn start() -> Self {
        let folder = env::temp_dir().join(format!("tower-sigv4-form-{}", std::process::id()));
        fs::create_dir_all(folder.join("bucket")).expect("created");
        let program = env::var_os("S3S_FS").expect("S3S_FS names the program of s3s-fs");
        let mut process = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", "0"])
            .args(["--access-key", "AKIDEXAMPLE", "--secret-key", "secret"])
            .arg(&folder)
            .env("RUST_LOG", "s3s_fs=info")
            .env("NO_COLOR", "1")
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut log = BufReader::new(process.stdout.take().expect("piped"));
        let address = log.by_ref().lines().find_map(|line| {
            let text = line.expect("UTF-8");
            let (_, url) = text.split_once("running at http://")?;
            Some(url.trim_end_matches('/').to_owned())
        });
        Self {
            process,
            address: address.expect("the log names its address"),
            folder,
            _log: log,
        }
    }

    /// Posts a form, and returns the status.
    fn post(&self, fields: &[(String, String)], file: &str) -> u16 {
        let mut body = String::new();
        for (name, value) in fields {
            body += &format!(
                "--boundary\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
        }
        body += &format!(
            "--boundary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\
             Content-Type: text/plain\r\n\r\n{file}\r\n--boundary--\r\n"
        );
        let mut stream = TcpStream::connect(&self.address).expect("connected");
        write!(
            stream,
            "POST /bucket HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n\
             Content-Type: multipart/form-data; boundary=boundary\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .expect("sent");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("received");
        let status = response.split(' ').nth(1).expect("a status");
        status.parse().expect("a number")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

#[test]
#[ignore = "needs s3s-fs; run scripts/interop"]
fn an_s3_server_accepts_the_form_and_rejects_others() {
    let server = Server::start();
    let settings = SigningSettings::new("s3", "us-east-1").expect("valid");
    let keys = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
    let identity = Identity::new(keys).expect("valid");
    let now = SystemTime::now();
    let params = SigningParams::new(&settings, &identity, Payload::Unsigned, now);
    let policy = PostPolicy::new("bucket", "user/a.txt", Duration::from_secs(3600))
        .and_then(|policy| policy.add_field("x-amz-meta-a", "b"))
        .and_then(|policy| policy.with_content_length(2..=10))
        .expect("valid");
    let mut fields = policy.sign(&params).expect("signed").fields().to_vec();
    // s3s-fs does not replace `${filename}`.
    let file = server.folder.join("bucket/user/a.txt");
    for too_small_or_large in ["c", "content that is long"] {
        let status = server.post(&fields, too_small_or_large);
        assert!((400..500).contains(&status), "{status}");
        assert!(!file.exists());
    }
    let status = server.post(&fields, "content");
    assert!((200..300).contains(&status), "{status}");
    assert_eq!(fs::read_to_string(&file).expect("stored"), "content");
    let mut names = fields.iter_mut();
    let (_, key) = names.find(|(name, _)| name == "key").expect("a key");
    *key = "admin/a.txt".to_owned();
    let rejected = server.post(&fields, "content");
    assert!((400..500).contains(&rejected), "{rejected}");
    assert!(!server.folder.join("bucket/admin/a.txt").exists());
}
