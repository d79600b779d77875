//! Clients of S3's protocol, and an origin that verifies what it receives: both with AWS's signer.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
        SigningSettings, UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use axum::{Router, body::Bytes, extract::State};
use http::{HeaderMap, StatusCode, request::Parts};
use time::{OffsetDateTime, PrimitiveDateTime, macros::format_description};
use tokio::net::TcpListener;
use tower_sigv4::sigv4::PayloadHash;

pub const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
pub const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
pub const SIGNED_CHUNKS: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
pub const SIGNED_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";

const SHA256: &str = "x-amz-content-sha256";

/// A key and the scope that it signs for.
#[derive(Clone)]
pub struct Key {
    pub id: String,
    pub secret: String,
    pub service: String,
    pub region: String,
}

impl Key {
    pub fn new(id: &str, secret: &str, service: &str, region: &str) -> Self {
        let [id, secret, service, region] = [id, secret, service, region].map(str::to_owned);
        Self {
            id,
            secret,
            service,
            region,
        }
    }

    /// Returns the headers that AWS's signer adds.
    pub fn sign(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        payload: &str,
        time: SystemTime,
    ) -> Option<Vec<(String, String)>> {
        let mut settings = settings();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let output = self.output(method, url, headers, payload, time, settings)?;
        Some(output.0)
    }

    /// Returns the parameters that AWS's signer adds to a presigned URL.
    pub fn presign(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        time: SystemTime,
        expires_in: Duration,
    ) -> Option<Vec<(String, String)>> {
        let mut settings = settings();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(expires_in);
        let output = self.output(method, url, headers, UNSIGNED, time, settings)?;
        Some(output.1)
    }

    #[allow(clippy::type_complexity)] // headers and parameters
    fn output(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        payload: &str,
        time: SystemTime,
        settings: SigningSettings,
    ) -> Option<(Vec<(String, String)>, Vec<(String, String)>)> {
        let credentials = Credentials::new(&*self.id, &*self.secret, None, None, "test");
        let identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(time)
            .settings(settings)
            .build()
            .ok()?
            .into();
        let body = SignableBody::Precomputed(payload.to_owned());
        let request = SignableRequest::new(method, url, headers.iter().copied(), body).ok()?;
        let (instructions, _) = sign(request, &params).ok()?.into_parts();
        let signed_headers = instructions.headers();
        let pairs = signed_headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let signed_headers = pairs.collect();
        let pairs = instructions.params().iter();
        let params = pairs.map(|(name, value)| ((*name).to_owned(), value.to_string()));
        Some((signed_headers, params.collect()))
    }

    /// Returns the signature of a chunk or, for a trailer in place of data, of the trailer.
    pub fn chunk_signature(
        &self,
        kind: &str,
        previous: &str,
        data: &[u8],
        time: SystemTime,
    ) -> String {
        let (date, scope) = (timestamp(time), self.scope(time));
        let hash = PayloadHash::of(data);
        let hashes = match kind {
            "PAYLOAD" => format!("{}\n{hash}", PayloadHash::of(b"")),
            _ => hash.to_string(),
        };
        let to_sign = format!("AWS4-HMAC-SHA256-{kind}\n{date}\n{scope}\n{previous}\n{hashes}");
        let key = v4::generate_signing_key(&self.secret, time, &self.region, &self.service);
        v4::calculate_signature(key, to_sign.as_bytes())
    }

    fn scope(&self, time: SystemTime) -> String {
        let day = &timestamp(time)[..8];
        format!("{day}/{}/{}/aws4_request", self.region, self.service)
    }
}

fn settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.excluded_headers = None;
    settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
    settings
}

fn timestamp(time: SystemTime) -> String {
    let utc = OffsetDateTime::from(time);
    let (year, month, day) = utc.to_calendar_date();
    let (hour, minute, second) = utc.to_hms();
    let month = u8::from(month);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

fn parse_time(text: &str) -> Option<SystemTime> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let parsed = PrimitiveDateTime::parse(text, format).ok()?;
    Some(parsed.assume_utc().into())
}

