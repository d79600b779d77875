//! A gateway process, origins, and a client that writes its own bytes.
#![allow(unreachable_pub)]

pub mod aws_verifier;
pub mod logging;
pub mod tls;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use aws_credential_types::Credentials;
use axum::body::Body;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

pub const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
pub const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub const REGION: &str = "us-east-1";
pub const SERVICE: &str = "execute-api";

/// A running gateway; ended with the test.
pub struct Gateway {
    process: Child,
    pub address: SocketAddr,
    output: String,
    /// Kept as long as the process.
    file: Option<TempFile>,
}

impl Gateway {
    pub fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = gateway_command();
        command.args(arguments).envs(variables.iter().copied());
        Self::spawn(&mut command)
    }

    pub fn spawn(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(process.stdout.take().expect("piped"));
        let mut output = String::new();
        let address = loop {
            let start = output.len();
            assert_ne!(
                lines.read_line(&mut output).expect("UTF-8"),
                0,
                "it ended: {output}"
            );
            if let Some((_, rest)) = output[start..]
                .split_once("://")
                .filter(|(first, _)| first.starts_with("gateway "))
            {
                break rest.split_whitespace().next().expect("an address").parse();
            }
        };
        // Whatever else it prints is read, so that it never waits for a reader.
        std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        Self {
            process,
            address: address.expect("an address"),
            output,
            file: None,
        }
    }

    pub fn with_config(config: &str) -> Self {
        Self::with_config_and_env(config, &[])
    }

    pub fn with_config_and_env(config: &str, variables: &[(&str, &str)]) -> Self {
        let file = TempFile::new(config);
        let mut gateway = Self::start(&["--config", &file.path], variables);
        gateway.file = Some(file);
        gateway
    }

    /// What it logs; its standard error has to be piped.
    pub fn stderr(&mut self) -> ChildStderr {
        self.process.stderr.take().expect("piped")
    }

    /// What it has logged, once it has ended; its standard error has to be piped.
    pub fn stop_and_read_log(mut self) -> String {
        self.terminate();
        self.wait();
        let mut log = String::new();
        let mut stderr = self.process.stderr.take().expect("piped");
        stderr.read_to_string(&mut log).expect("UTF-8");
        log
    }

    /// Whether it has printed this before it was ready.
    pub fn has_printed(&self, text: &str) -> bool {
        self.output.contains(text)
    }

    pub fn printed_after(&self, text: &str) -> &str {
        let (_, rest) = self.output.split_once(text).expect(text);
        rest.split([' ', '/', '\n']).next().expect("a word")
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    pub fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status();
        assert!(status.expect("kill runs").success());
    }

    /// The files in a directory that it has open, with a name or without; none where that cannot be seen.
    pub fn open_files(&self, directory: &str) -> usize {
        let Ok(entries) = fs::read_dir(format!("/proc/{}/fd", self.process.id())) else {
            return 0;
        };
        entries
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .filter(|target| target.starts_with(directory))
            .count()
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait().expect("it ends")
    }

    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().expect("it can be asked")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The gateway's program, in an environment without credentials.
pub fn gateway_command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sigv4-gateway"));
    let own = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ];
    for name in own
        .into_iter()
        .chain(["SIGV4_GATEWAY_CONFIG", "SSL_CERT_FILE"])
    {
        command.env_remove(name);
    }
    command
}

/// A file that goes with its owner.
pub struct TempFile {
    pub path: String,
}

impl TempFile {
    pub fn new(text: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        // No path begins with another, which tests replace.
        let name = format!("sigv4-gateway-{}-{number}.tmp", std::process::id());
        let path: PathBuf = [env!("CARGO_TARGET_TMPDIR"), &name].iter().collect();
        fs::write(&path, text).expect("written");
        Self {
            path: path.to_str().expect("UTF-8").to_owned(),
        }
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path));
    }
}

/// A directory that goes with its owner, empty.
pub struct TempDirectory {
    pub path: String,
}

impl TempDirectory {
    pub fn new(name: &str) -> Self {
        let name = format!("sigv4-gateway-{}-{name}", std::process::id());
        let path: PathBuf = [env!("CARGO_TARGET_TMPDIR"), &name].iter().collect();
        fs::create_dir(&path).expect("made");
        let path = fs::canonicalize(path).expect("a directory");
        Self {
            path: path.to_str().expect("UTF-8").to_owned(),
        }
    }
}

impl Drop for TempDirectory {
    fn drop(&mut self) {
        fs::remove_dir(&self.path).expect("empty");
    }
}

