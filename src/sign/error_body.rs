//! Code and message of an error, from the only place where a service of AWS puts them.

use std::fmt;

use quick_xml::{escape::resolve_xml_entity, events::Event, reader::Reader};
use serde_core::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::sigv4::error_code::strip_namespace;

/// Error formats of AWS services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Code in `x-amzn-errortype`, or in `__type` or `code` of the top-level JSON object.
    Json,
    /// `<ErrorResponse><Error><Code>`; REST-XML services other than S3 use it, too.
    Query,
    /// `<Error><Code>`.
    S3,
    /// `<Response><Errors><Error><Code>`.
    Ec2,
}

#[derive(Debug, PartialEq)]
pub(super) struct ErrorBody {
    pub(super) protocol: Protocol,
    pub(super) code: String,
    pub(super) message: String,
    /// Text of `Region` in an error of S3.
    pub(super) region: Option<String>,
}

impl ErrorBody {
    /// Reads a whole body. Returns `None` for other documents, and if two codes or two messages differ.
    ///
    /// `header` is the code in `x-amzn-errortype`.
    pub(super) fn read(header: Option<&str>, body: &str) -> Option<Self> {
        match body.trim_ascii_start().as_bytes().first()? {
            b'{' => Self::from_json(header, body),
            b'<' if header.is_none() => Self::from_xml(body),
            _ => None,
        }
    }

    fn from_json(header: Option<&str>, body: &str) -> Option<Self> {
        let members: Members = serde_json::from_str(body).ok()?;
        let mut codes = members
            .codes
            .iter()
            .map(|code| strip_namespace(code))
            .chain(header);
        let code = codes.next()?;
        let (message, messages) = members.messages.split_first()?;
        let are_equal =
            codes.all(|other| other == code) && messages.iter().all(|other| other == message);
        are_equal.then(|| Self {
            protocol: Protocol::Json,
            code: code.to_owned(),
            message: message.clone(),
            region: None,
        })
    }

    /// Rejects documents with comments, CDATA or a DTD, which the services never use.
    fn from_xml(body: &str) -> Option<Self> {
        let mut reader = Reader::from_str(body);
        reader.config_mut().expand_empty_elements = true;
        let mut document = Document::default();
        loop {
            match reader.read_event().ok()? {
                Event::Decl(_) => {}
                Event::Start(start) => document.open(start.name().into_inner())?,
                Event::End(_) => drop(document.open.pop()),
                Event::Text(part) => document.add_text(&part.xml10_content())?,
                Event::GeneralRef(name) => match name.resolve_char_ref().ok()? {
                    Some(character) => document.add_text(character.encode_utf8(&mut [0; 4]))?,
                    None => document.add_text(resolve_xml_entity(&name)?)?,
                },
                Event::Eof => return document.finish(),
                _ => return None,
            }
        }
    }
}

/// Codes and messages of a top-level JSON object, under all names that services use.
///
/// A `serde_json::Map` keeps only the last of two members with one name, and other parsers the first.
#[derive(Default)]
struct Members {
    codes: Vec<String>,
    messages: Vec<String>,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an AWS error")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Members::default();
        while let Some(name) = map.next_key::<String>()? {
            match &*name {
                "__type" | "code" | "Code" => members.codes.push(map.next_value()?),
                "message" | "Message" | "errorMessage" => members.messages.push(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(members)
    }
}

/// State of reading an XML document.
#[derive(Default)]
struct Document {
    /// Names of the open elements, from the root on.
    open: Vec<String>,
    /// `None` before the root element.
    protocol: Option<Protocol>,
    /// Number of elements on the path to the code that were opened.
    on_path: usize,
    code: Option<String>,
    message: Option<String>,
    region: Option<String>,
}

impl Protocol {
    /// Elements around the code, from the root on.
    fn path(self) -> &'static [&'static str] {
        match self {
            Self::Json => &[],
            Self::S3 => &["Error"],
            Self::Query => &["ErrorResponse", "Error"],
            Self::Ec2 => &["Response", "Errors", "Error"],
        }
    }

    fn from_root(name: &str) -> Option<Self> {
        [Self::S3, Self::Query, Self::Ec2]
            .into_iter()
            .find(|protocol| protocol.path()[0] == name)
    }
}

impl Document {
    fn open(&mut self, name: &str) -> Option<()> {
        if self.field().is_some() || (self.open.is_empty() && self.protocol.is_some()) {
            return None; // markup in a text, or a second root
        }
        let protocol = match self.protocol {
            Some(protocol) => protocol,
            None => *self.protocol.insert(Protocol::from_root(name)?),
        };
        self.open.push(name.to_owned());
        let depth = self.open.len();
        if protocol
            .path()
            .get(..depth)
            .is_some_and(|path| self.open == path)
        {
            if depth <= self.on_path {
                return None; // a second error
            }
            self.on_path = depth;
        } else if let Some(field) = self.field()
            && field.replace(String::new()).is_some()
        {
            return None; // a second code or message
        }
        Some(())
    }

    /// Returns the place of the open element's text, if it is the code or the message.
    fn field(&mut self) -> Option<&mut Option<String>> {
        let (name, parents) = self.open.split_last()?;
        match name.as_str() {
            _ if parents != self.protocol?.path() => None,
            "Code" => Some(&mut self.code),
            "Message" => Some(&mut self.message),
            "Region" if self.protocol == Some(Protocol::S3) => Some(&mut self.region),
            _ => None,
        }
    }

    fn add_text(&mut self, text: &str) -> Option<()> {
        let is_outside = self.open.is_empty();
        match self.field() {
            Some(field) => field.get_or_insert_default().push_str(text),
            None if is_outside && !text.trim_ascii().is_empty() => return None,
            None => {}
        }
        Some(())
    }

    fn finish(self) -> Option<ErrorBody> {
        self.open.is_empty().then_some(ErrorBody {
            protocol: self.protocol?,
            code: self.code?,
            message: self.message?,
            region: self.region,
        })
    }
}
