//! Generates the responses.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fastrand::Rng;
use http::{HeaderValue, Response, StatusCode};

use super::messages::{
    CODES, JSON_CODES, JSON_MESSAGES, PHRASES, SERVICES, code, is_pair, message, pick,
};
use crate::common::origins::date;

const PATHS: [&[&str]; 7] = [
    &["Error"],
    &["ErrorResponse", "Error"],
    &["Response", "Errors", "Error"],
    &["ErrorResponse"],
    &["Errors", "Error"],
    &["html", "body"],
    &["ErrorResponse", "Error", "Error"],
];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Protocol {
    Json,
    Query,
    S3,
    Ec2,
}

/// A random response.
#[derive(Clone, Debug)]
pub(super) struct RandomResponse {
    pub(super) status: u16,
    pub(super) header: Vec<&'static str>,
    pub(super) body: Body,
    pub(super) date: Option<i64>,
    pub(super) age: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    /// Members of a top-level object.
    Json(Vec<(&'static str, String)>),
    /// Path of elements from the root, and the elements in the last one.
    Xml(Vec<&'static str>, Vec<(&'static str, String)>),
    /// Neither format, or truncated.
    Other(String),
}

impl RandomResponse {
    pub(super) fn random(rng: &mut Rng) -> Self {
        let body = match rng.u8(..8) {
            0..3 => Body::json(rng),
            3..6 => Body::xml(rng),
            6 => {
                let quoted = format!("{}: {}", code(rng), message(rng));
                let form = pick(
                    rng,
                    &["{}", "<html><body>{}</body></html>", "\"{}\"", "[\"{}\"]"],
                );
                Body::Other(form.replace("{}", &quoted))
            }
            _ => {
                let whole = if rng.bool() {
                    Body::json(rng)
                } else {
                    Body::xml(rng)
                };
                Body::broken(rng, &whole.text())
            }
        };
        let count = pick(rng, &[0, 0, 0, 1, 1, 1, 2]);
        Self {
            status: pick(
                rng,
                &[
                    200, 204, 304, 400, 400, 400, 400, 401, 403, 403, 403, 404, 429, 500, 503,
                ],
            ),
            header: (0..count).map(|_| pick(rng, &CODES)).collect(),
            body,
            date: pick(
                rng,
                &[
                    None,
                    Some(0),
                    Some(3600),
                    Some(-7200),
                    Some(72_000),
                    Some(-90_000),
                ],
            ),
            age: rng.u8(..4) == 0,
        }
    }

    /// Creates an exact error of the service.
    pub(super) fn exact(rng: &mut Rng, service: &str) -> Self {
        let protocol = match service {
            "s3" => Protocol::S3,
            "sts" => Protocol::Query,
            "ec2" => Protocol::Ec2,
            _ => Protocol::Json,
        };
        let (code, message) = loop {
            let (code, message) = (pick(rng, &CODES), pick(rng, &PHRASES));
            if is_pair(protocol, code, message) {
                break (code, message.to_owned());
            }
        };
        let (mut header, mut named) = (Vec::new(), Vec::new());
        let body = match protocol {
            Protocol::Json => {
                let is_in_header = service == "execute-api" || rng.bool();
                if is_in_header {
                    header.push(code);
                } else {
                    named.push(("__type", code.to_owned()));
                }
                named.push(("message", message));
                Body::Json(named)
            }
            protocol => {
                let path = match protocol {
                    Protocol::S3 => &["Error"][..],
                    Protocol::Ec2 => &["Response", "Errors", "Error"],
                    _ => &["ErrorResponse", "Error"],
                };
                named.extend([("Code", code.to_owned()), ("Message", message)]);
                Body::Xml(path.to_vec(), named)
            }
        };
        Self {
            status: pick(rng, &[400, 403]),
            header,
            body,
            date: Some(3600),
            age: false,
        }
    }

    /// Creates an error with one or two changes, or of another service.
    pub(super) fn near(rng: &mut Rng, service: &str) -> Self {
        let of = if rng.u8(..4) == 0 {
            pick(rng, &SERVICES)
        } else {
            service
        };
        let mut claim = Self::exact(rng, of);
        for _ in 0..rng.usize(1..3) {
            let other = Self::random(rng);
            match (rng.u8(..9), &mut claim.body) {
                (0, _) => claim.status = other.status,
                (1, _) => claim.header.push(pick(rng, &CODES)),
                (2, _) => claim.header = other.header,
                (3, Body::Json(named)) => named.push((pick(rng, &JSON_CODES), code(rng))),
                (3, Body::Xml(_, named)) => named.push(("Code", code(rng))),
                (4, Body::Json(named)) => named.push((pick(rng, &JSON_MESSAGES), message(rng))),
                (4, Body::Xml(_, named)) => named.push(("Message", message(rng))),
                (5, Body::Json(named) | Body::Xml(_, named)) => {
                    let at = rng.usize(..named.len());
                    named.remove(at);
                    rng.shuffle(named);
                }
                (6, Body::Json(named) | Body::Xml(_, named)) => {
                    let at = rng.usize(..named.len());
                    named[at].1 = if rng.bool() { code(rng) } else { message(rng) };
                }
                (7, Body::Xml(path, _)) => *path = pick(rng, &PATHS).to_vec(),
                (8, body) => *body = Body::broken(rng, &body.text()),
                _ => claim.date = other.date,
            }
            if matches!(&claim.body, Body::Json(named) | Body::Xml(_, named) if named.is_empty()) {
                break;
            }
        }
        claim
    }

