//! Gateway process, origins, and a client that writes raw bytes.
#![allow(dead_code, unreachable_pub)] // each test uses some of them

pub mod aws_verifier;
mod files;
pub mod forms;
pub mod logging;
mod origin;
pub mod s3;
pub mod tls;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    time::SystemTime,
};

use aws_credential_types::Credentials;
use axum::body::Body;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

#[allow(unused_imports)] // each test uses some of them
pub use self::{
    files::{TempDirectory, TempFile},
    origin::TestOrigin,
};

pub const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
pub const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub const REGION: &str = "us-east-1";
pub const SERVICE: &str = "execute-api";

/// A running gateway, killed on drop.
pub struct Gateway {
    process: Child,
    pub address: SocketAddr,
    output: String,
    /// Deleted after the process ends.
    file: Option<TempFile>,
}

impl Gateway {
    pub fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = gateway_command();
        command.args(arguments).envs(variables.iter().copied());
        Self::spawn(&mut command)
    }

    pub fn spawn(command: &mut Command) -> Self {
        let mut process = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("process started");
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
        // Drains the rest, so that the process never blocks on printing.
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

    /// Returns the log. Standard error must be piped.
    pub fn stderr(&mut self) -> ChildStderr {
        self.process.stderr.take().expect("piped")
    }

    /// Stops the gateway and returns its log. Standard error must be piped.
    pub fn stop_and_read_log(mut self) -> String {
        self.terminate();
        self.wait();
        let mut log = String::new();
        let mut stderr = self.process.stderr.take().expect("piped");
        stderr.read_to_string(&mut log).expect("UTF-8");
        log
    }

    /// Returns `true` if the output until readiness contains the text.
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

    /// Counts open files in a directory, also deleted ones. Returns 0 without `/proc`.
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
        self.process.wait().expect("exit status")
    }

    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().expect("exit status")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Returns a command for the gateway's program, without credentials and proxies in its environment.
pub fn gateway_command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sigv4-gateway"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_ascii_uppercase();
        let is_foreign = text.starts_with("AWS_") || text.ends_with("_PROXY");
        if is_foreign || text == "SIGV4_GATEWAY_CONFIG" || text == "SSL_CERT_FILE" {
            command.env_remove(name);
        }
    }
    command
}

/// Returns a configuration with one origin and one route.
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

/// Returns a request signed by AWS's signer at the current time.
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

/// Removes the credentials, so that they come from the environment.
pub fn without_credentials(config: &str) -> String {
    let keys = ["source", "access_key_id", "secret_access_key"];
    let lines = config
        .lines()
        .filter(|line| !keys.iter().any(|key| line.starts_with(key)));
    lines.collect::<Vec<_>>().join("\n")
}

/// A parsed response.
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

/// Sends the bytes and reads until the server closes the connection.
pub async fn exchange(address: SocketAddr, request: &str) -> TestResponse {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.expect("a response");
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

/// Reads until `end` appears, possibly beyond it.
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

/// Performs the HTTP/2 handshake of a client.
pub async fn connect_http2(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> http2::SendRequest<Body> {
    let (client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .expect("HTTP/2");
    tokio::spawn(connection);
    client
}
