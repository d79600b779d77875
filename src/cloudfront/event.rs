//! The event that CloudFront passes to a function.

use bytes::Bytes;
use http::{Request, request::Parts};
use serde::Deserialize;

use super::{EdgeHeaders, EdgeOrigin, EdgeRequest, EventType};
use crate::error::{Error, ErrorKind};

/// A *viewer request* or *origin request* event of CloudFront (Amazon CloudFront Developer Guide, "Lambda@Edge event
/// structure").
///
/// ```
/// use tower_sigv4::cloudfront::{EdgeEvent, EventType};
///
/// let event = EdgeEvent::from_json(br#"{"Records": [{"cf": {
///     "config": {"eventType": "viewer-request"},
///     "request": {"method": "GET", "uri": "/orders", "querystring": "id=1", "headers": {}}
/// }}]}"#)?;
/// assert_eq!(event.config.event_type, EventType::ViewerRequest);
/// assert_eq!(event.to_http()?.uri(), "/orders?id=1");
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EdgeEvent {
    /// The distribution and the type of the event.
    pub config: EdgeConfig,
    /// The request, which the function returns.
    pub request: EdgeRequest,
}

/// The distribution and the type of an event.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EdgeConfig {
    /// Domain name of the distribution, such as `d111111abcdef8.cloudfront.net`.
    pub distribution_domain_name: Option<String>,
    /// ID of the distribution.
    pub distribution_id: Option<String>,
    /// Type of the event.
    pub event_type: EventType,
    /// ID of the request in CloudFront's logs.
    pub request_id: Option<String>,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    cf: CloudFront,
}

#[derive(Deserialize)]
struct CloudFront {
    config: Config,
    request: EdgeRequest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    distribution_domain_name: Option<String>,
    distribution_id: Option<String>,
    event_type: String,
    request_id: Option<String>,
}

impl EdgeEvent {
    /// Parses the JSON of an event, which has one record.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Request`] if it is not such an event. The message names the place in the JSON, and no value.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        let parsed: Envelope =
            serde_json::from_slice(json).map_err(|error| invalid_json(&error))?;
        let [record] = <[Record; 1]>::try_from(parsed.records).map_err(|records| {
            Error::request(format!(
                "the event has {} records; CloudFront sends one",
                records.len()
            ))
        })?;
        let CloudFront { config, request } = record.cf;
        let event_type = EventType::parse(&config.event_type)?;
        Ok(Self {
            config: EdgeConfig {
                distribution_domain_name: config.distribution_domain_name,
                distribution_id: config.distribution_id,
                event_type,
                request_id: config.request_id,
            },
            request,
        })
    }

    /// Converts to the request that CloudFront sends, without the origin's path and with its custom headers.
    ///
    /// The URI has no host. Bytes that no URI may hold are percent-encoded. The body is empty if the event has none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Request`] if the method, the URI or a header is invalid or the body is not encoded as it says, and
    /// [`ErrorKind::BodyTooLarge`] if CloudFront has truncated the body.
    pub fn to_http(&self) -> Result<Request<Bytes>, Error> {
        let body = match &self.request.body {
            Some(body) => body.decode()?,
            None => Bytes::new(),
        };
        Ok(Request::from_parts(self.request.head()?, body))
    }

    /// Returns the event's request with another head, whose path has no prefix of the origin.
    ///
    /// Headers that AWS calls read-only are those of the event, and headers that it does not allow are left out
    /// (Amazon CloudFront Developer Guide, "Restrictions on all edge functions"). The origin, its custom headers, the
    /// body and unknown fields stay as they are.
    ///
    /// ```
    /// use tower_sigv4::cloudfront::EdgeEvent;
    ///
    /// let event = EdgeEvent::from_json(br#"{"Records": [{"cf": {
    ///     "config": {"eventType": "origin-request"},
    ///     "request": {"method": "GET", "uri": "/", "headers": {"via": [{"key": "Via", "value": "1.1 a"}]}}
    /// }}]}"#)?;
    /// let (mut head, _) = event.to_http()?.into_parts();
    /// head.headers.remove("via");
    /// head.headers.insert("x-color", "red".parse().unwrap());
    ///
    /// let request = event.into_request(&head)?;
    /// assert_eq!(request.headers.names().collect::<Vec<_>>(), ["via", "x-color"]);
    /// # Ok::<(), tower_sigv4::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Request`] if a header is not UTF-8, or path and query have 8,192 bytes or more, which CloudFront
    /// rejects.
    pub fn into_request(self, head: &Parts) -> Result<EdgeRequest, Error> {
        let Self {
            config,
            mut request,
        } = self;
        let length = head
            .uri
            .path_and_query()
            .map_or(0, |target| target.as_str().len());
        if length >= MAX_URI {
            return Err(Error::request(format!(
                "path and query have {length} bytes, and CloudFront accepts fewer than {MAX_URI}"
            )));
        }
        head.method.as_str().clone_into(&mut request.method);
        head.uri.path().clone_into(&mut request.uri);
        head.uri
            .query()
            .unwrap_or_default()
            .clone_into(&mut request.querystring);
        let none = EdgeHeaders::default();
        let custom = request.origin.as_ref().and_then(EdgeOrigin::custom_headers);
        request
            .headers
            .update(&head.headers, config.event_type, custom.unwrap_or(&none))?;
        Ok(request)
    }
}

/// Limit of CloudFront for path and query (same page, "URI").
const MAX_URI: usize = 8192;

/// Names the place, and not the value, which may be a secret.
fn invalid_json(error: &serde_json::Error) -> Error {
    let problem = if error.is_data() {
        "is not one of CloudFront"
    } else {
        "is not valid JSON"
    };
    Error::new(
        ErrorKind::Request,
        format!(
            "the event {problem}, at line {} and column {}; pass the event as the function receives it",
            error.line(),
            error.column(),
        ),
    )
}
