//! The fields of a form before its file.
//!
//! The grammar is a strict part of RFC 7578. Whatever two parsers could read in two ways is an error, since the service
//! behind the verifier reads the form again.

use http::{HeaderMap, HeaderValue, header};
use memchr::memmem;

use crate::verify::{Rejection, RejectionKind as Kind};

/// Maximum number of bytes before the file (Amazon S3 API Reference, "POST Object").
pub(super) const MAX_FIELDS: usize = 20 * 1024;

const FORM_DATA: &str = "multipart/form-data";

/// Returns `true` for a form with a file.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let types = headers.get_all(header::CONTENT_TYPE);
    types.iter().any(|value| {
        let start = value.as_bytes().get(..FORM_DATA.len());
        start.is_some_and(|bytes| bytes.eq_ignore_ascii_case(FORM_DATA.as_bytes()))
    })
}

/// Returns the boundary of a form.
pub(super) fn boundary(headers: &HeaderMap) -> Result<&str, Rejection> {
    let invalid = || {
        malformed(
            "content-type is not multipart/form-data with one boundary of letters, digits and a few marks",
        )
    };
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else {
        return Err(invalid());
    };
    let text = value.to_str().map_err(|_| invalid())?;
    let (_, parameter) = text.split_once(';').ok_or_else(invalid)?;
    let (name, quoted) = parameter.trim().split_once('=').ok_or_else(invalid)?;
    let inner = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let found = inner.unwrap_or(quoted);
    // RFC 2046, section 5.1.1, without the space and the marks that need quotes.
    let is_allowed = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'\'' | b'+' | b'_' | b'-' | b'.')
    };
    let is_type = text.len() >= FORM_DATA.len()
        && text[..FORM_DATA.len()].eq_ignore_ascii_case(FORM_DATA)
        && text[FORM_DATA.len()..].trim_start().starts_with(';');
    let is_valid = is_type
        && name.eq_ignore_ascii_case("boundary")
        && (1..=70).contains(&found.len())
        && found.bytes().all(is_allowed);
    is_valid.then_some(found).ok_or_else(invalid)
}

/// Fields in the order of the form.
#[derive(Debug)]
pub(in crate::verify) struct Fields {
    pub(super) fields: Vec<(String, String)>,
    pub(super) file_name: Option<String>,
}

impl Fields {
    /// Returns the value of a field, whose name is compared without regard to case.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| &**value)
    }

    /// Replaces `${filename}` by the name of the file.
    ///
    /// S3 inserts only the text after the last slash or backslash (POST Object, field `key`). A name with a backslash is
    /// rejected before.
    pub(super) fn with_file_name(&self, value: &str) -> String {
        let sent = self.file_name.as_deref().unwrap_or_default();
        value.replace("${filename}", sent.rsplit('/').next().unwrap_or_default())
    }
}

/// Reads the fields as their bytes arrive.
pub(super) struct FieldReader {
    /// Two hyphens and the boundary.
    marker: Vec<u8>,
    buffer: Vec<u8>,
    /// Start of the part that is being read: the end of its marker.
    part: usize,
    /// Headers of that part and the start of its value, once they are read. If each frame parsed them again, long
    /// headers before many small frames would keep the processor busy.
    head: Option<(PartHead, usize)>,
    /// Bytes before this position contain no end of the part's value.
    searched: usize,
    fields: Vec<(String, String)>,
}

impl FieldReader {
    pub(super) fn new(boundary: &str) -> Self {
        Self {
            marker: format!("--{boundary}").into_bytes(),
            buffer: Vec::new(),
            part: 0,
            head: None,
            searched: 0,
            fields: Vec::new(),
        }
    }

    pub(super) fn marker(&self) -> &[u8] {
        &self.marker
    }

    /// Returns the bytes read so far.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    /// Returns the number of bytes that may still come before the file, and one more.
    pub(super) fn capacity(&self) -> usize {
        (MAX_FIELDS + 1).saturating_sub(self.buffer.len())
    }

    /// Adds bytes. Returns the fields and the position of the file's first byte, once it is known.
    pub(super) fn read(&mut self, data: &[u8]) -> Result<Option<(Fields, usize)>, Rejection> {
        self.buffer.extend_from_slice(data);
        loop {
            match self.read_part()? {
                Part::Field => {}
                Part::File(file_name, start) if start <= MAX_FIELDS => {
                    let fields = std::mem::take(&mut self.fields);
                    return Ok(Some((Fields { fields, file_name }, start)));
                }
                Part::Incomplete if self.buffer.len() <= MAX_FIELDS => return Ok(None),
                Part::File(..) | Part::Incomplete => {
                    return Err(malformed(
                        "the form has more than 20 KiB before its file; send fewer fields",
                    ));
                }
            }
        }
    }

