//! Formats of error responses.

use std::fmt::Write;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

/// Format of the error responses that [`VerifyLayer`](crate::VerifyLayer) and
/// [`ErrorResponseLayer`](crate::sign::ErrorResponseLayer) create.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorFormat {
    /// A JSON object with a `message`, and the error code in `x-amzn-errortype` and `__type`.
    ///
    /// SDKs read it for all services with a JSON protocol, but not for STS, IAM and other services with a query
    /// protocol.
    Json,
    /// The XML document of Amazon S3: `Error` with `Code` and `Message`.
    Xml,
    /// The message as plain text.
    Plain,
}

impl ErrorFormat {
    /// Returns a response with this body, and the headers of the format.
    pub(crate) fn response<R>(
        self,
        status: StatusCode,
        code: &'static str,
        body: String,
    ) -> Response<R>
    where
        R: From<Bytes>,
    {
        let content_type = match self {
            Self::Json => "application/json",
            Self::Xml => "application/xml",
            Self::Plain => "text/plain; charset=utf-8",
        };
        let mut response = Response::new(R::from(body.into()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if self == Self::Json {
            headers.insert("x-amzn-errortype", HeaderValue::from_static(code));
        }
        response
    }

    /// Returns the code for a status in this format.
    pub(crate) fn code(self, status: StatusCode) -> &'static str {
        let (json_code, xml_code) = codes(status);
        match self {
            Self::Json | Self::Plain => json_code,
            Self::Xml => xml_code,
        }
    }

    /// Returns a body with this code and message.
    pub(crate) fn body(self, code: &str, message: &str) -> String {
        match self {
            Self::Json => format!(
                "{{\"__type\":{},\"message\":{}}}",
                json_string(code),
                json_string(message)
            ),
            Self::Xml => xml_document(&[("Code", code), ("Message", message)]),
            Self::Plain => message.to_owned(),
        }
    }
}

/// Returns the codes in JSON, as API Gateway names them, and in XML, as Amazon S3 names them.
fn codes(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::BAD_REQUEST => ("BadRequestException", "InvalidRequest"),
        StatusCode::FORBIDDEN => ("ForbiddenException", "AccessDenied"),
        StatusCode::NOT_FOUND => ("NotFoundException", "NotFound"),
        StatusCode::LENGTH_REQUIRED => ("LengthRequiredException", "MissingContentLength"),
        StatusCode::PAYLOAD_TOO_LARGE => ("RequestEntityTooLargeException", "EntityTooLarge"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            ("UnsupportedMediaTypeException", "UnsupportedMediaType")
        }
        StatusCode::BAD_GATEWAY => ("BadGatewayException", "BadGateway"),
        StatusCode::SERVICE_UNAVAILABLE => ("ServiceUnavailableException", "ServiceUnavailable"),
        StatusCode::GATEWAY_TIMEOUT => ("GatewayTimeoutException", "GatewayTimeout"),
        StatusCode::INSUFFICIENT_STORAGE => ("InsufficientStorageException", "InsufficientStorage"),
        _ => ("InternalServerErrorException", "InternalError"),
    }
}

/// Writes a JSON string (RFC 8259, section 7), since `serde_json` is optional.
fn json_string(text: &str) -> String {
    let mut json = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            '\n' => json.push_str("\\n"),
            control if control < ' ' => {
                let _ = write!(json, "\\u{:04x}", u32::from(control));
            }
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

/// Writes an `Error` with these elements.
pub(crate) fn xml_document(elements: &[(&str, &str)]) -> String {
    let mut document = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
    for (name, content) in elements {
        document += &format!("<{name}>{}</{name}>", xml_text(content));
    }
    document + "</Error>"
}

/// Escapes character data (XML 1.0, sections 2.2 and 2.4).
fn xml_text(text: &str) -> String {
    let is_invalid =
        |c: char| c < ' ' && !"\t\n\r".contains(c) || matches!(c, '\u{fffe}' | '\u{ffff}');
    text.replace(is_invalid, "\u{fffd}")
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped() {
        let message = "path \"/a\\b\" & <c>\n\u{1}é";
        assert_eq!(
            ErrorFormat::Json.body("Code", message),
            r#"{"__type":"Code","message":"path \"/a\\b\" & <c>\n\u0001é"}"#,
        );
        assert!(
            ErrorFormat::Xml.body("Code", message).ends_with(
                "<Error><Code>Code</Code><Message>path \"/a\\b\" &amp; &lt;c&gt;\n\u{fffd}é</Message></Error>"
            )
        );
        assert_eq!(ErrorFormat::Plain.body("Code", message), message);
    }
}
