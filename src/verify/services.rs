use std::sync::Arc;

use http::request::Parts;

use super::VerifySettings;
use crate::{error::Error, sigv4::authorization::claimed_service};

/// Settings of one or several services, which a verifier chooses by the service that a request is signed for.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use std::{convert::Infallible, time::SystemTime};
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_sigv4::{
///     SigningSettings, VerifyLayer,
///     body::VerifiedBody,
///     credentials::Credentials,
///     sigv4::{Identity, PayloadHash, Signer, SigningParams},
///     verify::{BodyCheck, StaticKeys, Verified, VerifyServices, VerifySettings},
/// };
///
/// let key = Credentials::new("AKIDEXAMPLE", "secret", None, None, "example");
/// let services = VerifyServices::new([
///     VerifySettings::new("s3", "us-east-1")?
///         .add_region("eu-west-1")?
///         .with_unsigned_payload(true)
///         .with_body_check(BodyCheck::Streamed),
///     VerifySettings::new("dynamodb", "us-east-1")?,
/// ])?;
/// let layer = VerifyLayer::new(StaticKeys::new([key.clone()])?, services);
/// let server = layer.layer(service_fn(async |request: Request<VerifiedBody<Full<Bytes>>>| {
///     let caller = request.extensions().get::<Verified>().expect("inserted by the layer");
///     let scope = format!("{} in {}", caller.service(), caller.region());
///     Ok::<_, Infallible>(Response::new(scope))
/// }));
///
/// let (mut head, ()) = Request::post("http://gw.example.com/").body(())?.into_parts();
/// let (settings, identity) = (SigningSettings::new("dynamodb", "us-east-1")?, Identity::new(key)?);
/// let (payload, now) = (PayloadHash::EMPTY, SystemTime::now());
/// Signer::new().sign(&mut head, &SigningParams::new(&settings, &identity, payload, now))?;
/// let response = server.oneshot(Request::from_parts(head, Full::default())).await?;
/// # use http_body_util::BodyExt;
/// # let text = response.into_body().collect().await?.to_bytes();
/// # assert_eq!(text, "dynamodb in us-east-1");
/// # Ok::<(), tower_sigv4::BoxError>(())
/// # }).unwrap();
/// ```
///
/// # One service's rules for another's requests
///
/// A request is verified by the rules of the service that its own signature names. Where these are laxer than those of
/// another service, a handler of the other must not accept it: compare [`Verified::service`](super::Verified::service)
/// in each handler. A [`SigningLayer`](crate::SigningLayer) behind the verifier does so: it rejects a request for an
/// origin whose service has settings of its own here, unless it was signed for that service
/// ([`ErrorKind::Scope`](crate::ErrorKind::Scope), status 403).
#[derive(Clone, Debug)]
#[must_use]
pub struct VerifyServices {
    /// Never empty.
    settings: Arc<[VerifySettings]>,
}

impl VerifyServices {
    /// Creates the list. A service may be in one element only.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the list is empty or has a service twice.
    pub fn new(settings: impl IntoIterator<Item = VerifySettings>) -> Result<Self, Error> {
        let list: Arc<[_]> = settings.into_iter().collect();
        if list.is_empty() {
            return Err(Error::config(
                "there are no services to verify; add their `VerifySettings`",
            ));
        }
        let mut names: Vec<_> = list.iter().flat_map(|one| &one.services).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::config(format!(
                "service {:?} has settings twice; combine them, with `VerifySettings::add_region` for its regions",
                pair[0],
            )));
        }
        Ok(Self { settings: list })
    }

    /// Returns the settings of all services.
    pub fn iter(&self) -> impl Iterator<Item = &VerifySettings> {
        self.settings.iter()
    }

    pub(super) fn first(&self) -> &VerifySettings {
        &self.settings[0]
    }

    /// Returns the settings that accept requests for this service, and their position.
    pub(super) fn find(&self, service: &str) -> Option<(usize, &VerifySettings)> {
        self.settings
            .iter()
            .enumerate()
            .find(|(_, one)| one.services.iter().any(|name| name == service))
    }

    /// Returns the settings at a position, or the first.
    pub(super) fn at(&self, position: usize) -> &VerifySettings {
        self.settings.get(position).unwrap_or(self.first())
    }

    /// Returns the settings for the service that a request claims, or the first. Nothing is verified.
    pub(super) fn for_claim(&self, head: &Parts) -> &VerifySettings {
        claimed_service(&head.uri, &head.headers)
            .and_then(|service| self.find(service))
            .map_or(self.first(), |(_, settings)| settings)
    }

    /// Returns the names of all services.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.iter()
            .flat_map(|one| &one.services)
            .map(String::as_str)
    }

    /// Returns the services of each element, if there are several.
    pub(super) fn groups(&self) -> Option<Arc<[Vec<String>]>> {
        (self.settings.len() > 1).then(|| self.iter().map(|one| one.services.clone()).collect())
    }
}

impl From<VerifySettings> for VerifyServices {
    fn from(settings: VerifySettings) -> Self {
        Self {
            settings: Arc::new([settings]),
        }
    }
}
