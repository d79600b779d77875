//! The response to a form whose file is stored.

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts, uri::Scheme};
use tower_sigv4::{origin::ClientAddr, verify::VerifiedForm};
use url::Url;

/// Response that a form asks for (Amazon S3 API Reference, "POST Object", `success_action_redirect` and
/// `success_action_status`).
pub(super) struct FormResponse {
    bucket: String,
    key: String,
    /// Object as the client sees it.
    location: String,
    redirect: Option<Url>,
    status: StatusCode,
}

impl FormResponse {
    /// Reads the fields of the form. `head` is that of PutObject.
    pub(super) fn new(form: &VerifiedForm, head: &Parts) -> Self {
        let field = ["success_action_redirect", "redirect"]
            .into_iter()
            .find_map(|name| form.field(name));
        let is_web = |url: &Url| matches!(url.scheme(), "http" | "https");
        let status = match form.field("success_action_status") {
            Some("200") => StatusCode::OK,
            Some("201") => StatusCode::CREATED,
            _ => StatusCode::NO_CONTENT,
        };
        Self {
            bucket: form.bucket().to_owned(),
            key: form.key().to_owned(),
            location: location(head),
            redirect: field.and_then(|text| Url::parse(text).ok()).filter(is_web),
            status,
        }
    }

    /// Returns the response after that of PutObject. An error stays as it is.
    pub(super) fn after(self, stored: Response) -> Response {
        if !stored.status().is_success() {
            return stored;
        }
        let (mut head, _) = stored.into_parts();
        let etag = text_of(&head.headers, &header::ETAG).to_owned();
        for name in [
            header::CONTENT_LENGTH,
            header::CONTENT_TYPE,
            header::TRANSFER_ENCODING,
        ] {
            head.headers.remove(name);
        }
        let mut body = Body::empty();
        if let Some(mut url) = self.redirect {
            url.query_pairs_mut()
                .append_pair("bucket", &self.bucket)
                .append_pair("key", &self.key)
                .append_pair("etag", &etag);
            head.status = StatusCode::SEE_OTHER;
            set_location(&mut head.headers, url.as_str());
        } else {
            head.status = self.status;
            set_location(&mut head.headers, &self.location);
            if self.status == StatusCode::CREATED {
                body = Body::from(self.document(&etag));
                let xml = HeaderValue::from_static("application/xml");
                head.headers.insert(header::CONTENT_TYPE, xml);
            }
        }
        Response::from_parts(head, body)
    }

    fn document(&self, etag: &str) -> String {
        let elements = [
            ("Location", &*self.location),
            ("Bucket", &*self.bucket),
            ("Key", &*self.key),
            ("ETag", etag),
        ];
        let write = |(name, text)| format!("<{name}>{}</{name}>", quick_xml::escape::escape(text));
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse>{}</PostResponse>",
            elements.map(write).concat()
        )
    }
}

/// Returns the URL of the object, with the host that the client has called.
fn location(head: &Parts) -> String {
    let client = head.extensions.get::<ClientAddr>();
    let scheme = client.and_then(ClientAddr::scheme).unwrap_or(&Scheme::HTTP);
    let host = text_of(&head.headers, &header::HOST);
    format!("{scheme}://{host}{}", head.uri.path())
}

fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}

fn set_location(headers: &mut HeaderMap, url: &str) {
    if let Ok(value) = HeaderValue::from_str(url) {
        headers.insert(header::LOCATION, value);
    }
}