/// A request that the origin has received, and its verdict.
#[derive(Clone, Debug)]
pub struct Received {
    pub head: Parts,
    /// The data without frames, or what is wrong with the request.
    pub data: Result<Vec<u8>, &'static str>,
    pub trailers: Vec<(String, String)>,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        text(&self.head.headers, name)
    }

    /// Returns the declared payload; presigned requests have none.
    pub fn payload(&self) -> Option<&str> {
        self.header(SHA256)
    }
}

/// An origin of S3's protocol. Its status is 200 for valid requests and 403 otherwise.
#[derive(Clone)]
pub struct S3Origin {
    pub address: SocketAddr,
    key: Key,
    seen: Arc<Mutex<Vec<Received>>>,
}

impl S3Origin {
    pub async fn start(key: Key) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let origin = Self {
            address,
            key,
            seen: Arc::default(),
        };
        let router = Router::new().fallback(handle).with_state(origin.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        origin
    }

    /// Returns the requests since the last call.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.seen.lock().expect("not poisoned"))
    }
}

async fn handle(
    State(origin): State<S3Origin>,
    head: Parts,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> (StatusCode, &'static str) {
    // A body that breaks off is no complete request.
    let Ok(body) = body else {
        return (StatusCode::BAD_REQUEST, "incomplete");
    };
    let verdict = verify(&origin, &head, &body);
    let response = match &verdict {
        Ok(_) => (StatusCode::OK, "AWS's signer agrees"),
        Err(reason) => (StatusCode::FORBIDDEN, *reason),
    };
    let (data, trailers) = match verdict {
        Ok((data, trailers)) => (Ok(data), trailers),
        Err(reason) => (Err(reason), Vec::new()),
    };
    let received = Received {
        head,
        data,
        trailers,
    };
    origin.seen.lock().expect("not poisoned").push(received);
    response
}

type Decoded = (Vec<u8>, Vec<(String, String)>);

fn verify(origin: &S3Origin, head: &Parts, body: &[u8]) -> Result<Decoded, &'static str> {
    let key = &origin.key;
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let url = format!("http://{}{target}", origin.address);
    let Some(authorization) = text(&head.headers, "authorization") else {
        verify_query(key, head, &url)?;
        return Ok((body.to_vec(), Vec::new()));
    };
    if url.contains("X-Amz-Signature") {
        return Err("two signatures");
    }
    let field = |name: &str| {
        let (_, rest) = authorization.split_once(&format!("{name}="))?;
        Some(rest.split(',').next().unwrap_or_default())
    };
    let time = text(&head.headers, "x-amz-date").and_then(parse_time);
    let time = time.ok_or("no x-amz-date")?;
    let payload = text(&head.headers, SHA256).ok_or("no x-amz-content-sha256")?;
    let names = field("SignedHeaders").ok_or("no SignedHeaders")?;
    let headers = signed_headers(head, names);
    let expected = key.sign(head.method.as_str(), &url, &headers, payload, time);
    let expected = expected.ok_or("not to be derived")?;
    let derived = expected.iter().find(|(name, _)| name == "authorization");
    if derived.map(|(_, value)| &**value) != Some(authorization) {
        return Err("mismatch");
    }
    let seed = field("Signature").ok_or("no Signature")?;
    match payload {
        UNSIGNED => Ok((body.to_vec(), Vec::new())),
        SIGNED_CHUNKS | SIGNED_TRAILER => decode(body, head, Some((key, seed, time))),
        UNSIGNED_TRAILER => decode(body, head, None),
        hash if hash == PayloadHash::of(body).to_string() => Ok((body.to_vec(), Vec::new())),
        _ => Err("the body has another hash"),
    }
}

