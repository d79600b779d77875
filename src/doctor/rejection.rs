use std::{fmt, time::SystemTime};

use aws_smithy_types::date_time::{DateTime, Format};
use http::{HeaderMap, StatusCode, header};
use quick_xml::{escape::resolve_xml_entity, events::Event, reader::Reader};
use serde_json::Value;

use super::canonical_parser::redacted;
use crate::{
    SigningSettings,
    sigv4::{error_code::strip_namespace, scope::Timestamp},
};

/// The parts of a response that show why an origin rejected a signature.
///
/// It reads the formats of API Gateway and other services with a JSON protocol (`message`, `__type`,
/// `x-amzn-errortype`), of services with an XML or query protocol (`Code`, `Message`), and of Amazon S3, whose
/// `SignatureDoesNotMatch` contains the canonical request and the string to sign that it derived. Truncated JSON and
/// other formats count as a message.
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use tower_sigv4::doctor::Rejection;
///
/// let body = br#"{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"expired"}"#;
/// let rejection = Rejection::from_response(StatusCode::BAD_REQUEST, &HeaderMap::new(), body);
/// assert_eq!(rejection.code(), Some("ExpiredTokenException"));
/// ```
#[derive(Clone)]
pub struct Rejection {
    pub(super) status: StatusCode,
    pub(super) code: String,
    /// `true` if the code is in a place that services of AWS use and applications do not.
    pub(super) has_aws_code: bool,
    pub(super) message: String,
    pub(super) canonical_request: Option<String>,
    pub(super) string_to_sign: Option<String>,
    pub(super) signature_provided: Option<String>,
    pub(super) access_key_id: Option<String>,
    /// Region that S3 expects.
    pub(super) region: Option<String>,
    /// Unsigned headers that S3 requires to be signed.
    pub(super) headers_not_signed: Option<String>,
    /// Time of the origin's clock.
    time: Option<DateTime>,
    /// `true` if a cache has stored the response, so that its times are old.
    is_cached: bool,
    /// `true` if the response came through CloudFront.
    pub(super) is_from_cloudfront: bool,
}

impl Rejection {
    /// Reads a response. The beginning of a long body is enough, for example 64 KiB.
    #[must_use]
    pub fn from_response(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let mut rejection = Self {
            status,
            code: String::new(),
            has_aws_code: false,
            message: String::new(),
            canonical_request: None,
            string_to_sign: None,
            signature_provided: None,
            access_key_id: None,
            region: None,
            headers_not_signed: None,
            time: None,
            is_cached: false,
            is_from_cloudfront: false,
        };
        match text.trim_start().as_bytes().first() {
            Some(b'{') => rejection.read_json(&text),
            Some(b'<') => rejection.read_xml(&text),
            _ => rejection.message = text.to_string(),
        }
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(code) = header("x-amzn-errortype") {
            code.clone_into(&mut rejection.code);
            rejection.has_aws_code = true;
        }
        rejection.code = strip_namespace(&rejection.code).to_owned();
        if rejection.region.is_none() {
            rejection.region = header("x-amz-bucket-region").map(str::to_owned);
        }
        let date = header(header::DATE.as_str());
        rejection.time = rejection
            .time
            .or_else(|| DateTime::from_str(date?, Format::HttpDate).ok());
        rejection.is_cached = headers.contains_key(header::AGE); // RFC 9111, section 5.1
        rejection.is_from_cloudfront =
            header("via").is_some_and(|via| via.contains("(CloudFront)"));
        rejection.split_message();
        rejection
    }