    fn read_part(&mut self) -> Result<Part, Rejection> {
        if self.part == 0 {
            let len = self.marker.len();
            if self.buffer.len() < len {
                return Ok(Part::Incomplete);
            }
            if !self.buffer.starts_with(&self.marker) {
                return Err(malformed("the form does not start with its boundary"));
            }
            self.part = len;
            self.searched = len;
        }
        let Some(line) = self.buffer.get(self.part..self.part + 2) else {
            return Ok(Part::Incomplete);
        };
        match line {
            b"\r\n" => {}
            b"--" => return Err(malformed("the form has no field named file")),
            _ => return Err(malformed("a boundary of the form does not end its line")),
        }
        let (head, value) = match self.head.take() {
            Some(known) => known,
            None => {
                let start = self.part + 2;
                let Some(blank) = memmem::find(&self.buffer[start..], b"\r\n\r\n") else {
                    return Ok(Part::Incomplete);
                };
                let parsed = PartHead::parse(&self.buffer[start..start + blank])?;
                (parsed, start + blank + 4)
            }
        };
        if head.name.eq_ignore_ascii_case("file") {
            return Ok(Part::File(head.file_name, value));
        }
        if head.file_name.is_some() {
            return Err(malformed(
                "a field of the form other than file has a filename; name the file's field file",
            ));
        }
        let from = self.searched.max(value);
        let Some(found) = memmem::find(&self.buffer[from..], &self.marker) else {
            self.searched = value.max(self.buffer.len().saturating_sub(self.marker.len()));
            self.head = Some((head, value));
            return Ok(Part::Incomplete);
        };
        let end = from + found;
        if end < value + 2 || &self.buffer[end - 2..end] != b"\r\n" {
            return Err(malformed("a field of the form contains the boundary"));
        }
        let text = str::from_utf8(&self.buffer[value..end - 2])
            .map_err(|_| malformed("a field of the form is not UTF-8"))?;
        if self
            .fields
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(&head.name))
        {
            return Err(malformed("the form has a field twice"));
        }
        self.fields.push((head.name, text.to_owned()));
        self.part = end + self.marker.len();
        self.searched = self.part;
        Ok(Part::Field)
    }
}

enum Part {
    Incomplete,
    Field,
    /// With its name, and the position of its first byte.
    File(Option<String>, usize),
}

/// The headers of a part.
struct PartHead {
    name: String,
    file_name: Option<String>,
}

impl PartHead {
    fn parse(bytes: &[u8]) -> Result<Self, Rejection> {
        let text =
            str::from_utf8(bytes).map_err(|_| malformed("a header in the form is not UTF-8"))?;
        let mut disposition = None;
        let mut has_type = false;
        for line in text.split("\r\n") {
            let (name, value) = line
                .split_once(':')
                .filter(|_| !line.chars().any(char::is_control))
                .ok_or_else(|| malformed("a header in the form is not a name and a value"))?;
            let repeats = match &*name.to_ascii_lowercase() {
                "content-disposition" => disposition.replace(value).is_some(),
                "content-type" => std::mem::replace(&mut has_type, true),
                _ => {
                    return Err(malformed(
                        "a part of the form has a header other than content-disposition and content-type",
                    ));
                }
            };
            if repeats {
                return Err(malformed("a part of the form repeats a header"));
            }
        }
        let parameters = disposition
            .and_then(|value| strip_word(value.trim_start(), "form-data"))
            .ok_or_else(|| malformed("a part of the form has no content-disposition: form-data"))?;
        Self::from_parameters(parameters)
    }

    fn from_parameters(parameters: &str) -> Result<Self, Rejection> {
        let invalid = || {
            malformed(
                "a content-disposition of the form has other parameters than name and filename in quotes, without \
                 backslashes",
            )
        };
        let (mut name, mut file_name) = (None, None);
        let mut rest = parameters.trim_end();
        while !rest.is_empty() {
            let parameter = rest.strip_prefix(';').ok_or_else(invalid)?.trim_start();
            let (key, quoted) = parameter.split_once("=\"").ok_or_else(invalid)?;
            let (value, after) = quoted.split_once('"').ok_or_else(invalid)?;
            let slot = match &*key.to_ascii_lowercase() {
                "name" => &mut name,
                "filename" => &mut file_name,
                _ => return Err(invalid()),
            };
            if value.contains('\\') || slot.replace(value.to_owned()).is_some() {
                return Err(invalid());
            }
            rest = after;
        }
        match name {
            Some(found) if !found.is_empty() => Ok(Self {
                name: found,
                file_name,
            }),
            _ => Err(invalid()),
        }
    }
}

/// Removes a word in any case from the start of a text.
fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let start = text.get(..word.len())?;
    start
        .eq_ignore_ascii_case(word)
        .then(|| text[word.len()..].trim_start())
}

pub(super) fn malformed(message: &'static str) -> Rejection {
    Kind::MalformedForm.rejection(message)
}

/// Returns `true` for a request with a body in another coding, whose bytes are not the form.
pub(super) fn is_encoded(headers: &HeaderMap<HeaderValue>) -> bool {
    headers.contains_key(header::CONTENT_ENCODING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_a_part_are_parsed_once() {
        let mut reader = FieldReader::new("b");
        let head = b"--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\n";
        assert!(reader.read(head).is_ok_and(|found| found.is_none()));
        for _ in 0..3 {
            assert!(reader.read(b"a").is_ok_and(|found| found.is_none()));
            let (parsed, value) = reader.head.as_ref().expect("known");
            assert_eq!((&*parsed.name, *value), ("key", head.len()));
        }
        let next = b"\r\n--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n";
        let (fields, _) = reader.read(next).expect("valid").expect("the file");
        assert_eq!(fields.value("key"), Some("aaa"));
    }
}
