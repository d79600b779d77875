//! Keys in the body of DeleteObjects.

use crate::strict_xml::{Document, Part};

/// Maximum number of objects (Amazon S3 API Reference, DeleteObjects).
const MAX_OBJECTS: usize = 1000;

/// Elements of `Object` beside `Key` (Amazon S3 API Reference, ObjectIdentifier).
const OTHER_FIELDS: [&str; 4] = ["ETag", "LastModifiedTime", "Size", "VersionId"];

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// Returns the keys in the body of DeleteObjects, or `None` for a document that two parsers could read differently:
/// with a document type, comments, CDATA sections, processing instructions, prefixes or unknown elements.
pub(crate) fn object_keys(body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let text = str::from_utf8(body).ok()?;
    let mut document = Document::new(text);
    let mut keys = Vec::new();
    let Part::Start(root, attributes) = document.next_part()? else {
        return None;
    };
    let has_namespace =
        attributes.is_empty() || attributes == [("xmlns".to_owned(), NAMESPACE.to_owned())];
    if root != "Delete" || !has_namespace {
        return None;
    }
    let mut has_quiet = false;
    loop {
        match document.next_part()? {
            Part::Start(name, of_member) if of_member.is_empty() => match name.as_str() {
                "Object" if keys.len() < MAX_OBJECTS => keys.push(object_key(&mut document)?),
                "Quiet" if !has_quiet => {
                    has_quiet = true;
                    let value = document.text()?;
                    matches!(&*value, "true" | "false").then_some(())?;
                }
                _ => return None,
            },
            Part::End => break,
            Part::Start(..) | Part::Eof => return None,
        }
    }
    matches!(document.next_part()?, Part::Eof).then_some(())?;
    (!keys.is_empty()).then_some(keys)
}

/// Reads the fields of an `Object` and returns its key.
fn object_key(document: &mut Document<'_>) -> Option<Vec<u8>> {
    let mut names: Vec<String> = Vec::new();
    let mut key = None;
    loop {
        match document.next_part()? {
            Part::Start(name, attributes) if attributes.is_empty() && !names.contains(&name) => {
                let value = document.text()?;
                if name == "Key" {
                    key = Some(value.into_bytes());
                } else if !OTHER_FIELDS.contains(&&*name) {
                    return None;
                }
                names.push(name);
            }
            Part::End => return key.filter(|it| !it.is_empty()),
            Part::Start(..) | Part::Eof => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(objects: &str) -> Option<Vec<String>> {
        let body = format!("<Delete xmlns=\"{NAMESPACE}\">{objects}</Delete>");
        let found = object_keys(body.as_bytes())?;
        Some(
            found
                .into_iter()
                .map(|key| String::from_utf8(key).expect("UTF-8"))
                .collect(),
        )
    }

    #[test]
    fn keys_are_read_with_their_references() {
        for (objects, expected) in [
            ("<Object><Key>a</Key></Object>", vec!["a"]),
            (
                "<Object><Key>a&amp;b&#x2f;&#50;</Key><VersionId>v</VersionId></Object>\n  <Object><Key>é c</Key></Object>\
                 <Quiet>true</Quiet>",
                vec!["a&b/2", "é c"],
            ),
            (
                "<Object><VersionId>v</VersionId><Key> a </Key><ETag>e</ETag></Object>",
                vec![" a "],
            ),
        ] {
            let expected: Vec<_> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(keys(objects), Some(expected), "{objects}");
        }
        let declared = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Delete><Object><Key>a</Key></Object></Delete>\n";
        assert_eq!(object_keys(declared), Some(vec![b"a".to_vec()]));
    }

    #[test]
    fn ambiguous_documents_are_rejected() {
        for objects in [
            "",
            "<Object></Object>",
            "<Object/>",
            "<Object><Key/></Object>",
            "<Object><Key></Key></Object>",
            "<Object><Key>a</Key><Key>b</Key></Object>",
            "<Object><Key>a<!-- -->b</Key></Object>",
            "<Object><Key><![CDATA[a]]></Key></Object>",
            "<Object><Key>a<?x y?></Key></Object>",
            "<Object><Key>a<b/></Key></Object>",
            "<Object><Key>&x;</Key></Object>",
            "<Object><Key>&#0;</Key></Object>",
            "<Object><Key>a & b</Key></Object>",
            "<Object><Key>a\r\nb</Key></Object>",
            "<Object><Key x=\"y\">a</Key></Object>",
            "<Object><x:Key>a</x:Key></Object>",
            "<Object><key>a</key></Object>",
            "<Object><Key>a</Key><Other>b</Other></Object>",
            "<Object>text<Key>a</Key></Object>",
            "<Object><Key>a</Key></Object><Quiet>true</Quiet><Quiet>false</Quiet>",
            "<Object><Key>a</Key></Object><Quiet>yes</Quiet>",
            "<Object><Key>a</Object></Key>",
            "<Object><Key>a</Key></Object><!-- -->",
            "<Object><Key>a</Key></Object></Delete><Delete>",
        ] {
            assert_eq!(keys(objects), None, "{objects}");
        }
        let object = "<Object><Key>a</Key></Object>";
        for body in [
            format!("<!DOCTYPE Delete [<!ENTITY x \"y\">]><Delete>{object}</Delete>"),
            format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?><Delete>{object}</Delete>"),
            format!("<Delete xmlns=\"other\">{object}</Delete>"),
            format!("<Delete>{object}"),
            format!("<Delete>{object}</Delete>{object}"),
            format!("<Other>{object}</Other>"),
            format!("<Delete>{}</Delete>", object.repeat(MAX_OBJECTS + 1)),
            object.to_owned(),
            String::new(),
        ] {
            assert_eq!(object_keys(body.as_bytes()), None, "{body:.80}");
        }
        assert_eq!(
            object_keys(b"<Delete><Object><Key>\xff</Key></Object></Delete>"),
            None
        );
        let most = format!("<Delete>{}</Delete>", object.repeat(MAX_OBJECTS));
        assert_eq!(
            object_keys(most.as_bytes()).map(|keys| keys.len()),
            Some(MAX_OBJECTS)
        );
    }
}
