use std::time::SystemTime;

use http::{HeaderName, HeaderValue, Uri, header, request::Parts, uri::PathAndQuery};

use super::{
    EdgeEvent, EdgeRequest, EdgeSettings, EventType, body::payload_hash,
    settings::unsupported_payload,
};
use crate::{
    Origin,
    error::{Error, ErrorKind},
    origin::{self, LargeBody, Sending},
    sigv4::{Identity, Payload, Signer, SigningParams, request_target},
};

/// Signs the requests of events as CloudFront sends them to the origin.
///
/// Create one and share it. The caller passes the time, since a build for WebAssembly has no
/// clock.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use tower_sigv4::{
///     cloudfront::{EdgeEvent, EdgeSettings, EdgeSigner},
///     credentials::Credentials,
///     sigv4::Identity,
/// };
///
/// let event = EdgeEvent::from_json(br#"{"Records": [{"cf": {
///     "config": {"eventType": "origin-request"},
///     "request": {
///         "method": "GET", "uri": "/orders", "querystring": "q=a+b",
///         "headers": {"host": [{"key": "Host", "value": "api.example.com"}]},
///         "origin": {"custom": {
///             "domainName": "abc123.execute-api.us-east-1.amazonaws.com", "path": "/prod", "port": 443,
///             "protocol": "https", "customHeaders": {}
///         }}
///     }
/// }}]}"#)?;
/// let signer = EdgeSigner::new(EdgeSettings::new());
/// let identity = Identity::new(Credentials::new("AKIDEXAMPLE", "secret", None, None, "example"))?;
/// let request = signer.sign(event, &identity, UNIX_EPOCH + Duration::from_secs(1_440_938_160))?;
///
/// assert_eq!(request.uri, "/orders"); // CloudFront adds /prod, which the signature covers
/// assert_eq!(request.querystring, "q=a%20b");
/// let value = |name| request.headers.values(name).next().unwrap();
/// assert_eq!(value("host"), "abc123.execute-api.us-east-1.amazonaws.com");
/// assert!(value("authorization").starts_with(
///     "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/execute-api/aws4_request, "
/// ));
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
#[derive(Debug)]
pub struct EdgeSigner {
    settings: EdgeSettings,
    signer: Signer,
}

impl EdgeSigner {
    /// Creates a signer.
    #[must_use]
    pub fn new(settings: EdgeSettings) -> Self {
        Self {
            settings,
            signer: Signer::new(),
        }
    }

    /// Signs the request of an event, and returns the request that the function returns.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Config`] if the event names no origin that can be signed for, or the distribution is not set up
    ///   for it; the message names the host and the setting
    /// - [`ErrorKind::Request`], [`ErrorKind::PayloadMismatch`] or [`ErrorKind::UnsupportedBody`] if the request
    ///   cannot be signed unambiguously
    /// - [`ErrorKind::BodyTooLarge`] if CloudFront has truncated the body
    /// - [`ErrorKind::Credentials`] if the credentials have expired
    pub fn sign(
        &self,
        mut event: EdgeEvent,
        identity: &Identity,
        now: SystemTime,
    ) -> Result<EdgeRequest, Error> {
        check_expiry(identity, now)?;
        let origin = self.origin(&event)?;
        let options = origin.options();
        let mut head = event.request.head()?;
        let signs = options.signs(&head);
        let payload = if signs {
            Some(payload(&origin, &event.request, &head, now)?)
        } else {
            None
        };
        if signs && let Some(name) = &self.settings.moved_authorization {
            move_authorization(&mut head, name);
        }
        let resolved = origin.clone().into();
        origin::rewrite(&mut head, &resolved, signs)?;
        if let Some(declared) = payload {
            check_signed_values(&head, &origin)?;
            let params = SigningParams::new(&options.settings, identity, declared, now);
            self.signer.sign(&mut head, &params)?;
        }
        remove_prefix(&mut head, origin.prefix())?;
        if event.config.event_type == EventType::OriginRequest
            && let Some(named) = &mut event.request.origin
        {
            named.set_path(origin.prefix());
        }
        event.into_request(&head)
    }

    /// As [`sign`](EdgeSigner::sign), from the JSON of an event to the JSON of the request.
    ///
    /// # Errors
    ///
    /// Those of [`sign`](EdgeSigner::sign), and [`ErrorKind::Request`] if the JSON is not such an event.
    pub fn sign_json(
        &self,
        event: &[u8],
        identity: &Identity,
        now: SystemTime,
    ) -> Result<String, Error> {
        let request = self.sign(EdgeEvent::from_json(event)?, identity, now)?;
        Ok(request.to_json())
    }

