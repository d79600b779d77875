//! Random requests and changes to them.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use fastrand::Rng;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use tower_sigv4::sigv4::PathForm;

use crate::case::{Case, ID};

pub(crate) fn random_case(rng: &mut Rng) -> Option<Case> {
    let methods = [
        "GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "PURGE", "m-search",
    ];
    let services = ["execute-api", "s3", "sqs"];
    let mut case = Case::new(services[rng.usize(..services.len())], "/");
    // scratchstack uses OnceFolded for all services except S3.
    case.form = (case.service == "sqs").then_some(PathForm::OnceFolded);
    let origins = [
        "",
        "http://example.com",
        "https://EXAMPLE.com:8443",
        "https://[::1]",
    ];
    let origin = origins[rng.usize(..origins.len())];
    let uri: Uri = format!("{origin}{}{}", random_path(rng, &case), random_query(rng))
        .parse()
        .ok()?;
    let request = &mut case.request;
    if let Some(authority) = uri.authority() {
        request.headers_mut().remove(header::HOST);
        if rng.bool() {
            let host = HeaderValue::from_str(authority.as_str()).expect("legal");
            request.headers_mut().insert(header::HOST, host);
        }
    }
    *request.uri_mut() = uri;
    *request.method_mut() =
        Method::from_bytes(methods[rng.usize(..methods.len())].as_bytes()).ok()?;
    *request.body_mut() = (0..rng.usize(..200)).map(|_| rng.u8(..)).collect();
    random_headers(rng, request.headers_mut());
    let secret: String = (0..40).map(|_| rng.alphanumeric()).collect();
    let token = rng
        .bool()
        .then(|| random_text(rng, &["a", "Z", "9", "/", "+", "="], 600) + "T");
    case.credentials = Credentials::new(ID, secret, token, None, "test");
    // The years 2000 to 2100. The clock window of scratchstack is 15 minutes, that of this crate 5 except for S3.
    case.time = UNIX_EPOCH + Duration::from_millis(rng.u64(946_684_800_000..4_102_444_800_000));
    case.now = case.time + Duration::from_secs(rng.u64(..600)) - Duration::from_secs(300);
    case.payload_header = case.service == "s3" || rng.bool();
    case.every_header = rng.bool();
    Some(case)
}

fn random_text(rng: &mut Rng, pieces: &[&str], most: usize) -> String {
    (0..rng.usize(..=most))
        .map(|_| pieces[rng.usize(..pieces.len())])
        .collect()
}

fn random_path(rng: &mut Rng, case: &Case) -> String {
    let mut pieces = vec![
        "a", "Z", "0", "~", "-", "_", "x.", ":", "@", "!", "$", "&", "'", "(", ")", "*", ",", ";",
        "=", "é", "ሴ", "|", "{", "}", "\"", "[", "]", "^", "\\",
    ];
    let once = case.service == "s3" || case.form.is_some();
    if once {
        pieces.extend([
            "%3A", "%20", "%C3%A9", "%c3%a9", "%2B", "%25", "%41", "%7e", "%FF", "%26",
        ]);
    }
    if case.form.is_some() {
        pieces.extend(["%2F", "%2f"]);
    }
    let mut path = String::new();
    let segments = rng.usize(1..6);
    for i in 1..=segments {
        path.push('/');
        match rng.u8(..6) {
            0 if case.service == "s3" => path.push_str(["", ".", ".."][rng.usize(..3)]),
            1 => path.push_str("..."),
            2 if i == segments => {} // a path that ends in a slash
            _ => path.push_str(
                &(pieces[rng.usize(..pieces.len())].to_owned() + &random_text(rng, &pieces, 4)),
            ),
        }
    }
    path
}

/// Returns a query in which no encoded key is a prefix of another.
fn random_query(rng: &mut Rng) -> String {
    let keys = [
        "a", "bb", "Z~", "%41x", "c%20d", "c+d", "%C3%A9", "%c3%a9", "é", "q/r", "q%2Fr", "q%2fr",
        "x-b", "X_1", "9", "%FF", "(", "*", "%2B", "|", "{",
    ];
    let pieces = [
        "a", "b", "Z", "~", "-", "=", "+", "%20", "%2F", "%2f", "%41", "%7e", "%2B", "%C3%A9",
        "%c3%a9", "%FF", "é", "ሴ", "/", "?", ":", "@", "!", "*", "'", "(", ")", ",", ";", "|", "{",
        "[", "^",
    ];
    if rng.u8(..4) == 0 {
        return String::new();
    }
    let mut query = "?".to_owned();
    for _ in 0..rng.usize(..8) {
        query.push_str(keys[rng.usize(..keys.len())]);
        if rng.u8(..4) > 0 {
            query.push('=');
            query.push_str(&random_text(rng, &pieces, 5));
        }
        query.push_str(if rng.u8(..8) == 0 { "&&" } else { "&" });
    }
    if rng.u8(..8) > 0 && query.ends_with('&') {
        query.truncate(query.len() - 1);
    }
    query
}

