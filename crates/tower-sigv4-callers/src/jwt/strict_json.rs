//! JSON objects without repeated members.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde_core::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Parses a JSON object.
///
/// Of repeated members, parsers keep the first or the last: a token could have another issuer for us than for the next
/// reader (RFC 8725, section 2.4; RFC 7519, section 4). They are an error, at any depth.
pub(super) fn parse_object(json: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    // `Value` itself keeps the last member. Its parser stays in use, since only it knows the number type that
    // serde_json's feature `arbitrary_precision` selects.
    serde_json::from_slice::<UniqueMembers>(json)?;
    serde_json::from_slice(json)
}

/// Any JSON without repeated members.
struct UniqueMembers;

/// Name of a member, borrowed unless it contains an escape.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for UniqueMembers {
    fn deserialize<D>(deserializer: D) -> Result<Self, D::Error>
    where
        D: Deserializer<'de>,
    {
        deserializer.deserialize_any(ValueVisitor)
    }
}

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D>(deserializer: D) -> Result<Self, D::Error>
    where
        D: Deserializer<'de>,
    {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = UniqueMembers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<UniqueMembers, E> {
        Ok(UniqueMembers)
    }

    fn visit_i64<E>(self, _: i64) -> Result<UniqueMembers, E> {
        Ok(UniqueMembers)
    }

    fn visit_u64<E>(self, _: u64) -> Result<UniqueMembers, E> {
        Ok(UniqueMembers)
    }

    fn visit_f64<E>(self, _: f64) -> Result<UniqueMembers, E> {
        Ok(UniqueMembers)
    }

    fn visit_str<E>(self, _: &str) -> Result<UniqueMembers, E> {
        Ok(UniqueMembers)
    }

    fn visit_unit<E>(self) -> Result<UniqueMembers, E> {
        Ok(UniqueMembers)
    }

    fn visit_seq<A>(self, mut elements: A) -> Result<UniqueMembers, A::Error>
    where
        A: SeqAccess<'de>,
    {
        while elements.next_element::<UniqueMembers>()?.is_some() {}
        Ok(UniqueMembers)
    }

    fn visit_map<A>(self, mut members: A) -> Result<UniqueMembers, A::Error>
    where
        A: MapAccess<'de>,
    {
        let mut names = HashSet::new();
        while let Some(Name(name)) = members.next_key()? {
            if !names.insert(name) {
                return Err(A::Error::custom("repeated member"));
            }
            members.next_value::<UniqueMembers>()?;
        }
        Ok(UniqueMembers)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Borrowed(name)))
    }

    fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Owned(name.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_members_are_rejected_at_any_depth() {
        let rejected = [
            r#"{"iss": "a", "iss": "b"}"#,
            r#"{"iss": "a", "is\u0073": "a"}"#,
            r#"{"a": {"b": 1, "b": 1}}"#,
            r#"{"a": [{"b": 1}, {"b": 1, "c": 2, "b": 3}]}"#,
            r#"{"": 1, "": 2}"#,
        ];
        for json in rejected {
            let error = parse_object(json.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("repeated member"), "{json}");
        }
    }

    #[test]
    fn only_whole_objects_are_accepted() {
        let nested = format!(r#"{{"a": {}1{}}}"#, "[".repeat(200), "]".repeat(200));
        let rejected = [
            "",
            "[]",
            "1",
            "null",
            r#""a""#,
            "{} {}",
            "{",
            "\u{feff}{}",
            &nested,
        ];
        for json in rejected {
            assert!(parse_object(json.as_bytes()).is_err(), "{json}");
        }
        assert!(parse_object(b"{\"a\": \"\xff\"}").is_err());
        let accepted = parse_object(br#"{"a": {"b": 1}, "b": [1, -1, 1.5, true, null, "x"]}"#);
        assert_eq!(accepted.unwrap().len(), 2);
    }
}
