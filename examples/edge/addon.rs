//! Node.js addon that signs requests in Lambda@Edge functions. `index.d.mts` describes the package.

use std::time::{Duration, SystemTime};

use napi_derive::napi;
use tower_sigv4::{
    Error, Origin, SigningSettings,
    cloudfront::{self, EdgeEvent, EdgeRequest, EdgeResponse, EdgeSettings},
    credentials,
    origin::PayloadMode,
    sigv4::Identity,
};

/// Settings of a signer; all may be missing.
#[napi(object)]
pub struct Settings {
    /// Signing name of the service. Needs `region`.
    pub service: Option<String>,
    /// Region of the service. Needs `service`.
    pub region: Option<String>,
    /// `hash`, `unsigned` or `trust`. By default, that of the service.
    pub payload: Option<String>,
    /// Header that receives the viewer's `authorization`.
    pub authorization_header: Option<String>,
    /// URL of the origin, for viewer requests.
    pub viewer_origin: Option<String>,
}

/// Credentials of the function's role.
#[napi(object)]
pub struct Credentials {
    /// `AWS_ACCESS_KEY_ID`
    pub access_key_id: Option<String>,
    /// `AWS_SECRET_ACCESS_KEY`
    pub secret_access_key: Option<String>,
    /// `AWS_SESSION_TOKEN`
    pub session_token: Option<String>,
}

/// The JSON that the function returns.
#[napi(object)]
pub struct Output {
    /// The signed request without its body, which does not change; or the response to an error.
    pub json: String,
    /// The error, for the log.
    pub error: Option<String>,
}

/// Signs requests, and caches signing keys.
#[napi]
pub struct EdgeSigner(cloudfront::EdgeSigner);

#[napi]
impl EdgeSigner {
    /// Creates a signer.
    #[napi(constructor, catch_unwind)]
    pub fn new(settings: Settings) -> napi::Result<Self> {
        Ok(Self(cloudfront::EdgeSigner::new(convert(settings)?)))
    }

    /// Signs the request of an event, given as JSON. `now` is in milliseconds since 1970.
    #[napi(catch_unwind)]
    pub fn sign(&self, event: String, credentials: Credentials, now: f64) -> napi::Result<Output> {
        let time = Duration::try_from_secs_f64(now / 1000.0)
            .ok()
            .and_then(|elapsed| SystemTime::UNIX_EPOCH.checked_add(elapsed))
            .ok_or_else(|| invalid(format!("{now} is not a time; pass `Date.now()`")))?;
        let given = credentials::Credentials::new(
            credentials.access_key_id.unwrap_or_default(),
            credentials.secret_access_key.unwrap_or_default(),
            credentials.session_token,
            None,
            "lambda",
        );
        let signed = Identity::new(given).and_then(|identity| {
            let parsed = EdgeEvent::from_json(event.as_bytes())?;
            self.0.sign(parsed, &identity, time)
        });
        Ok(output(signed))
    }
}

/// Adds the hash of the body to the request of an event, given as JSON.
#[napi(catch_unwind)]
pub fn hash(event: String) -> Output {
    output(EdgeEvent::from_json(event.as_bytes()).and_then(cloudfront::hash))
}

fn output(result: Result<EdgeRequest, Error>) -> Output {
    match result {
        Ok(mut request) => {
            request.body = None; // a large one takes longer to copy than to sign
            Output {
                json: request.to_json(),
                error: None,
            }
        }
        Err(error) => Output {
            json: EdgeResponse::from_error(&error).to_json(),
            error: Some(error.to_string()),
        },
    }
}

fn convert(given: Settings) -> napi::Result<EdgeSettings> {
    let signing = match (given.service, given.region) {
        (Some(service), Some(region)) => {
            Some(SigningSettings::new(&service, &region).map_err(invalid)?)
        }
        (None, None) => None,
        _ => return Err(invalid("set both service and region, or neither")),
    };
    let mut settings = EdgeSettings::new();
    if let Some(url) = &given.viewer_origin {
        let origin = match &signing {
            Some(own) => Origin::new(url, own.clone()),
            None => Origin::infer(url),
        }
        .map_err(invalid)?;
        settings = settings.with_viewer_origin(origin).map_err(invalid)?;
    }
    if let Some(own) = signing {
        settings = settings.with_signing_settings(own);
    }
    if let Some(name) = &given.authorization_header {
        settings = settings
            .with_authorization_moved_to(name)
            .map_err(invalid)?;
    }
    match given.payload.as_deref().map(payload_mode).transpose()? {
        Some(mode) => settings.with_payload(mode).map_err(invalid),
        None => Ok(settings),
    }
}

fn payload_mode(name: &str) -> napi::Result<PayloadMode> {
    match name {
        "hash" => Ok(PayloadMode::Buffer),
        "unsigned" => Ok(PayloadMode::Unsigned),
        "trust" => Ok(PayloadMode::Trust),
        _ => Err(invalid(format!(
            "payload {name:?} is not one of hash, unsigned, trust"
        ))),
    }
}

fn invalid(error: impl ToString) -> napi::Error {
    napi::Error::new(napi::Status::InvalidArg, error.to_string())
}