fn random_headers(rng: &mut Rng, headers: &mut HeaderMap) {
    let names = [
        "accept",
        "content-type",
        "content-md5",
        "date",
        "x-amz-target",
        "x-amz-meta-a",
        "x-amz-meta-b",
        "user-agent",
        "x-amzn-trace-id",
        "transfer-encoding",
        "my-header",
        "zeta",
        "range",
        "content-length",
        "te",
    ];
    let words: [&[u8]; 10] = [
        b"a",
        b"value",
        b"\"q r\"",
        b"1,2",
        b"  ",
        b" ",
        b"   ",
        b"text/plain;",
        b"\xff\xfe",
        b"\xc3\xa9",
    ];
    for _ in 0..rng.usize(..24) {
        let name = HeaderName::from_static(names[rng.usize(..names.len())]);
        let words = (0..rng.usize(..6)).map(|_| words[rng.usize(..words.len())]);
        let value = words.collect::<Vec<_>>().concat();
        headers.append(name, HeaderValue::from_bytes(&value).expect("legal"));
    }
}

/// A change to a signed request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Method,
    PathByte,
    QueryByte,
    Header,
    HeaderRemoved,
    HeaderRepeated,
    HeaderAdded,
    Signature,
    Body,
    Clock,
}

pub(crate) const CHANGES: [Change; 10] = [
    Change::Method,
    Change::PathByte,
    Change::QueryByte,
    Change::Header,
    Change::HeaderRemoved,
    Change::HeaderRepeated,
    Change::HeaderAdded,
    Change::Signature,
    Change::Body,
    Change::Clock,
];

impl Change {
    pub(crate) fn apply(self, case: &mut Case, rng: &mut Rng) {
        match self {
            Self::Method => {
                let other = if *case.request.method() == Method::GET {
                    "POST"
                } else {
                    "GET"
                };
                *case.request.method_mut() = other.parse().expect("a method");
            }
            Self::PathByte | Self::QueryByte => {
                let uri = case.request.uri().to_string();
                let (path, query) = uri.split_once('?').unwrap_or((&uri, ""));
                // The path follows the authority.
                let start = path.len() - case.request.uri().path().len();
                let (origin, path) = path.split_at(start);
                let changed = match self {
                    Self::PathByte => format!("{origin}{}?{query}", change_byte(path, rng)),
                    _ => format!("{origin}{path}?{}", change_byte(query, rng)),
                };
                *case.request.uri_mut() = changed.parse().expect("a URI");
            }
            Self::Header | Self::HeaderRemoved | Self::HeaderRepeated => {
                let name = signed_header(case, rng);
                let value = case.headers().get_mut(&name).expect("signed and present");
                match self {
                    Self::Header => {
                        let changed = [value.as_bytes(), b"x"].concat();
                        *value = HeaderValue::from_bytes(&changed).expect("legal");
                    }
                    Self::HeaderRemoved => drop(case.headers().remove(name)),
                    _ => drop(case.headers().append(name, HeaderValue::from_static("x"))),
                }
            }
            Self::HeaderAdded => {
                let value = HeaderValue::from_static("x");
                case.headers().insert("x-amz-meta-unsigned", value);
            }
            Self::Signature => {
                let value = case
                    .headers()
                    .get_mut(header::AUTHORIZATION)
                    .expect("signed");
                let mut bytes = value.as_bytes().to_vec();
                let at = bytes.len() - 1 - rng.usize(..64);
                bytes[at] = if bytes[at] == b'f' { b'0' } else { b'f' };
                *value = HeaderValue::from_bytes(&bytes).expect("legal");
            }
            Self::Body => {
                let mut body = case.request.body().to_vec();
                if body.is_empty() {
                    body.push(b'a');
                } else {
                    let at = rng.usize(..body.len());
                    body[at] ^= 1 << rng.u8(..8);
                }
                *case.request.body_mut() = body.into();
            }
            Self::Clock => {
                let off = Duration::from_secs(rng.u64(902..1_000_000));
                case.now = if rng.bool() {
                    case.time + off
                } else {
                    case.time - off
                };
            }
        }
    }
}

/// Replaces one letter or digit, ignoring case, or appends one.
fn change_byte(text: &str, rng: &mut Rng) -> String {
    let places: Vec<usize> = text
        .bytes()
        .enumerate()
        .filter(|(_, byte)| byte.is_ascii_alphanumeric())
        .map(|(at, _)| at)
        .collect();
    if places.is_empty() {
        return format!("{text}x");
    }
    let at = places[rng.usize(..places.len())];
    let others = b"0123456789abcdefxyz"
        .iter()
        .filter(|other| !other.eq_ignore_ascii_case(&text.as_bytes()[at]));
    let others: Vec<u8> = others.copied().collect();
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = others[rng.usize(..others.len())];
    String::from_utf8(bytes).expect("one ASCII byte for another")
}

fn signed_header(case: &Case, rng: &mut Rng) -> HeaderName {
    let authorization = &case.request.headers()[header::AUTHORIZATION];
    let authorization = authorization.to_str().expect("ASCII");
    let (_, rest) = authorization.split_once("SignedHeaders=").expect("there");
    let names: Vec<_> = rest.split(',').next().expect("one").split(';').collect();
    names[rng.usize(..names.len())].parse().expect("a name")
}