    fn origin(&self, event: &EdgeEvent) -> Result<Origin, Error> {
        match event.config.event_type {
            EventType::OriginRequest => {
                let named = event.request.origin.as_ref().ok_or_else(|| {
                    Error::config("the event has no origin; pass the event as the function receives it")
                })?;
                let origin = named.resolve(self.settings.signing.as_ref())?;
                Ok(match self.settings.payload {
                    Some(mode) => origin.with_payload(mode),
                    None => origin,
                })
            }
            EventType::ViewerRequest => self.settings.viewer_origin.clone().ok_or_else(|| {
                Error::config(
                    "a viewer request names no origin; set one by `EdgeSettings::with_viewer_origin`",
                )
            }),
        }
    }
}

fn check_expiry(identity: &Identity, now: SystemTime) -> Result<(), Error> {
    match identity.credentials().expiry() {
        Some(expiry) if expiry <= now => Err(Error::new(
            ErrorKind::Credentials,
            "the credentials have expired; pass those of the function's current environment",
        )),
        _ => Ok(()),
    }
}

/// Returns the payload that the signature declares.
fn payload(
    origin: &Origin,
    request: &EdgeRequest,
    head: &Parts,
    now: SystemTime,
) -> Result<Payload, Error> {
    let plan = origin.body_plan_at_edge(head)?;
    if plan.client.is_some() {
        return Err(Error::new(
            ErrorKind::UnsupportedBody,
            "the body is framed as aws-chunked, which a function at the edge cannot change; disable chunked signing in \
             the client",
        ));
    }
    if let Some(url) = &plan.presigned {
        url.remaining(now)?;
    }
    match plan.sending {
        Sending::Collect { .. } | Sending::Large(LargeBody::Unsigned, _) => {
            Ok(payload_hash(request, head)?.into())
        }
        Sending::Compare(comparison) => {
            if let Some(declared) = comparison.hash_to_compare(None)?
                && !declared.ct_eq(&payload_hash(request, head)?)
            {
                return Err(Error::new(
                    ErrorKind::PayloadMismatch,
                    "the event's body is not the one that the client has signed",
                ));
            }
            Ok(comparison.signed)
        }
        Sending::Stream(declared) => Ok(declared),
        Sending::Framed(_) | Sending::Chunk(..) | Sending::Large(LargeBody::Chunk(..), _) => {
            Err(unsupported_payload())
        }
    }
}

/// Moves `authorization`, and drops what the viewer has sent in its new place.
fn move_authorization(head: &mut Parts, name: &HeaderName) {
    let values: Vec<_> = head
        .headers
        .get_all(header::AUTHORIZATION)
        .iter()
        .cloned()
        .collect();
    head.headers.remove(header::AUTHORIZATION);
    head.headers.remove(name);
    for value in values {
        head.headers.append(name, value);
    }
}

/// Rejects signed values that are not ASCII: CloudFront converts those in ISO 8859-1 for the event, and sends the
/// original (Amazon CloudFront Developer Guide, "Restrictions on all edge functions", "URI, query string, and headers
/// encoding").
fn check_signed_values(head: &Parts, origin: &Origin) -> Result<(), Error> {
    let policy = origin.options().settings.signed_headers();
    let ambiguous = |name: &&HeaderName| {
        let values = head.headers.get_all(*name).iter();
        policy.is_signed(name) && !values.map(HeaderValue::as_bytes).all(<[u8]>::is_ascii)
    };
    match head.headers.keys().find(ambiguous) {
        Some(name) => Err(Error::request(format!(
            "header {name} is signed and has a value that is not ASCII, which CloudFront may send in another encoding; \
             encode it"
        ))),
        None => Ok(()),
    }
}

/// Removes the origin's path, before which CloudFront puts it again.
fn remove_prefix(head: &mut Parts, prefix: &str) -> Result<(), Error> {
    let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let rest = target
        .strip_prefix(prefix)
        .filter(|rest| rest.starts_with('/'))
        .ok_or_else(|| {
            Error::config(format!(
                "the origin's path {prefix:?} changes in the wire form; percent-encode it"
            ))
        })?;
    head.uri = Uri::from(request_target::path_and_query(rest.to_owned())?);
    Ok(())
}
