//! Complaints of an origin that a client can remedy by itself: its clock is wrong, or its credentials have expired.
//!
//! A response may quote the client, pass on the response of another service, or lie. So only the service's own
//! error code counts, in the place where the service puts it, together with the beginning of the message that
//! belongs to the code. Two different codes or messages in one response count for nothing.

use http::{HeaderMap, HeaderValue, StatusCode, header, response::Parts};
use quick_xml::{escape::resolve_xml_entity, events::Event, reader::Reader};
use serde_json::Value;

use crate::{
    doctor::bare,
    sigv4::preset::{fronts_applications, preset},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    /// The time of signing is too far from the origin's time.
    Clock,
    /// The credentials have expired.
    Credentials,
    /// The time of signing or the credentials: the service says the same of both.
    ClockOrCredentials,
}

/// The protocols in which services of AWS write errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    /// Code in `x-amzn-errortype`, or in `__type` or `code` of the top-level JSON object.
    Json,
    /// `<ErrorResponse><Error><Code>`.
    Query,
    /// `<Error><Code>`, and in S3 Control the same as `Query`.
    S3,
    /// `<Response><Errors><Error><Code>`.
    Ec2,
}

struct Known {
    protocols: &'static [Protocol],
    codes: &'static [&'static str],
    /// Beginnings of the message.
    messages: &'static [&'static str],
    complaint: Complaint,
}

/// Amazon S3 API Reference, "Error responses"; Amazon EC2 API Reference, "Error codes"; IAM User Guide,
/// "Troubleshoot Signature Version 4 requests"; STS API Reference, "Common errors".
const KNOWN: [Known; 6] = [
    Known {
        protocols: &[Protocol::Json],
        codes: &["InvalidSignatureException"],
        messages: &["Signature expired: ", "Signature not yet current: "],
        complaint: Complaint::Clock,
    },
    Known {
        protocols: &[Protocol::Query],
        codes: &["SignatureDoesNotMatch", "InvalidSignatureException", "RequestExpired"],
        messages: &["Signature expired: ", "Signature not yet current: "],
        complaint: Complaint::Clock,
    },
    Known {
        protocols: &[Protocol::S3],
        codes: &["RequestTimeTooSkewed"],
        messages: &["The difference between the request time and the "],
        complaint: Complaint::Clock,
    },
    Known {
        protocols: &[Protocol::Ec2],
        codes: &["RequestExpired"],
        messages: &["Request has expired"],
        complaint: Complaint::ClockOrCredentials,
    },
    Known {
        protocols: &[Protocol::S3],
        codes: &["ExpiredToken"],
        messages: &[
            "The provided token has expired",
            "The security token included in the request is expired",
        ],
        complaint: Complaint::Credentials,
    },
    Known {
        protocols: &[Protocol::Json, Protocol::Query],
        codes: &["ExpiredToken", "ExpiredTokenException"],
        messages: &["The security token included in the request is expired"],
        complaint: Complaint::Credentials,
    },
];

/// A presigned URL whose time is over, or has not come: Amazon S3 API Reference, "Error responses".
const PRESIGNED: Known = Known {
    protocols: &[Protocol::S3],
    codes: &["AccessDenied"],
    messages: &["Request has expired", "Request is not yet valid"],
    complaint: Complaint::Clock,
};

/// Code and message of an error, as the service wrote them.
#[derive(Debug, PartialEq)]
struct Found {
    protocol: Protocol,
    code: String,
    message: String,
}

impl Complaint {
    /// Returns true if the body may hold a complaint, so that it has to be read.
    pub(super) fn is_possible(head: &Parts, service: &str) -> bool {
        if !matches!(head.status, StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN) {
            return false;
        }
        match error_type(&head.headers) {
            Ok(Some(code)) => {
                KNOWN.iter().any(|known| known.is_of(Protocol::Json) && known.codes.contains(&code))
            }
            Ok(None) => !fronts_applications(service),
            Err(Ambiguous) => false,
        }
    }

    /// Reads a response that [is possible](Complaint::is_possible). `is_presigned` tells that the signature is
    /// in the query.
    pub(super) fn read(
        headers: &HeaderMap,
        body: &[u8],
        service: &str,
        is_presigned: bool,
    ) -> Option<Self> {
        let body = std::str::from_utf8(body).ok()?;
        let found = match body.trim_ascii_start().as_bytes().first()? {
            b'{' => Found::in_json(error_type(headers).ok()?, body)?,
            b'<' if error_type(headers) == Ok(None) => Found::in_xml(body)?,
            _ => return None,
        };
        let is_s3 = preset(service).s3_family;
        let is_spoken = match found.protocol {
            Protocol::S3 => is_s3,
            // S3 Control, whose signing name is that of S3, has the errors of S3 in this form.
            Protocol::Query if is_s3 => return found.complaint(Protocol::S3, is_presigned),
            Protocol::Ec2 => service == "ec2",
            Protocol::Query | Protocol::Json => !is_s3,
        };
        is_spoken.then(|| found.complaint(found.protocol, is_presigned))?
    }
}

