//! Verifies the caller of each request, by exactly one mechanism.

mod credential;
mod rejection;

use std::sync::Arc;

use axum::{body::Body, response::Response};
use http::{HeaderName, Request, header, request::Parts};
use tower::{ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_sigv4::{
    VerifyLayer,
    body::{ResponseBody, VerifiedBody},
};
use tower_sigv4_callers::jwt::{self, JwtVerifier};

use self::credential::Credential;
pub(crate) use self::rejection::CallerRejection;
use crate::{BoxError, build::CallerVerification, log, response, service::RouteService};

/// Calls `verified` for requests whose caller it has verified, and `open` for those that need no caller.
pub(crate) fn authenticated(
    settings: Option<CallerVerification>,
    verified: RouteService,
    open: RouteService,
) -> RouteService {
    let Some(verification) = settings else {
        return open;
    };
    let by_signature = verification
        .signatures
        .clone()
        .map(|layer| signed(layer, verified.clone()));
    let tokens = verification.tokens.iter();
    let authentication = Arc::new(Authentication {
        token_headers: tokens.flat_map(JwtVerifier::headers).cloned().collect(),
        verification,
        by_signature,
        verified,
        open,
    });
    BoxCloneSyncService::new(service_fn(move |request: Request<Body>| {
        authentication.clone().call(request)
    }))
}

struct Authentication {
    verification: CallerVerification,
    /// Present if callers can sign their requests.
    by_signature: Option<RouteService>,
    /// Headers that may contain a token.
    token_headers: Vec<HeaderName>,
    verified: RouteService,
    open: RouteService,
}

impl Authentication {
    async fn call(self: Arc<Self>, request: Request<Body>) -> Result<Response, BoxError> {
        let (mut head, body) = request.into_parts();
        if !self.verification.verifies(&head) {
            let open = self.open.clone();
            return open.oneshot(Request::from_parts(head, body)).await;
        }
        let credential = Credential::of(&head, &self.token_headers);
        let verifier = match (credential, &self.verification.tokens, &self.by_signature) {
            (Credential::Several, ..) => {
                return Ok(CallerRejection::several().into_response());
            }
            (Credential::UnexpectedToken, ..) => {
                return Ok(CallerRejection::unexpected_token(&self.token_headers).into_response());
            }
            (Credential::Signature | Credential::None, _, Some(service)) => {
                let signed = service.clone();
                return signed.oneshot(Request::from_parts(head, body)).await;
            }
            (_, Some(verifier), _) => verifier,
            // The configuration requires a mechanism, and a token is one only with a verifier.
            (_, None, _) => return Err("no mechanism verifies callers".into()),
        };
        if let Err(rejection) = self.verify_token(verifier, &mut head).await {
            return Ok(token_rejected(&rejection));
        }
        log::record_caller(&head.extensions);
        let verified = self.verified.clone();
        verified.oneshot(Request::from_parts(head, body)).await
    }

    /// Verifies the token, and removes it: the origin might use it, or log it.
    async fn verify_token(
        &self,
        verifier: &JwtVerifier,
        head: &mut Parts,
    ) -> Result<(), jwt::Rejection> {
        let token = verifier.verify(head).await?;
        for name in verifier.headers() {
            if *name != header::AUTHORIZATION || !self.verification.keeps_authorization {
                head.headers.remove(name);
            }
        }
        head.extensions.insert(token);
        Ok(())
    }
}

fn token_rejected(rejection: &jwt::Rejection) -> Response {
    let mut rejected = CallerRejection::from_token(rejection).into_response();
    if let Some(challenge) = rejection.www_authenticate() {
        let headers = rejected.headers_mut();
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    rejected
}

fn signed(layer: VerifyLayer, inner: RouteService) -> RouteService {
    let layered = ServiceBuilder::new()
        .map_response(|response: http::Response<ResponseBody<Body>>| {
            response::from_verification(response)
        })
        .layer(layer)
        .map_request(|request: Request<VerifiedBody<Body>>| {
            log::record_caller(request.extensions());
            request.map(Body::new)
        })
        .service(inner);
    BoxCloneSyncService::new(layered)
}
