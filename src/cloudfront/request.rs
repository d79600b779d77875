//! The request of an event.

use std::fmt;

use http::{Method, Request, Uri, request::Parts, uri::PathAndQuery};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{EdgeHeaders, EdgeOrigin};
use crate::{
    error::Error,
    sigv4::{encode, request_target},
};

/// The request of an event. Fields that this type does not know are kept.
///
/// `Debug` shows neither values of headers, nor the query, nor the body.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EdgeRequest {
    /// IP address of the viewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<String>,
    /// The method.
    pub method: String,
    /// The path without that of the origin, percent-encoded as the viewer sent it.
    pub uri: String,
    /// The query without its question mark; may be empty.
    #[serde(default)]
    pub querystring: String,
    /// The headers.
    #[serde(default)]
    pub headers: EdgeHeaders,
    /// The body, if the function's trigger has *Include body*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<EdgeBody>,
    /// The origin, in origin requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<EdgeOrigin>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// The body of a request in an event.
///
/// `Debug` shows the length of the data.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EdgeBody {
    /// `true` if CloudFront has cut the data: at 1 MB in an origin request, at 40 KB in a viewer request.
    #[serde(default)]
    pub input_truncated: bool,
    /// `read-only` if CloudFront sends the viewer's body, `replace` if it sends [`data`](EdgeBody::data).
    #[serde(default)]
    pub action: String,
    /// `base64` or `text`.
    #[serde(default)]
    pub encoding: String,
    /// The body in this encoding.
    #[serde(default)]
    pub data: String,
}

impl EdgeRequest {
    /// Returns the head, with the origin's custom headers in place of those of the same names, as CloudFront sends
    /// them (Amazon CloudFront Developer Guide, "Adding custom headers to origin requests").
    pub(super) fn head(&self) -> Result<Parts, Error> {
        let method = Method::from_bytes(self.method.as_bytes())
            .map_err(|_| Error::request("the event has an invalid method"))?;
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = method;
        head.uri = Uri::from(self.path_and_query()?);
        self.headers.write_to(&mut head.headers)?;
        if let Some(custom) = self.origin.as_ref().and_then(EdgeOrigin::custom_headers) {
            custom.write_to(&mut head.headers)?;
        }
        Ok(head)
    }

    fn path_and_query(&self) -> Result<PathAndQuery, Error> {
        if !self.uri.starts_with('/') {
            return Err(Error::request(
                "the event's uri does not begin with a slash",
            ));
        }
        let mut target = encode::escape(&self.uri, encode::ILLEGAL_IN_PATH).into_owned();
        if !self.querystring.is_empty() {
            target.push('?');
            target += &encode::escape(&self.querystring, encode::ILLEGAL_IN_QUERY);
        }
        request_target::path_and_query(target)
    }

    /// Returns the JSON that a function returns.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings are keys")
    }
}

impl fmt::Debug for EdgeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeRequest")
            .field("method", &self.method)
            .field("uri", &self.uri)
            .field("headers", &self.headers)
            .field("body", &self.body)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EdgeBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeBody")
            .field("input_truncated", &self.input_truncated)
            .field("action", &self.action)
            .field("encoding", &self.encoding)
            .field("data_len", &self.data.len())
            .finish()
    }
}
