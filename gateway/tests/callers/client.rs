//! A client that signs with the library and keeps its connection, so that thousands of requests take seconds.

use std::{net::SocketAddr, time::SystemTime};

use aws_credential_types::Credentials;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower_sigv4::{
    SigningSettings,
    sigv4::{Identity, PayloadHash, Signer, SigningParams},
};

use crate::support::{Gateway, REGION, TestResponse, exchange};

pub(crate) const HOST: &str = "gw.example.com";

/// A request before it is signed.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Draft {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: String::new(),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    /// Returns the signed request as it goes over the wire, or `None` if HTTP has no such request.
    pub(crate) fn signed(&self, key: &str, service: &str) -> Option<Vec<u8>> {
        let method: Method = self.method.parse().ok()?;
        let uri: Uri = format!("http://{HOST}{}", self.target).parse().ok()?;
        let sent_target = uri.path_and_query()?.as_str().to_owned();
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        for (name, value) in &self.headers {
            let (name, value): (HeaderName, HeaderValue) =
                (name.parse().ok()?, value.parse().ok()?);
            request.headers_mut().append(name, value);
        }
        let (mut head, ()) = request.into_parts();
        let credentials = Credentials::new(key, secret_of(key), None, None, "test");
        let identity = Identity::new(credentials).ok()?;
        let settings = SigningSettings::new(service, REGION).ok()?;
        let payload = PayloadHash::of(self.body.as_bytes());
        let now = SystemTime::now();
        let params = SigningParams::new(&settings, &identity, payload, now);
        Signer::new().sign(&mut head, &params).ok()?;
        let mut text = format!("{} {sent_target} HTTP/1.1\r\n", self.method).into_bytes();
        if !head.headers.contains_key("host") {
            text.extend_from_slice(format!("host: {HOST}\r\n").as_bytes());
        }
        for (name, value) in &head.headers {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(format!("content-length: {}\r\n\r\n", self.body.len()).as_bytes());
        text.extend_from_slice(self.body.as_bytes());
        Some(text)
    }
}

/// Returns the metrics of a gateway with an admin port.
pub(crate) async fn metrics(gateway: &Gateway) -> String {
    let admin = gateway.printed_after("admin http://");
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    let address = admin.parse().expect("an address");
    exchange(address, &request).await.body
}

/// Returns the secret of a test's key.
pub(crate) fn secret_of(key: &str) -> String {
    format!("secret-of-{key}")
}

/// Returns the section `[verify]` for these keys.
pub(crate) fn verify_section(service: &str, keys: &[&str]) -> String {
    let tables = keys.iter().map(|key| {
        format!(
            "[[verify.key]]\naccess_key_id = {key:?}\nsecret_access_key = {:?}\n",
            secret_of(key)
        )
    });
    format!(
        "[verify]\nservice = {service:?}\nregion = {REGION:?}\n{}",
        tables.collect::<String>()
    )
}

/// A connection that is opened again if the gateway has closed it.
pub(crate) struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
        }
    }

    /// Signs a request for S3 and sends it.
    pub(crate) async fn send(&mut self, key: &str, draft: &Draft) -> TestResponse {
        let bytes = draft.signed(key, "s3").expect("a request");
        let is_head = draft.method == "HEAD";
        self.exchange(&bytes, is_head).await.expect("a response")
    }

    /// Returns the response, or `None` if the connection ends first.
    pub(crate) async fn exchange(&mut self, request: &[u8], is_head: bool) -> Option<TestResponse> {
        let mut stream = match self.stream.take() {
            Some(open) => open,
            None => TcpStream::connect(self.address).await.ok()?,
        };
        stream.write_all(request).await.ok()?;
        let mut seen = Vec::new();
        let end = loop {
            if let Some(at) = seen.windows(4).position(|it| it == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut seen).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&seen[..end]).into_owned();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let value = |name: &str| {
            headers
                .iter()
                .find(|(it, _)| it == name)
                .map(|(_, it)| it.clone())
        };
        let length: usize = match value("content-length") {
            Some(length) if !is_head => length.parse().ok()?,
            _ => 0,
        };
        while seen.len() < end + length {
            if stream.read_buf(&mut seen).await.ok()? == 0 {
                return None;
            }
        }
        let body = String::from_utf8_lossy(&seen[end..end + length]).into_owned();
        if value("connection").is_none_or(|it| it != "close") {
            self.stream = Some(stream);
        }
        Some(TestResponse {
            status,
            headers,
            body,
        })
    }
}