fn verify_query(key: &Key, head: &Parts, url: &str) -> Result<(), &'static str> {
    let (base, query) = url.split_once('?').ok_or("not signed")?;
    let mut kept = Vec::new();
    let mut own = Vec::new();
    for pair in query.split('&') {
        let list = if pair.starts_with("X-Amz-") {
            &mut own
        } else {
            &mut kept
        };
        list.push(pair.split_once('=').unwrap_or((pair, "")));
    }
    let value = |name: &str| {
        own.iter()
            .find(|(other, _)| *other == name)
            .map(|(_, it)| *it)
    };
    let signature = value("X-Amz-Signature").ok_or("not signed")?;
    let time = value("X-Amz-Date").and_then(parse_time).ok_or("no date")?;
    let expires = value("X-Amz-Expires").and_then(|text| text.parse().ok());
    let expires = Duration::from_secs(expires.ok_or("no expiry")?);
    if time + expires < SystemTime::now() {
        return Err("expired");
    }
    let pairs: Vec<_> = kept
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let bare = if pairs.is_empty() {
        base.to_owned()
    } else {
        format!("{base}?{}", pairs.join("&"))
    };
    let names = value("X-Amz-SignedHeaders").ok_or("no SignedHeaders")?;
    let headers = signed_headers(head, &names.replace("%3B", ";"));
    let derived = key.presign(head.method.as_str(), &bare, &headers, time, expires);
    let derived = derived.ok_or("not to be derived")?;
    let expected = derived.iter().find(|(name, _)| name == "X-Amz-Signature");
    match expected {
        Some((_, expected)) if expected == signature => Ok(()),
        _ => Err("mismatch of a presigned URL"),
    }
}

/// Returns the signed headers that the signer does not add itself.
fn signed_headers<'a>(head: &'a Parts, names: &str) -> Vec<(&'a str, &'a str)> {
    let added = ["host", "x-amz-date", SHA256];
    let is_given = |name: &str| !added.contains(&name) && names.split(';').any(|it| it == name);
    let headers = head
        .headers
        .iter()
        .filter(|(name, _)| is_given(name.as_str()));
    headers
        .map(|(name, value)| (name.as_str(), value.to_str().expect("ASCII")))
        .collect()
}

/// Decodes chunks, and verifies their signatures.
fn decode(
    body: &[u8],
    head: &Parts,
    signed: Option<(&Key, &str, SystemTime)>,
) -> Result<Decoded, &'static str> {
    let body = std::str::from_utf8(body).map_err(|_| "not UTF-8")?;
    let (mut rest, mut data) = (body, Vec::new());
    let mut previous = signed
        .map(|(_, seed, _)| seed.to_owned())
        .unwrap_or_default();
    loop {
        let (line, after) = rest.split_once("\r\n").ok_or("truncated")?;
        let (size, extension) = line.split_once(';').unwrap_or((line, ""));
        let size = usize::from_str_radix(size, 16).map_err(|_| "no size")?;
        let chunk = after.get(..size).ok_or("truncated")?;
        if let Some((key, _, time)) = signed {
            previous = key.chunk_signature("PAYLOAD", &previous, chunk.as_bytes(), time);
            if extension != format!("chunk-signature={previous}") {
                return Err("mismatch of a chunk");
            }
        }
        rest = &after[size..];
        if size == 0 {
            break;
        }
        data.extend_from_slice(chunk.as_bytes());
        rest = rest.strip_prefix("\r\n").ok_or("no end of a chunk")?;
    }
    let length = data.len().to_string();
    if text(&head.headers, "x-amz-decoded-content-length") != Some(&length) {
        return Err("another decoded length");
    }
    let lines = rest.split("\r\n").filter(|line| !line.is_empty());
    let mut trailers: Vec<(String, String)> = lines
        .map(|line| {
            line.split_once(':')
                .map(|(name, value)| (name.into(), value.into()))
        })
        .collect::<Option<_>>()
        .ok_or("no trailer")?;
    let announced = text(&head.headers, "x-amz-trailer");
    if let Some((key, _, time)) = signed.filter(|_| announced.is_some()) {
        let (name, signature) = trailers.pop().ok_or("no trailer signature")?;
        let canonical: String = trailers
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let expected = key.chunk_signature("TRAILER", &previous, canonical.as_bytes(), time);
        if (&*name, signature) != ("x-amz-trailer-signature", expected) {
            return Err("mismatch of the trailer");
        }
    }
    if trailers.first().map(|(name, _)| &**name) != announced {
        return Err("another trailer");
    }
    Ok((data, trailers))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