/// A configuration with one origin and one route.
pub fn config(url: &str, more: &str) -> String {
    format!(
        r#"[server]
listen = "127.0.0.1:0"
[credentials]
source = "static"
access_key_id = "AKID"
secret_access_key = "secret"
[[origin]]
name = "orders"
url = "{url}"
service = "execute-api"
region = "eu-west-1"
{more}
[[route]]
path = "/orders"
host = "api.example.com"
methods = ["GET", "POST", "PUT"]
strip_prefix = true
origin = "orders"
"#
    )
}

/// A request signed by AWS's signer, for the hour that it is.
pub fn signed_request(
    method: &str,
    target: &str,
    host: &str,
    body: &str,
    id: &str,
    secret: &str,
) -> String {
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    let identity = Credentials::new(id, secret, None, None, "test").into();
    let params = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name(SERVICE)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .expect("complete")
        .into();
    let signable = SignableRequest::new(
        method,
        format!("http://{host}{target}"),
        std::iter::empty(),
        SignableBody::Bytes(body.as_bytes()),
    );
    let signed = sign(signable.expect("signable"), &params).expect("signed");
    let added: String = signed
        .output()
        .headers()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    format!(
        "{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{added}\
         content-length: {}\r\n\r\n{body}",
        body.len(),
    )
}

/// The same configuration with credentials from the environment.
pub fn without_credentials(config: &str) -> String {
    let keys = ["source", "access_key_id", "secret_access_key"];
    let kept = config
        .lines()
        .filter(|line| !keys.iter().any(|key| line.starts_with(key)));
    kept.collect::<Vec<_>>().join("\n")
}

/// An answer, taken apart.
pub struct TestResponse {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl TestResponse {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| &**value)
    }
}

/// Sends these bytes and reads until the server ends the connection.
pub async fn exchange(address: SocketAddr, request: &str) -> TestResponse {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.expect("an answer");
    let text = String::from_utf8(text).expect("UTF-8");
    let text = text
        .strip_prefix("HTTP/1.1 100 Continue\r\n\r\n")
        .unwrap_or(&text);
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .expect("a status line");
    let field = |line: &str| {
        let (name, value) = line.split_once(": ").expect("a field");
        (name.to_ascii_lowercase(), value.to_owned())
    };
    TestResponse {
        status: status.parse().expect("a number"),
        headers: lines.map(field).collect(),
        body: body.to_owned(),
    }
}

pub async fn get(address: SocketAddr, target: &str) -> TestResponse {
    let request = format!("GET {target} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    exchange(address, &request).await
}

/// An origin that keeps what it receives and always answers the same.
pub struct TestOrigin {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl TestOrigin {
    pub async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let origin = Self {
            address: listener.local_addr().expect("an address"),
            seen: Arc::default(),
            connections: Arc::default(),
        };
        let (seen, connections) = (origin.seen.clone(), origin.connections.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(answer_all(stream, answer, seen.clone()));
            }
        });
        origin
    }

    /// The heads of the requests so far, each with its trailers.
    pub fn requests(&self) -> Vec<String> {
        self.seen.lock().expect("not poisoned").clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn answer_all(mut stream: TcpStream, answer: &str, seen: Arc<Mutex<Vec<String>>>) {
    let mut buffer = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut buffer).await {
        let text = String::from_utf8_lossy(&buffer).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .split("\r\n")
            .find_map(|line| line.strip_prefix("content-length: "));
        if body.len() < length.map_or(0, |length| length.parse().expect("a number")) {
            continue;
        }
        if head.contains("transfer-encoding: chunked") && !body.ends_with("\r\n\r\n") {
            continue;
        }
        buffer.clear();
        let end = body
            .rsplit_once("\r\n0\r\n")
            .map_or("", |(_, trailers)| trailers.trim_start());
        seen.lock()
            .expect("not poisoned")
            .push(format!("{head}\r\n{end}"));
        drop(stream.write_all(answer.as_bytes()).await);
    }
}

/// What is read up to a text, and maybe more.
pub async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut seen = Vec::new();
    while !seen
        .windows(end.len())
        .any(|window| window == end.as_bytes())
    {
        let mut buffer = [0; 1024];
        let count = stream.read(&mut buffer).await.expect("readable");
        assert!(count > 0, "ended before {end:?}");
        seen.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

/// A client's end of a connection with HTTP/2.
pub async fn connect_http2(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> http2::SendRequest<Body> {
    let (client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .expect("HTTP/2");
    tokio::spawn(connection);
    client
}