impl Known {
    fn is_of(&self, protocol: Protocol) -> bool {
        self.protocols.contains(&protocol)
    }
}

impl Found {
    fn complaint(&self, protocol: Protocol, is_presigned: bool) -> Option<Complaint> {
        let presigned = is_presigned.then_some(&PRESIGNED);
        let known = KNOWN.iter().chain(presigned).find(|known| {
            known.is_of(protocol)
                && known.codes.contains(&&*self.code)
                && known.messages.iter().any(|start| self.message.starts_with(start))
        });
        known.map(|known| known.complaint)
    }

    /// Finds them in the members of the top-level object, and the code in the header.
    fn in_json(header: Option<&str>, body: &str) -> Option<Self> {
        let Ok(Value::Object(members)) = serde_json::from_str(body) else { return None };
        let values = |names: [&str; 3]| {
            let strings =
                names.map(|name| members.get(name).map(|value| value.as_str().map(str::to_owned)));
            strings.into_iter().flatten().collect::<Option<Vec<_>>>()
        };
        let mut codes = values(["__type", "code", "Code"])?;
        codes.extend(header.map(str::to_owned));
        let messages = values(["message", "Message", "errorMessage"])?;
        let code = bare(codes.first()?);
        let message = messages.first()?;
        let agree = codes.iter().all(|other| bare(other) == code)
            && messages.iter().all(|other| other == message);
        agree.then(|| Self {
            protocol: Protocol::Json,
            code: code.to_owned(),
            message: message.clone(),
        })
    }

    /// Finds them at the one place of the document where its protocol has them.
    fn in_xml(body: &str) -> Option<Self> {
        let mut reader = Reader::from_str(body);
        let mut path: Vec<String> = Vec::new();
        let mut protocol = None;
        let mut code = None;
        let mut message = None;
        let mut text = String::new();
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) => {
                    path.push(start.local_name().into_inner().to_owned());
                    text.clear();
                }
                Event::Text(part) => text += &part.xml10_content(),
                Event::CData(part) => text += &part.xml10_content(),
                Event::GeneralRef(name) => match name.resolve_char_ref() {
                    Ok(Some(character)) => text.push(character),
                    _ => text += resolve_xml_entity(&name).unwrap_or_default(),
                },
                Event::End(_) => {
                    let names: Vec<_> = path.iter().map(String::as_str).collect();
                    let (found, element) = match &names[..] {
                        ["Error", element] => (Protocol::S3, *element),
                        ["ErrorResponse", "Error", element] => (Protocol::Query, *element),
                        ["Response", "Errors", "Error", element] => (Protocol::Ec2, *element),
                        _ => (Protocol::S3, ""),
                    };
                    let place = match element {
                        "Code" => Some(&mut code),
                        "Message" => Some(&mut message),
                        _ => None,
                    };
                    if let Some(place) = place {
                        protocol = Some(found);
                        if place.replace(std::mem::take(&mut text)).is_some() {
                            return None; // of two it is unknown which one counts
                        }
                    }
                    path.pop();
                }
                Event::Eof => break,
                _ => {}
            }
        }
        let is_whole = path.is_empty();
        is_whole.then_some(Self { protocol: protocol?, code: code?, message: message? })
    }
}

/// The header is there more than once, or is not text.
#[derive(Debug, PartialEq)]
struct Ambiguous;

/// Returns the code in `x-amzn-errortype`.
fn error_type(headers: &HeaderMap) -> Result<Option<&str>, Ambiguous> {
    let mut values = headers.get_all("x-amzn-errortype").iter();
    let Some(value) = values.next() else { return Ok(None) };
    match (value.to_str(), values.next()) {
        (Ok(code), None) => Ok(Some(bare(code))),
        _ => Err(Ambiguous),
    }
}

/// Returns the origin's time, unless a cache may have stored the response (RFC 9111, section 5.1).
pub(super) fn date(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut dates = headers.get_all(header::DATE).iter();
    let date = dates.next()?;
    (dates.next().is_none() && !headers.contains_key(header::AGE)).then_some(date)
}