    /// Returns the error code, such as `SignatureDoesNotMatch`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        Some(&*self.code).filter(|code| !code.is_empty())
    }

    /// Returns the message. Do not log it: it may contain the canonical request that the origin derived, with a
    /// session token.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the canonical request that the origin derived, if the response contains it, without the session token.
    #[must_use]
    pub fn canonical_request(&self) -> Option<String> {
        self.canonical_request.as_deref().map(redacted)
    }

    /// Returns the string to sign that the origin derived, if the response contains it.
    #[must_use]
    pub fn string_to_sign(&self) -> Option<&str> {
        self.string_to_sign.as_deref()
    }

    fn read_json(&mut self, body: &str) {
        let Ok(value) = serde_json::from_str::<Value>(body) else {
            body.clone_into(&mut self.message);
            return;
        };
        // Some services nest an error, or a list of them.
        let inner = ["errors", "Error"]
            .iter()
            .find_map(|name| value.get(name))
            .map(|errors| errors.get(0).unwrap_or(errors));
        let string = |names: &[&str]| {
            let found = [Some(&value), inner]
                .into_iter()
                .flatten()
                .find_map(|object| string_member(object, names));
            found.unwrap_or_default().to_owned()
        };
        self.has_aws_code = value.get("__type").is_some();
        self.code = string(&["__type", "code", "errortype"]);
        self.message = string(&["message", "errormessage"]);
    }

    fn read_xml(&mut self, body: &str) {
        self.has_aws_code = true;
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
                    self.set_element(&element, &text);
                    element.clear();
                }
                Ok(Event::Eof) => break,
                Ok(_) => {}
                Err(_) => break, // the elements before the error count
            }
        }
    }

    /// Stores the text of an XML element. The first element of a name counts.
    fn set_element(&mut self, name: &str, text: &str) {
        let set = |field: &mut Option<String>| {
            field.get_or_insert_with(|| text.to_owned());
        };
        match name {
            "Code" if self.code.is_empty() => text.clone_into(&mut self.code),
            "Message" if self.message.is_empty() => text.clone_into(&mut self.message),
            "CanonicalRequest" => {
                self.canonical_request
                    .get_or_insert_with(|| text.trim_end().to_owned());
            }
            "StringToSign" => set(&mut self.string_to_sign),
            "AWSAccessKeyId" => set(&mut self.access_key_id),
            "SignatureProvided" => set(&mut self.signature_provided),
            "Region" => set(&mut self.region),
            "Endpoint" if self.region.is_none() => {
                // S3 names the endpoint of the bucket alone in the body of a redirect.
                let settings = SigningSettings::infer(text.trim()).ok();
                self.region = settings
                    .filter(|inferred| inferred.service() == "s3")
                    .map(|inferred| inferred.region().to_owned());
            }
            "HeadersNotSigned" => set(&mut self.headers_not_signed),
            "ServerTime" => self.time = DateTime::from_str(text, Format::DateTime).ok(),
            _ => {}
        }
    }

    /// Moves the canonical request and the string to sign out of the message, where API Gateway puts them.
    fn split_message(&mut self) {
        const CANONICAL: &str = "The Canonical String for this request should have been\n'";
        const TO_SIGN: &str = "The String-to-Sign should have been\n'";
        let Some((message, derived)) = self.message.split_once(CANONICAL) else {
            return;
        };
        let (canonical, to_sign) = derived.split_once(TO_SIGN).unwrap_or((derived, ""));
        self.canonical_request = before_quote(canonical);
        self.string_to_sign = before_quote(to_sign);
        self.message = message.trim_end().to_owned();
    }

    /// Returns the time of the origin's clock.
    pub(super) fn origin_time(&self) -> Option<SystemTime> {
        let time = self
            .time_after("(")
            .or_else(|| SystemTime::try_from(self.time?).ok());
        time.filter(|_| !self.is_cached)
    }

    /// Returns the time in the message right after `mark`, in the format of `x-amz-date`.
    pub(super) fn time_after(&self, mark: &str) -> Option<SystemTime> {
        let (_, rest) = self.message.split_once(mark)?;
        Some(Timestamp::parse(rest.as_bytes().get(..16)?)?.system_time())
    }

    /// Returns the word in single quotes after `mark`.
    pub(super) fn quoted_after(&self, mark: &str) -> Option<&str> {
        let (_, rest) = self.message.split_once(mark)?;
        rest.strip_prefix('\'')?.split('\'').next()
    }

    /// Returns the word in double quotes before `mark`.
    pub(super) fn quoted_before(&self, mark: &str) -> Option<&str> {
        let (before, _) = self.message.split_once(mark)?;
        let (_, word) = before.strip_suffix('"')?.rsplit_once('"')?;
        Some(word)
    }
}

/// Returns the text before the last single quote.
fn before_quote(text: &str) -> Option<String> {
    text.rsplit_once('\'')
        .map(|(before, _)| before.trim_end().to_owned())
}

/// Returns the string member with one of these names, ignoring case.
fn string_member<'a>(value: &'a Value, names: &[&str]) -> Option<&'a str> {
    let members = value.as_object()?;
    let member = |wanted: &&str| {
        members
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))?
            .1
            .as_str()
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
