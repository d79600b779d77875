//! Tags of an object, from the XML of a form to the query form of a header.

use url::form_urlencoded::Serializer;

use crate::strict_xml::{Document, Part};

/// Returns the value of `x-amz-tagging` (Amazon S3 API Reference, PutObject) for the field `tagging` ("POST Object").
pub(super) fn tags_in_query_form(xml: &str) -> Option<String> {
    let mut document = Document::new(xml);
    open(&mut document, "Tagging")?;
    open(&mut document, "TagSet")?;
    let mut query = Serializer::new(String::new());
    loop {
        match document.next_part()? {
            Part::Start(name, _) if name == "Tag" => {
                let (key, value) = tag(&mut document)?;
                query.append_pair(&key, &value);
            }
            Part::End => break,
            Part::Start(..) | Part::Eof => return None,
        }
    }
    let (Part::End, Part::Eof) = (document.next_part()?, document.next_part()?) else {
        return None;
    };
    Some(query.finish())
}

fn open(document: &mut Document<'_>, expected: &str) -> Option<()> {
    matches!(document.next_part()?, Part::Start(name, _) if name == expected).then_some(())
}

fn tag(document: &mut Document<'_>) -> Option<(String, String)> {
    let (mut key, mut value) = (None, None);
    loop {
        match document.next_part()? {
            Part::Start(name, _) if name == "Key" && key.is_none() => key = Some(document.text()?),
            Part::Start(name, _) if name == "Value" && value.is_none() => {
                value = Some(document.text()?);
            }
            Part::End => return key.zip(value),
            Part::Start(..) | Part::Eof => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_written_as_a_query() {
        let tag =
            |key: &str, value: &str| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>");
        let tagging = |tags: &str| format!("<Tagging><TagSet>{tags}</TagSet></Tagging>");
        for (tags, expected) in [
            (String::new(), Some("")),
            (tag("a", "b"), Some("a=b")),
            (tag("a&amp;b", "c d") + &tag("e", ""), Some("a%26b=c+d&e=")),
            ("<Tag><Key>a</Key></Tag>".to_owned(), None),
            ("<Other/>".to_owned(), None),
        ] {
            assert_eq!(
                tags_in_query_form(&tagging(&tags)).as_deref(),
                expected,
                "{tags}"
            );
        }
        for other in [
            "",
            "a=b",
            "<Tagging></Tagging>",
            "<!DOCTYPE a><Tagging><TagSet></TagSet></Tagging>",
        ] {
            assert_eq!(tags_in_query_form(other), None, "{other}");
        }
    }
}
