use std::{fmt, time::SystemTime};

use aws_smithy_types::date_time::{DateTime, Format};
use http::{HeaderMap, StatusCode, header};
use quick_xml::{escape::resolve_xml_entity, events::Event, reader::Reader};
use serde_json::Value;

use super::canonical_parser::without_token;
use crate::sigv4::scope::Timestamp;

/// An answer by which an origin refused a request, as far as it speaks of the signature.
///
/// The shapes are those of API Gateway and of the services with a JSON protocol (`message`, `__type`,
/// `x-amzn-errortype`), of those with an XML or query protocol (`Code`, `Message`), and of Amazon S3, whose
/// `SignatureDoesNotMatch` has the texts it derived in elements of their own. JSON that is cut off, and what has
/// none of these shapes, is taken for a message as it stands.
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use tower_sigv4::doctor::Rejection;
///
/// let body = br#"{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"expired"}"#;
/// let refusal = Rejection::from_response(StatusCode::BAD_REQUEST, &HeaderMap::new(), body);
/// assert_eq!(refusal.code(), Some("ExpiredTokenException"));
/// ```
#[derive(Clone)]
pub struct Rejection {
    status: StatusCode,
    pub(super) code: String,
    /// True if the code is where AWS's services have theirs, and applications have none.
    pub(super) is_awss: bool,
    pub(super) message: String,
    pub(super) canonical_request: Option<String>,
    pub(super) string_to_sign: Option<String>,
    pub(super) signature_provided: Option<String>,
    pub(super) access_key_id: Option<String>,
    /// The region that S3 expects.
    pub(super) region: Option<String>,
    /// The headers that S3 found and the signature does not cover.
    pub(super) headers_not_signed: Option<String>,
    /// The origin's clock.
    time: Option<DateTime>,
    /// True if a cache has kept the answer, so that no time in it is of now.
    is_cached: bool,
}

impl Rejection {
    /// Reads an answer. Of a long body its beginning is enough, 64 KiB say.
    #[must_use]
    pub fn from_response(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let body = String::from_utf8_lossy(body);
        let mut refusal = Self {
            status,
            code: String::new(),
            is_awss: false,
            message: String::new(),
            canonical_request: None,
            string_to_sign: None,
            signature_provided: None,
            access_key_id: None,
            region: None,
            headers_not_signed: None,
            time: None,
            is_cached: false,
        };
        match body.trim_start().as_bytes().first() {
            Some(b'{') => refusal.read_json(&body),
            Some(b'<') => refusal.read_xml(&body),
            _ => refusal.message = body.to_string(),
        }
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(code) = header("x-amzn-errortype") {
            code.clone_into(&mut refusal.code);
            refusal.is_awss = true;
        }
        refusal.code = bare(&refusal.code).to_owned();
        if refusal.region.is_none() {
            refusal.region = header("x-amz-bucket-region").map(str::to_owned);
        }
        let date = header(header::DATE.as_str());
        refusal.time = refusal
            .time
            .or_else(|| DateTime::from_str(date?, Format::HttpDate).ok());
        refusal.is_cached = headers.contains_key(header::AGE); // RFC 9111, section 5.1
        refusal.take_texts();
        refusal
    }