    /// Returns `true` if code and message are in the service's places without a contradiction.
    pub(super) fn is_exact(&self, service: &str) -> bool {
        let is_s3 = service == "s3";
        if !matches!(self.status, 400 | 403) || self.header.len() > 1 {
            return false;
        }
        let (protocol, codes, messages) = match &self.body {
            Body::Json(members) => {
                if is_s3 || (service == "execute-api" && self.header.is_empty()) {
                    return false;
                }
                let of = |names: &[&str]| {
                    let named = members.iter().filter(|(name, _)| names.contains(name));
                    named.map(|(_, value)| value.clone()).collect::<Vec<_>>()
                };
                let mut codes = of(&["__type", "code", "Code"]);
                codes.extend(self.header.iter().map(|code| (*code).to_owned()));
                (
                    Protocol::Json,
                    codes,
                    of(&["message", "Message", "errorMessage"]),
                )
            }
            Body::Xml(path, elements) => {
                let protocol = match (&path[..], service) {
                    (["Error"] | ["ErrorResponse", "Error"], "s3") => Protocol::S3,
                    (["ErrorResponse", "Error"], _) => Protocol::Query,
                    (["Response", "Errors", "Error"], "ec2") => Protocol::Ec2,
                    _ => return false,
                };
                if !self.header.is_empty() || service == "execute-api" {
                    return false;
                }
                let of = |wanted: &str| {
                    let named = elements.iter().filter(|(name, _)| *name == wanted);
                    named.map(|(_, text)| text.clone()).collect::<Vec<_>>()
                };
                let (codes, messages) = (of("Code"), of("Message"));
                if codes.len() != 1 || messages.len() != 1 {
                    return false;
                }
                (protocol, codes, messages)
            }
            Body::Other(_) => return false,
        };
        // Only JSON has namespaces.
        let bare = |code: &String| match protocol {
            Protocol::Json => code
                .trim_start_matches("com.amazon.coral.service#")
                .to_owned(),
            _ => code.clone(),
        };
        let codes: Vec<_> = codes.iter().map(bare).collect();
        let is_one = |texts: &[String]| texts.windows(2).all(|pair| pair[0] == pair[1]);
        let (Some(code), Some(message)) = (codes.first(), messages.first()) else {
            return false;
        };
        is_one(&codes) && is_one(&messages) && is_pair(protocol, code, message)
    }

    /// Returns the time in `date`.
    pub(super) fn time(&self, now: SystemTime) -> Option<SystemTime> {
        let offset = self.date?;
        let distance = Duration::from_secs(offset.unsigned_abs());
        Some(if offset < 0 {
            now - distance
        } else {
            now + distance
        })
    }

    pub(super) fn response(&self, time: SystemTime) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(self.body.text()));
        *response.status_mut() = StatusCode::from_u16(self.status).expect("a status");
        let headers = response.headers_mut();
        for code in &self.header {
            headers.append("x-amzn-errortype", HeaderValue::from_static(code));
        }
        if let Some(time) = self.time(time) {
            headers.insert("date", date(time));
        }
        if self.age {
            headers.insert("age", HeaderValue::from_static("7"));
        }
        response
    }
}

impl Body {
    pub(super) fn broken(rng: &mut Rng, whole: &str) -> Self {
        let cut = rng.usize(..whole.len());
        let cut = (0..=cut)
            .rev()
            .find(|at| whole.is_char_boundary(*at))
            .expect("the start");
        let broken = [
            whole[..cut].to_owned(),
            format!("x{whole}"),
            format!("{whole}{whole}"),
        ];
        Self::Other(broken[rng.usize(..3)].clone())
    }

    pub(super) fn json(rng: &mut Rng) -> Self {
        let mut members = Vec::new();
        for _ in 0..rng.usize(..5) {
            members.push(if rng.bool() {
                (pick(rng, &JSON_CODES), code(rng))
            } else {
                (pick(rng, &JSON_MESSAGES), message(rng))
            });
        }
        Self::Json(members)
    }

    pub(super) fn xml(rng: &mut Rng) -> Self {
        let path = pick(rng, &PATHS);
        let mut elements = Vec::new();
        for _ in 0..rng.usize(..5) {
            elements.push(if rng.bool() {
                (
                    pick(rng, &["Code", "Code", "Code", "code", "Type"]),
                    code(rng),
                )
            } else {
                (
                    pick(rng, &["Message", "Message", "Message", "Resource"]),
                    message(rng),
                )
            });
        }
        Self::Xml(path.to_vec(), elements)
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Json(members) => {
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, value)| format!("\"{name}\":\"{value}\""))
                    .collect();
                format!("{{{}}}", members.join(","))
            }
            Self::Xml(path, elements) => {
                let open = path
                    .iter()
                    .map(|name| format!("<{name}>"))
                    .collect::<String>();
                let inner = elements
                    .iter()
                    .map(|(name, text)| format!("<{name}>{text}</{name}>"));
                let close = path
                    .iter()
                    .rev()
                    .map(|name| format!("</{name}>"))
                    .collect::<String>();
                format!("{open}{}{close}", inner.collect::<String>())
            }
            Self::Other(text) => text.clone(),
        }
    }
}
