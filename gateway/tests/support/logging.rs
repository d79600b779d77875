//! Gateway that logs to a file, and callers with a session token.

use std::{
    fs::{self, File},
    net::SocketAddr,
    thread,
    time::{Duration, Instant, SystemTime},
};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use serde_json::{Map, Value};
use tokio::time;

use super::{
    ACCESS_KEY_ID, Gateway, REGION, SECRET_ACCESS_KEY, SERVICE, TempFile, TestResponse, exchange,
    gateway_command,
};

pub const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
/// The gateway writes its log in a thread.
const SETTLED: Duration = Duration::from_millis(200);
const TOKEN: &str = "token-of-the-caller";

/// Gateway that logs to a file.
pub struct LoggingGateway {
    pub gateway: Gateway,
    pub config: TempFile,
    log: TempFile,
}

impl LoggingGateway {
    pub fn start(config: &str) -> Self {
        let config = TempFile::new(config);
        let log = TempFile::new("");
        let mut command = gateway_command();
        command.args(["--config", &config.path]);
        let to = File::options()
            .append(true)
            .open(&log.path)
            .expect("opened");
        let gateway = Gateway::spawn(command.stderr(to));
        Self {
            gateway,
            config,
            log,
        }
    }

    /// Waits until the log is stable and returns its lines.
    pub fn lines(&self) -> Vec<String> {
        let mut log = self.read();
        let mut since = Instant::now();
        while since.elapsed() < SETTLED {
            thread::sleep(Duration::from_millis(20));
            let now = self.read();
            if now != log {
                (log, since) = (now, Instant::now());
            }
        }
        assert!(log.is_empty() || log.ends_with('\n'), "{log}");
        log.lines().map(str::to_owned).collect()
    }

    fn read(&self) -> String {
        fs::read_to_string(&self.log.path).expect("UTF-8")
    }

    /// Parses each line as JSON.
    pub fn events(&self) -> Vec<Map<String, Value>> {
        let parse = |line: &String| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        self.lines().iter().map(parse).collect()
    }

    /// Returns the events of the access log without time, duration and request id.
    pub fn access_events(&self) -> Vec<Value> {
        let mut events = self.events();
        events.retain(|event| event["target"] == "access");
        let known = |mut event: Map<String, Value>| {
            let time = event.remove("timestamp").expect("a time").to_string();
            assert!(time.starts_with("\"20") && time.ends_with("Z\""), "{time}");
            assert!(
                event
                    .remove("duration_ms")
                    .is_some_and(|it| it.as_f64() > Some(0.0))
            );
            assert!(event.remove("request_id").is_some_and(|id| id.is_string()));
            event.into()
        };
        events.into_iter().map(known).collect()
    }

    /// Waits until the log contains the text.
    pub async fn wait_for(&self, text: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        while !self.read().contains(text) {
            assert!(Instant::now() < until, "no {text} in {}", self.read());
            time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn send(&self, method: &str, target: &str, headers: &str) -> TestResponse {
        exchange(self.gateway.address, &request(method, target, headers)).await
    }

    pub async fn admin(&self, method: &str, headers: &str, body: &str) -> TestResponse {
        let admin: SocketAddr = self
            .gateway
            .printed_after("admin http://")
            .parse()
            .expect("an address");
        let length = body.len();
        let host = format!("host: {admin}\r\nconnection: close\r\n");
        let head = format!("{method} /log HTTP/1.1\r\n{host}{headers}content-length: {length}");
        exchange(admin, &format!("{head}\r\n\r\n{body}")).await
    }
}

pub fn request(method: &str, target: &str, headers: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n{headers}\r\n"
    )
}

pub fn with_log(config: &str, section: &str) -> String {
    format!("{config}\n[log]\n{section}\n")
}

/// Adds verification of callers, by a key with a session token.
pub fn with_verified_callers(config: &str) -> String {
    format!(
        "{config}\n[verify]\nservice = \"{SERVICE}\"\nregion = \"{REGION}\"\n[[verify.key]]\n\
         access_key_id = \"{ACCESS_KEY_ID}\"\nsecret_access_key = \"{SECRET_ACCESS_KEY}\"\n\
         session_token = \"{TOKEN}\"\n"
    )
}

/// Returns a GET signed by AWS's signer with a session token, and its signature.
pub fn signed_request(
    target: &str,
    headers: &[(&str, &str)],
    location: SignatureLocation,
) -> (String, String) {
    let token = Some(TOKEN.to_owned());
    let identity = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, token, None, "test").into();
    let mut settings = SigningSettings::default();
    settings.signature_location = location;
    settings.expires_in = Some(Duration::from_secs(60));
    let params = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name(SERVICE)
        .time(SystemTime::now())
        .settings(settings)
        .build()
        .expect("complete")
        .into();
    let url = format!("http://api.example.com{target}");
    let body = SignableBody::Bytes(b"");
    let signable = SignableRequest::new("GET", &url, headers.iter().copied(), body);
    let output = sign(signable.expect("signable"), &params).expect("signed");
    let (instructions, signature) = output.into_parts();
    let mut added: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    added.extend(
        instructions
            .headers()
            .map(|(name, value)| format!("{name}: {value}\r\n")),
    );
    let encode = |value: &str| {
        let encode = url::form_urlencoded::byte_serialize(value.as_bytes());
        encode.collect::<String>().replace('+', "%20")
    };
    let query = instructions
        .params()
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)));
    let query = query.collect::<Vec<_>>().join("&");
    let mark = if query.is_empty() { "" } else { "?" };
    (
        request("GET", &format!("{target}{mark}{query}"), &added),
        signature,
    )
}
