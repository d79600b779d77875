//! Headers of an event.

use std::{collections::BTreeMap, fmt};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use super::{
    EventType,
    header_rules::{is_disallowed, is_read_only},
};
use crate::error::Error;

/// Headers of an event: lists of values by lower-case name.
///
/// `Debug` shows only the names, since values may be credentials.
///
/// ```
/// use tower_sigv4::cloudfront::EdgeHeaders;
///
/// let json = r#"{"x-color": [{"key": "X-Color", "value": "red"}, {"key": "X-Color", "value": "blue"}]}"#;
/// let headers: EdgeHeaders = serde_json::from_str(json)?;
/// assert_eq!(headers.values("X-Color").collect::<Vec<_>>(), ["red", "blue"]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "BTreeMap<String, Vec<EdgeHeader>>")]
pub struct EdgeHeaders(BTreeMap<String, Vec<EdgeHeader>>);

/// One value of a header.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
struct EdgeHeader {
    /// The name as the viewer wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    value: String,
}

impl From<BTreeMap<String, Vec<EdgeHeader>>> for EdgeHeaders {
    fn from(lists: BTreeMap<String, Vec<EdgeHeader>>) -> Self {
        let mut headers = Self::default();
        for (name, values) in lists {
            // AWS documents lower-case names; events of tests may have others.
            let list = headers.0.entry(name.to_ascii_lowercase()).or_default();
            list.extend(values);
        }
        headers
    }
}

impl EdgeHeaders {
    /// Returns the values of a header, in the order of the event. The case of the name does not matter.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let list = self.0.get(&name.to_ascii_lowercase());
        list.into_iter().flatten().map(|header| &*header.value)
    }

    /// Returns the names, in lower case.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }

    /// Replaces the values of a header by one.
    pub(super) fn insert(&mut self, name: &str, value: String) {
        let header = EdgeHeader {
            key: Some(name.to_owned()),
            value,
        };
        self.0.insert(name.to_owned(), vec![header]);
    }

    /// Adds all headers to a map, in place of those of the same names.
    pub(super) fn write_to(&self, map: &mut HeaderMap) -> Result<(), Error> {
        for (name, list) in &self.0 {
            let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
                Error::request(format!(
                    "the event has a header with the invalid name {name:?}"
                ))
            })?;
            map.remove(&parsed);
            for header in list {
                let value = HeaderValue::from_bytes(header.value.as_bytes()).map_err(|_| {
                    Error::request(format!(
                        "header {name:?} of the event has a control character in its value"
                    ))
                })?;
                map.try_append(&parsed, value).map_err(|_| {
                    Error::request("the event has more headers than can be signed; send fewer")
                })?;
            }
        }
        Ok(())
    }

    /// Changes the headers to those of a map, except the ones that CloudFront does not let a function change, and
    /// those in `elsewhere`.
    pub(super) fn update(
        &mut self,
        map: &HeaderMap,
        event_type: EventType,
        elsewhere: &Self,
    ) -> Result<(), Error> {
        self.0.retain(|name, _| {
            is_read_only(name, event_type)
                || elsewhere.0.contains_key(name)
                || (map.contains_key(name.as_str()) && !is_disallowed(name))
        });
        for name in map.keys() {
            let text = name.as_str();
            if is_read_only(text, event_type)
                || is_disallowed(text)
                || elsewhere.0.contains_key(text)
            {
                continue;
            }
            let values = || map.get_all(name).iter().map(HeaderValue::as_bytes);
            if values().eq(self.values(text).map(str::as_bytes)) {
                continue;
            }
            let list: Result<Vec<_>, Error> = values()
                .map(|bytes| {
                    let value = str::from_utf8(bytes).map_err(|_| {
                        Error::request(format!(
                            "header {text:?} is not UTF-8, and cannot be part of an event"
                        ))
                    })?;
                    Ok(EdgeHeader {
                        key: Some(text.to_owned()),
                        value: value.to_owned(),
                    })
                })
                .collect();
            self.0.insert(text.to_owned(), list?);
        }
        Ok(())
    }
}

impl fmt::Debug for EdgeHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
