use serde::Serialize;

use super::EdgeHeaders;
use crate::{
    error::Error,
    error_response::{ErrorFormat, code_of_status, json_document},
};

/// A response that a function returns in place of the request (Amazon CloudFront Developer Guide, "Generate HTTP
/// responses in request triggers").
///
/// ```
/// use tower_sigv4::cloudfront::{EdgeEvent, EdgeResponse};
///
/// let error = EdgeEvent::from_json(b"{}").unwrap_err();
/// let response = EdgeResponse::from_error(&error);
/// assert_eq!(response.status(), 400);
/// assert!(response.to_json().starts_with(r#"{"status":"400","statusDescription":"Bad Request""#));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[must_use]
pub struct EdgeResponse {
    status: String,
    status_description: &'static str,
    headers: EdgeHeaders,
    body_encoding: &'static str,
    body: String,
}

impl EdgeResponse {
    /// Creates the response for an error: its [status](Error::status), its message in JSON, and `no-store`, since
    /// CloudFront caches responses of origin request functions.
    ///
    /// The message contains no secret, but may name the origin's host.
    pub fn from_error(error: &Error) -> Self {
        let status = error.status();
        let code = code_of_status(ErrorFormat::Json, status);
        let mut headers = EdgeHeaders::default();
        headers.insert("cache-control", "no-store".to_owned());
        headers.insert("content-type", "application/json".to_owned());
        Self {
            status: status.as_str().to_owned(),
            status_description: status.canonical_reason().unwrap_or_default(),
            headers,
            body_encoding: "text",
            body: json_document(code, &error.to_string()),
        }
    }

    /// Returns the HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status.parse().unwrap_or_default()
    }

    /// Returns the JSON that a function returns.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings are keys")
    }
}
