//! The documents, and the headers that belong to them.

use std::fmt::Write;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::{
    ErrorContext, ErrorFormat,
    codes::{access_denied_code, code_of_status},
    context::JsonType,
};

/// Value of `HostId`, which shows that the error is not one of Amazon S3 itself.
const HOST_ID: &str = "tower-sigv4";

/// Content of an error response.
pub(crate) struct ErrorFields<'a> {
    status: StatusCode,
    code: &'static str,
    message: &'a str,
    /// Further elements of S3's document: names and contents.
    s3_elements: &'a [(&'static str, &'a str)],
    /// Region that S3's clients should sign for.
    s3_region: Option<&'a str>,
}

impl<'a> ErrorFields<'a> {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: &'a str) -> Self {
        Self {
            status,
            code,
            message,
            s3_elements: &[],
            s3_region: None,
        }
    }

    pub(crate) fn with_s3_elements(mut self, elements: &'a [(&'static str, &'a str)]) -> Self {
        self.s3_elements = elements;
        self
    }

    pub(crate) fn with_s3_region(mut self, region: Option<&'a str>) -> Self {
        self.s3_region = region;
        self
    }
}

impl ErrorContext {
    /// Returns a response with this message, and with the error code that belongs to the status.
    ///
    /// The response to HEAD has no body; its code is in `x-amz-error-code` for S3, and in `x-amzn-errortype`
    /// elsewhere.
    #[must_use]
    pub fn response<R>(&self, status: StatusCode, message: &str) -> Response<R>
    where
        R: From<Bytes>,
    {
        self.write(&ErrorFields::new(
            status,
            code_of_status(self.format, status),
            message,
        ))
    }

    /// Returns a response to an authenticated caller that is not allowed to send this request, with status 403 and the
    /// code that the SDKs know: `AccessDeniedException` in JSON and CBOR, `UnauthorizedOperation` for Amazon EC2, and
    /// `AccessDenied` elsewhere.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::{Request, Response};
    /// use tower_sigv4::error_response::{ErrorContext, ErrorFormat};
    ///
    /// let context = ErrorContext::new(&Request::new(()), ErrorFormat::Json);
    /// let response: Response<Bytes> = context.access_denied("caller AKID is not allowed to GET");
    /// assert_eq!(response.status(), 403);
    /// assert_eq!(response.headers()["x-amzn-errortype"], "AccessDeniedException");
    /// ```
    #[must_use]
    pub fn access_denied<R>(&self, message: &str) -> Response<R>
    where
        R: From<Bytes>,
    {
        let code = access_denied_code(self.format);
        self.write(&ErrorFields::new(StatusCode::FORBIDDEN, code, message))
    }

