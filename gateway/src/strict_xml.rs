//! XML without anything that two parsers could read differently.

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesRef, BytesStart, Event},
};

/// A document that no two parsers read differently.
pub(crate) struct Document<'a> {
    reader: Reader<&'a [u8]>,
    /// `true` before the first event, which may be the XML declaration.
    is_first: bool,
}

/// A tag.
pub(crate) enum Part {
    /// Name and attributes.
    Start(String, Vec<(String, String)>),
    End,
    Eof,
}

impl<'a> Document<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            reader: Reader::from_str(text),
            is_first: true,
        }
    }

    /// Returns the next tag. Only whitespace may be before it.
    ///
    /// `None` stands for a document type, a comment, a CDATA section, a processing instruction and an empty element.
    pub(crate) fn next_part(&mut self) -> Option<Part> {
        loop {
            let is_first = std::mem::replace(&mut self.is_first, false);
            match self.reader.read_event().ok()? {
                Event::Start(tag) => return start(&tag),
                Event::End(_) => return Some(Part::End),
                Event::Eof => return Some(Part::Eof),
                Event::Text(text) => is_blank(&text.into_inner()).then_some(())?,
                Event::Decl(declaration) if is_first => {
                    let encoding = declaration.encoding();
                    let is_utf_8 = encoding
                        .is_none_or(|it| it.is_ok_and(|name| name.eq_ignore_ascii_case("utf-8")));
                    is_utf_8.then_some(())?;
                }
                _ => return None,
            }
        }
    }

    /// Returns the text of an element, and reads its end.
    pub(crate) fn text(&mut self) -> Option<String> {
        let mut value = String::new();
        loop {
            match self.reader.read_event().ok()? {
                Event::Text(text) => {
                    let part = text.into_inner();
                    // Parsers normalize line breaks.
                    if part.contains(|letter: char| letter.is_ascii_control()) {
                        return None;
                    }
                    value.push_str(&part);
                }
                Event::GeneralRef(reference) => value.push(character(&reference)?),
                Event::End(_) => return Some(value),
                _ => return None,
            }
        }
    }
}

fn start(tag: &BytesStart<'_>) -> Option<Part> {
    let mut attributes = Vec::new();
    for attribute in tag.attributes() {
        let found = attribute.ok()?;
        let value = found.normalized_value(XmlVersion::Explicit1_0).ok()?;
        attributes.push((found.key.into_inner().to_owned(), value.into_owned()));
    }
    Some(Part::Start(tag.name().into_inner().to_owned(), attributes))
}

/// Returns the character of a reference: a number, or one of the five names of XML 1.0, section 4.6.
fn character(reference: &BytesRef<'_>) -> Option<char> {
    if let Some(numeric) = reference.resolve_char_ref().ok()? {
        return Some(numeric);
    }
    Some(match &*reference.borrow().into_inner() {
        "amp" => '&',
        "apos" => '\'',
        "gt" => '>',
        "lt" => '<',
        "quot" => '"',
        _ => return None,
    })
}

fn is_blank(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}
