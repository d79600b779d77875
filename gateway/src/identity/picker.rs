//! Picks the session of each request.

use std::sync::Arc;

use http::{HeaderName, request::Parts};
use tower_sigv4::{
    Error,
    credentials::{self, CredentialsCache, PickIdentity},
    verify::Verified,
};

use super::{
    aws::{HttpClients, RoleClient},
    session::Session,
    tracked::{CallCounts, Tracked},
};
use crate::{
    caller::Caller,
    config::{IdentitySettings, Role, SessionValues},
    request_id,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Sessions of one role, bounded.
#[derive(Clone)]
pub(crate) struct Sessions {
    role: Arc<Role>,
    identities: credentials::Identities<Session>,
}

impl Sessions {
    pub(super) fn new(
        settings: &IdentitySettings,
        role: &Role,
        base: &CredentialsCache,
        clients: &HttpClients,
        calls: Arc<CallCounts>,
    ) -> Result<Self, &'static str> {
        let client = RoleClient::new(role, base.clone(), clients.clone())?;
        let name: Arc<str> = settings.name.as_str().into();
        let timeout = settings.path.total_timeout();
        let create = move |session: &Session| {
            let provider = client.provider(session.clone());
            Tracked::new(&name, provider, timeout, "check the role", calls.clone()).into_cache()
        };
        let identities = credentials::Identities::new(create).with_capacity(settings.max_sessions);
        Ok(Self {
            role: Arc::new(role.clone()),
            identities,
        })
    }

    /// Returns the number of sessions whose credentials are kept.
    pub(crate) fn len(&self) -> usize {
        self.identities.len()
    }

    /// Returns the session that `--check --credentials` resolves.
    pub(crate) fn example(&self) -> CredentialsCache {
        let values = SessionValues {
            caller: "sigv4-gateway-check",
            route: "sigv4-gateway-check",
            request_id: "sigv4-gateway-check",
        };
        self.identities.get(&Session::new(&self.role, &values))
    }
}

/// Picks the credentials of a route's requests.
#[derive(Clone)]
pub(crate) struct IdentityPicker {
    sessions: Sessions,
    /// Name of the route in metrics.
    route: Arc<str>,
}

impl IdentityPicker {
    pub(crate) fn new(sessions: &Sessions, route: &str) -> Self {
        Self {
            sessions: sessions.clone(),
            route: route.into(),
        }
    }

    /// Returns the session of a request, or `None` if it needs a caller and none is verified.
    pub(crate) fn session(&self, head: &Parts) -> Option<Session> {
        let role = &self.sessions.role;
        let verified = head.extensions.get::<Verified>();
        let caller = Caller::from_extensions(&head.extensions);
        if caller.is_none() && role.has_caller() {
            return None;
        }
        let values = SessionValues {
            caller: caller.as_ref().map_or("", Caller::id),
            route: &self.route,
            request_id: "",
        };
        if !role.has_request_id() {
            return Some(Session::new(role, &values));
        }
        let own_id = fastrand::u128(..).to_string();
        let request_id = trusted_request_id(head, verified).unwrap_or(&own_id);
        Some(Session::new(
            role,
            &SessionValues {
                request_id,
                ..values
            },
        ))
    }
}

/// Returns the ID of a request that the gateway has created or the caller has signed. Any other comes from a header
/// that everyone can send.
fn trusted_request_id<'a>(head: &'a Parts, verified: Option<&Verified>) -> Option<&'a str> {
    let is_signed = |it: &Verified| it.signed_headers().any(|name| name == REQUEST_ID.as_str());
    let is_own = !request_id::is_from_client(&head.extensions);
    let id = head.headers.get(REQUEST_ID)?;
    id.to_str()
        .ok()
        .filter(|_| is_own || verified.is_some_and(is_signed))
}

impl PickIdentity for IdentityPicker {
    fn pick(&self, head: &Parts) -> Result<CredentialsCache, Error> {
        match self.session(head) {
            Some(session) => Ok(self.sessions.identities.get(&session)),
            None => Err(Error::no_credentials(
                "the identity needs a verified caller, so the request was not signed",
            )),
        }
    }
}