    /// The error's code, such as `SignatureDoesNotMatch`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        Some(&*self.code).filter(|code| !code.is_empty())
    }

    /// What the origin says for people to read. It may hold the texts that the origin derived, and with them
    /// a session token: no text for a log.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The canonical request that the origin derived, if it says so, the session token blotted out.
    #[must_use]
    pub fn canonical_request(&self) -> Option<String> {
        self.canonical_request.as_deref().map(without_token)
    }

    /// The string to sign that the origin derived, if it says so.
    #[must_use]
    pub fn string_to_sign(&self) -> Option<&str> {
        self.string_to_sign.as_deref()
    }

    pub(super) fn says(&self, words: &str) -> bool {
        self.message.contains(words)
    }

    fn read_json(&mut self, body: &str) {
        let Ok(value) = serde_json::from_str::<Value>(body) else {
            body.clone_into(&mut self.message);
            return;
        };
        // An error, or a list of them, may stand in an object of its own.
        let inner = ["errors", "Error"].iter().find_map(|name| value.get(name));
        let inner = inner.map(|inner| inner.get(0).unwrap_or(inner));
        let string = |names: &[&str]| {
            let found = [Some(&value), inner]
                .into_iter()
                .flatten()
                .find_map(|value| find(value, names));
            found.unwrap_or_default().to_owned()
        };
        self.is_awss = value.get("__type").is_some();
        self.code = string(&["__type", "code", "errortype"]);
        self.message = string(&["message", "errormessage"]);
    }

    fn read_xml(&mut self, body: &str) {
        self.is_awss = true;
        let mut reader = Reader::from_str(body);
        let mut element = String::new();
        let mut text = String::new();
        loop {
            match reader.read_event() {
                Ok(Event::Start(start)) => {
                    element = start.local_name().into_inner().to_owned();
                    text.clear();
                }
                Ok(Event::Text(part)) => text += &part.xml10_content(),
                Ok(Event::CData(part)) => text += &part.xml10_content(),
                Ok(Event::GeneralRef(name)) => match name.resolve_char_ref() {
                    Ok(Some(character)) => text.push(character),
                    _ => text += resolve_xml_entity(&name).unwrap_or_default(),
                },
                Ok(Event::End(_)) => {
                    self.element(&element, &text);
                    element.clear();
                }
                Ok(Event::Eof) => break,
                Ok(_) => {}
                Err(_) => break, // what came before it counts
            }
        }
    }

    /// Takes an element of XML that has no elements in it; of more with one name the first.
    fn element(&mut self, name: &str, text: &str) {
        let first = |place: &mut Option<String>| {
            place.get_or_insert_with(|| text.to_owned());
        };
        match name {
            "Code" if self.code.is_empty() => text.clone_into(&mut self.code),
            "Message" if self.message.is_empty() => text.clone_into(&mut self.message),
            "CanonicalRequest" => {
                self.canonical_request
                    .get_or_insert_with(|| text.trim_end().to_owned());
            }
            "StringToSign" => first(&mut self.string_to_sign),
            "AWSAccessKeyId" => first(&mut self.access_key_id),
            "SignatureProvided" => first(&mut self.signature_provided),
            "Region" => first(&mut self.region),
            "HeadersNotSigned" => first(&mut self.headers_not_signed),
            "ServerTime" => self.time = DateTime::from_str(text, Format::DateTime).ok(),
            _ => {}
        }
    }

    /// Takes the texts out of the message where they stand in it, as in API Gateway's.
    fn take_texts(&mut self) {
        const CANONICAL: &str = "The Canonical String for this request should have been\n'";
        const TO_SIGN: &str = "The String-to-Sign should have been\n'";
        let Some((words, texts)) = self.message.split_once(CANONICAL) else {
            return;
        };
        let (canonical, to_sign) = match texts.split_once(TO_SIGN) {
            Some((canonical, to_sign)) => (canonical, Some(to_sign)),
            None => (texts, None),
        };
        self.canonical_request = quoted(canonical);
        self.string_to_sign = to_sign.and_then(quoted);
        self.message = words.trim_end().to_owned();
    }

    /// What time it was at the origin.
    pub(super) fn origin_time(&self) -> Option<SystemTime> {
        let said = self
            .time_after("(")
            .or_else(|| SystemTime::try_from(self.time?).ok());
        said.filter(|_| !self.is_cached)
    }

    /// The time in the message right after `mark`, in the form of `x-amz-date`.
    pub(super) fn time_after(&self, mark: &str) -> Option<SystemTime> {
        let (_, rest) = self.message.split_once(mark)?;
        Some(Timestamp::parse(rest.as_bytes().get(..16)?)?.system_time())
    }

    /// The word in single quotes after `mark`.
    pub(super) fn quoted_after(&self, mark: &str) -> Option<&str> {
        let (_, rest) = self.message.split_once(mark)?;
        rest.strip_prefix('\'')?.split('\'').next()
    }

    /// The word in double quotes before `mark`.
    pub(super) fn quoted_before(&self, mark: &str) -> Option<&str> {
        let (before, _) = self.message.split_once(mark)?;
        let (_, word) = before.strip_suffix('"')?.rsplit_once('"')?;
        Some(word)
    }
}

/// What stands before the closing quote.
fn quoted(text: &str) -> Option<String> {
    text.rsplit_once('\'')
        .map(|(text, _)| text.trim_end().to_owned())
}

/// Returns the code without its namespace and without the address that some services append
/// (Smithy, "AWS JSON 1.1 protocol", operation error serialization).
pub(crate) fn bare(code: &str) -> &str {
    let code = code.split([':', ';']).next().unwrap_or_default();
    code.rsplit('#').next().unwrap_or_default().trim()
}

/// The string of one of these names, in lower case.
fn find<'a>(value: &'a Value, names: &[&str]) -> Option<&'a str> {
    let members = value.as_object()?;
    let member = |wanted: &&str| {
        let (_, value) = members
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
        value.as_str()
    };
    names.iter().find_map(member)
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("status", &self.status)
            .field("code", &self.code)
            .finish_non_exhaustive()
    }
}
