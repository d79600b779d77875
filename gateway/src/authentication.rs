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
    origin::OriginRules,
};
use tower_sigv4_callers::{
    iam::IamVerifier,
    jwt::{self, JwtVerifier},
};

use self::credential::Credential;
pub(crate) use self::rejection::CallerRejection;
use crate::{
    BoxError, build::CallerVerification, form_upload::FormUploads, log, response,
    service::RouteService, telemetry,
};

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
        .map(|layer| signed(layer, verification.rules(), verified.clone()));
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
        let verification = &self.verification;
        let principal_header = verification.principals.as_ref().map(IamVerifier::header);
        if !verification.verifies(&head) {
            // The origin could use them here. Its own `authorization` stays.
            let tokens = self.token_headers.iter();
            let custom = tokens.filter(|name| **name != header::AUTHORIZATION);
            for name in custom.chain(principal_header) {
                head.headers.remove(name);
            }
            let open = self.open.clone();
            return open.oneshot(Request::from_parts(head, body)).await;
        }
        telemetry::verification_started(&head.extensions);
        let rejected = match Credential::of(&head, &self.token_headers, principal_header) {
            Credential::Several => Some(CallerRejection::several().into_response()),
            Credential::UnexpectedToken => {
                Some(CallerRejection::unexpected_token(&self.token_headers).into_response())
            }
            Credential::Token => self.verify_token(&mut head).await,
            Credential::Principal => self.verify_principal(&mut head).await,
            Credential::Signature | Credential::None => {
                if let Some(signed) = self.by_signature.clone() {
                    return signed.oneshot(Request::from_parts(head, body)).await;
                }
                // Rejects a request without its credential.
                if verification.tokens.is_some() {
                    self.verify_token(&mut head).await
                } else {
                    self.verify_principal(&mut head).await
                }
            }
        };
        if let Some(response) = rejected {
            return Ok(response);
        }
        log::record_caller(&head.extensions);
        telemetry::verified(&head.extensions);
        let verified = self.verified.clone();
        verified.oneshot(Request::from_parts(head, body)).await
    }

    /// Verifies the token, and removes it: the origin might use it, or log it. Returns the response if it is rejected.
    async fn verify_token(&self, head: &mut Parts) -> Option<Response> {
        let Some(verifier) = &self.verification.tokens else {
            return Some(CallerRejection::unexpected_token(&self.token_headers).into_response());
        };
        let token = match verifier.verify(head).await {
            Ok(token) => token,
            Err(rejection) => return Some(token_rejected(&rejection)),
        };
        for name in verifier.headers() {
            if *name != header::AUTHORIZATION || !self.verification.keeps_authorization {
                head.headers.remove(name);
            }
        }
        head.extensions.insert(token);
        None
    }

    /// Verifies the URL of STS, and removes it: the origin might use it here. Returns the response if it is rejected.
    async fn verify_principal(&self, head: &mut Parts) -> Option<Response> {
        let Some(verifier) = &self.verification.principals else {
            return Some(CallerRejection::unexpected_token(&self.token_headers).into_response());
        };
        match verifier.verify(head).await {
            Ok(principal) => {
                head.headers.remove(verifier.header());
                head.extensions.insert(principal);
                None
            }
            Err(rejection) => Some(CallerRejection::from_principal(&rejection).into_response()),
        }
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

fn signed(layer: VerifyLayer, rules: OriginRules, inner: RouteService) -> RouteService {
    let layered = ServiceBuilder::new()
        .map_response(|response: http::Response<ResponseBody<Body>>| {
            response::from_verification(response)
        })
        .layer(layer)
        .map_request(|request: Request<VerifiedBody<Body>>| {
            log::record_caller(request.extensions());
            telemetry::verified(request.extensions());
            request
        })
        .service(FormUploads::new(rules, inner));
    BoxCloneSyncService::new(layered)
}
