//! The layer between the verification of callers and the cache.

use std::sync::Arc;

use axum::{body::Body, response::Response};
use http::{Extensions, Method, Request, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use prometheus::IntCounterVec;
use tower::{ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_sigv4_callers::jwt::VerifiedToken;

use super::{
    decision::{Decision, DeleteObjects},
    matching::CallerFacts,
    rules::Authorization,
};
use crate::{BoxError, caller::Caller, request_route::RequestRoute, service::RouteService};

/// Maximum size of a DeleteObjects body, in bytes.
const MAX_BODY_LEN: usize = 1024 * 1024;

/// Passes on the requests that their verified callers may send.
pub(crate) fn authorized(
    authorization: Arc<Authorization>,
    counters: IntCounterVec,
    inner: RouteService,
) -> RouteService {
    let layer = Arc::new(AuthorizedService {
        authorization,
        counters,
        inner,
    });
    BoxCloneSyncService::new(service_fn(move |request| layer.clone().call(request)))
}

struct AuthorizedService {
    authorization: Arc<Authorization>,
    /// Requests beyond a limit, by name of the section `[[caller]]` and by limit.
    counters: IntCounterVec,
    inner: RouteService,
}

impl AuthorizedService {
    async fn call(self: Arc<Self>, request: Request<Body>) -> Result<Response, BoxError> {
        let authorization = &self.authorization;
        let (head, body) = request.into_parts();
        let Some(route) = self.route(&head) else {
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
        let mut admitted = Vec::new();
        for section in authorization.matching(caller) {
            admitted.push(section.limits.admit(id).inspect_err(|limited| {
                self.counters
                    .with_label_values(&[&*section.name, limited.name()])
                    .inc();
            })?);
        }
        let Decision::DependsOnBody(objects) = decision else {
            return self
                .inner
                .clone()
                .oneshot(Request::from_parts(head, body))
                .await;
        };
        let _permit = authorization.bodies.acquire().await?;
        match self.read_allowed(caller, &objects, body).await? {
            Some(judged) => {
                let judged_request = Request::from_parts(head, judged);
                self.inner.clone().oneshot(judged_request).await
            }
            None => Err(denied().into()),
        }
    }

    /// Returns the route of a request: the one that signing uses.
    fn route(&self, head: &Parts) -> Option<usize> {
        match RequestRoute::of(&head.extensions) {
            Some(route) if head.method != Method::OPTIONS => Some(route.position),
            _ => self.authorization.rules.position(head).ok(),
        }
    }

    /// Reads the body of DeleteObjects, and returns it if the caller may delete all objects.
    async fn read_allowed(
        &self,
        caller: CallerFacts<'_>,
        objects: &DeleteObjects,
        body: Body,
    ) -> Result<Option<Body>, BoxError> {
        let bytes = match Limited::new(body, MAX_BODY_LEN).collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_allowed = self.authorization.allows_body(caller, objects, &bytes);
        Ok(is_allowed.then(|| Body::from(bytes)))
    }
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

    fn facts(&self) -> CallerFacts<'_> {
        match (self.caller.access_key_id(), &self.token) {
            (Some(access_key_id), _) => CallerFacts::Key { access_key_id },
            (None, Some(token)) => CallerFacts::Token {
                issuer: token.issuer(),
                claims: token.claims(),
            },
            (None, None) => CallerFacts::Unknown,
        }
    }
}