    pub(crate) fn write<R>(&self, error: &ErrorFields<'_>) -> Response<R>
    where
        R: From<Bytes>,
    {
        let id = self.request_id();
        let body = if self.is_head {
            Bytes::new()
        } else {
            self.body(error, id.to_str().unwrap_or_default())
        };
        let mut response = Response::new(R::from(body));
        *response.status_mut() = error.status;
        self.write_headers(response.headers_mut(), error, id);
        response
    }

    fn body(&self, error: &ErrorFields<'_>, id: &str) -> Bytes {
        let ErrorFields { code, message, .. } = *error;
        match self.format {
            ErrorFormat::Json => json_document(code, message).into(),
            ErrorFormat::Cbor => cbor_document(code, message).into(),
            ErrorFormat::Xml => s3_document(error, id),
            ErrorFormat::Query => {
                let side = if error.status.is_client_error() {
                    "Sender"
                } else {
                    "Receiver"
                };
                let fields = elements(&[("Type", side), ("Code", code), ("Message", message)]);
                let request = elements(&[("RequestId", id)]);
                document(&format!(
                    "<ErrorResponse><Error>{fields}</Error>{request}</ErrorResponse>"
                ))
            }
            ErrorFormat::Ec2 => {
                let fields = elements(&[("Code", code), ("Message", message)]);
                let request = elements(&[("RequestID", id)]);
                document(&format!(
                    "<Response><Errors><Error>{fields}</Error></Errors>{request}</Response>"
                ))
            }
            ErrorFormat::Plain => message.to_owned().into(),
        }
    }

    fn write_headers(&self, headers: &mut HeaderMap, error: &ErrorFields<'_>, id: HeaderValue) {
        let mut set = |name: HeaderName, value: HeaderValue| {
            headers.insert(name, value);
        };
        set(
            header::CONTENT_TYPE,
            HeaderValue::from_static(self.content_type()),
        );
        let code = HeaderValue::from_static(error.code);
        if self.format == ErrorFormat::Xml {
            set(HeaderName::from_static("x-amz-request-id"), id);
            set(
                HeaderName::from_static("x-amz-id-2"),
                HeaderValue::from_static(HOST_ID),
            );
            if let Some(region) = error.s3_region.and_then(|name| name.parse().ok()) {
                set(HeaderName::from_static("x-amz-bucket-region"), region);
            }
            if self.is_head {
                set(HeaderName::from_static("x-amz-error-code"), code);
            }
            return;
        }
        set(HeaderName::from_static("x-amzn-requestid"), id);
        if self.format == ErrorFormat::Cbor {
            set(
                HeaderName::from_static("smithy-protocol"),
                HeaderValue::from_static("rpc-v2-cbor"),
            );
        }
        if self.has_query_mode && self.format != ErrorFormat::Query {
            let side = if error.status.is_client_error() {
                "Sender"
            } else {
                "Receiver"
            };
            if let Ok(value) = format!("{};{side}", error.code).parse() {
                set(HeaderName::from_static("x-amzn-query-error"), value);
            }
        }
        if matches!(self.format, ErrorFormat::Json | ErrorFormat::Cbor) || self.is_head {
            set(HeaderName::from_static("x-amzn-errortype"), code);
        }
    }

    fn content_type(&self) -> &'static str {
        match (self.format, self.media_type) {
            (ErrorFormat::Json, JsonType::Plain) => "application/json",
            (ErrorFormat::Json, JsonType::Amz10) => "application/x-amz-json-1.0",
            (ErrorFormat::Json, JsonType::Amz11) => "application/x-amz-json-1.1",
            (ErrorFormat::Cbor, _) => "application/cbor",
            (ErrorFormat::Xml, _) => "application/xml",
            (ErrorFormat::Query | ErrorFormat::Ec2, _) => "text/xml",
            (ErrorFormat::Plain, _) => "text/plain; charset=utf-8",
        }
    }
}

fn s3_document(error: &ErrorFields<'_>, id: &str) -> Bytes {
    let first = elements(&[("Code", error.code), ("Message", error.message)]);
    let region: &[_] = match error.s3_region {
        Some(name) => &[("Region", name)],
        None => &[],
    };
    document(&format!(
        "<Error>{first}{}{}{}</Error>",
        elements(region),
        elements(error.s3_elements),
        elements(&[("RequestId", id), ("HostId", HOST_ID)]),
    ))
}

fn document(root: &str) -> Bytes {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{root}").into()
}

fn elements(fields: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, content) in fields {
        let _ = write!(text, "<{name}>{}</{name}>", xml_text(content));
    }
    text
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

/// Returns the document of [`ErrorFormat::Json`].
pub(crate) fn json_document(code: &str, message: &str) -> String {
    format!(
        "{{\"__type\":{},\"message\":{}}}",
        json_string(code),
        json_string(message)
    )
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

/// Writes a map of two texts (RFC 8949, section 3.1).
fn cbor_document(code: &str, message: &str) -> Vec<u8> {
    let mut cbor = vec![0xa2];
    for text in ["__type", code, "message", message] {
        cbor_text(&mut cbor, text);
    }
    cbor
}

fn cbor_text(cbor: &mut Vec<u8>, text: &str) {
    const TEXT: u8 = 3 << 5;
    match text.len() {
        len @ 0..24 => cbor.push(TEXT | len as u8),
        len @ 24..0x100 => cbor.extend([TEXT | 24, len as u8]),
        len @ 0x100..0x1_0000 => {
            cbor.push(TEXT | 25);
            cbor.extend((len as u16).to_be_bytes());
        }
        len => {
            cbor.push(TEXT | 27);
            cbor.extend((len as u64).to_be_bytes());
        }
    }
    cbor.extend(text.as_bytes());
}
