//! The layer between the verification of callers and the cache.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use http::{Extensions, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use prometheus::IntCounter;
use tokio::time;
use tower::{ServiceExt, load_shed::error::Overloaded, service_fn, util::BoxCloneSyncService};
use tower_sigv4_callers::jwt::VerifiedToken;

use super::{
    decision::{Decision, DeleteObjects},
    limits::InFlight,
    matching::CallerFacts,
    rules::Authorization,
};
use crate::{
    BoxError, caller::Caller, metrics::CallerMeter, min_body_rate::SlowBody,
    request_route::RequestRoute, service::RouteService,
};

/// Maximum size of a DeleteObjects body, in bytes.
const MAX_BODY_LEN: usize = 1024 * 1024;
/// Time to wait until fewer bodies are read; then 503.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time to read a body; then 408.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Passes on the requests that their verified callers may send.
pub(crate) fn authorized(
    authorization: Arc<Authorization>,
    meter: CallerMeter,
    inner: RouteService,
) -> RouteService {
    let admitted = authorization
        .sections()
        .map(|section| meter.admitted(section));
    let layer = Arc::new(AuthorizedService {
        admitted: admitted.collect(),
        authorization,
        meter,
        inner,
    });
    BoxCloneSyncService::new(service_fn(move |request| layer.clone().call(request)))
}

struct AuthorizedService {
    authorization: Arc<Authorization>,
    /// In the order of the sections.
    admitted: Vec<IntCounter>,
    meter: CallerMeter,
    inner: RouteService,
}

impl AuthorizedService {
    async fn call(self: Arc<Self>, request: Request<Body>) -> Result<Response, BoxError> {
        let authorization = &self.authorization;
        let (head, body) = request.into_parts();
        let Ok(route) = RequestRoute::rule(&head, &authorization.rules) else {
            // The response is 404.
            return self
                .inner
                .clone()
                .oneshot(Request::from_parts(head, body))
                .await;
        };
        let Some(proof) = Proof::from_extensions(&head.extensions) else {
            let denied = authorization.denied("of an unknown kind", "none", route, &head.method);
            return Err(denied.into());
        };
        let (id, caller) = (proof.caller.id(), proof.facts());
        let mechanism = proof.caller.mechanism();
        let method = head.method.clone();
        let denied = || authorization.denied(id, mechanism, route, &method);
        let decision = authorization.decide(caller, route, &head)?;
        if decision == Decision::Denied {
            return Err(denied().into());
        }
        let mut in_flight = Vec::new();
        let sections = authorization.callers.iter().zip(&self.admitted);
        for (section, count) in sections.filter(|(it, _)| it.condition.matches(caller)) {
            let admitted =
                section
                    .limits
                    .admit(proof.limited_id())
                    .await
                    .inspect_err(|limited| {
                        self.meter.record_limited(&section.name, limited.name());
                    })?;
            count.inc();
            in_flight.extend(admitted);
        }
        let allowed_body = match decision {
            Decision::DependsOnBody(objects) => {
                let judged = self.read_allowed(caller, &objects, body).await?;
                judged.ok_or_else(denied)?
            }
            _ => body,
        };
        let inner = self.inner.clone();
        let allowed = Request::from_parts(head, allowed_body);
        let response = inner.oneshot(allowed).await?;
        Ok(counted_to_its_end(response, in_flight))
    }

    /// Reads the body of DeleteObjects, and returns it if the caller may delete all objects.
    async fn read_allowed(
        &self,
        caller: CallerFacts<'_>,
        objects: &DeleteObjects,
        body: Body,
    ) -> Result<Option<Body>, BoxError> {
        let acquired = time::timeout(PERMIT_TIMEOUT, self.authorization.bodies.acquire());
        let permit = acquired.await.map_err(|_| Overloaded::new())??;
        let reading = Limited::new(body, MAX_BODY_LEN).collect();
        let read = time::timeout(READ_TIMEOUT, reading).await;
        drop(permit);
        let bytes = match read.map_err(|_| SlowBody)? {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_allowed = self.authorization.allows_body(caller, objects, &bytes);
        Ok(is_allowed.then(|| Body::from(bytes)))
    }
}

/// Counts a request as concurrent until the body of its response ends.
fn counted_to_its_end(response: Response, in_flight: Vec<InFlight>) -> Response {
    if in_flight.is_empty() {
        return response;
    }
    response.map(|body| {
        Body::new(body.map_err(move |error| {
            let _counted = &in_flight; // dropped with the body
            error
        }))
    })
}

/// A caller, and the proof of its facts.
struct Proof {
    caller: Caller,
    token: Option<VerifiedToken>,
}

impl Proof {
    fn from_extensions(extensions: &Extensions) -> Option<Self> {
        Some(Self {
            caller: Caller::from_extensions(extensions)?,
            token: extensions.get().cloned(),
        })
    }

    /// Returns the ID whose requests are limited: the role's for each of its sessions, whose names callers choose.
    fn limited_id(&self) -> &str {
        match &self.caller {
            Caller::Principal(principal) => principal.role_arn().unwrap_or_else(|| principal.arn()),
            Caller::Key { .. } | Caller::Token { .. } => self.caller.id(),
        }
    }

    fn facts(&self) -> CallerFacts<'_> {
        match (&self.caller, &self.token) {
            (Caller::Key { verified, .. }, _) => CallerFacts::Key {
                access_key_id: verified.access_key_id(),
            },
            (Caller::Principal(principal), _) => CallerFacts::Principal {
                arn: principal.arn(),
            },
            (Caller::Token { .. }, Some(token)) => CallerFacts::Token {
                issuer: token.issuer(),
                claims: token.claims(),
            },
            (Caller::Token { .. }, None) => CallerFacts::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;

    use super::*;
    use crate::authorization::limits::CallerLimits;

    #[tokio::test]
    async fn requests_count_until_the_body_of_the_response_ends() {
        let limits = CallerLimits::new(None, Some(1));
        let admitted = limits.admit("a").await.expect("admitted");
        let response = counted_to_its_end(
            Response::new(Body::from("text")),
            admitted.into_iter().collect(),
        );
        assert!(limits.admit("a").await.is_err());
        assert_eq!(response.body().size_hint().exact(), Some(4));
        let collected = response.into_body().collect().await.expect("a body");
        assert_eq!(collected.to_bytes(), "text");
        assert!(limits.admit("a").await.is_ok());
    }
}
