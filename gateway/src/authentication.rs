//! Verifies the caller of each request, by exactly one mechanism.

use axum::{body::Body, response::Response};
use http::{Request, StatusCode, header, request::Parts};
use tower::{ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_sigv4::{
    VerifyLayer,
    body::{ResponseBody, VerifiedBody},
};
use tower_sigv4_callers::jwt::{self, JwtVerifier};
use url::form_urlencoded;

use crate::{BoxError, build::CallerVerification, log, response, service::RouteService};

/// Verifies the caller of the requests that need it.
pub(crate) fn authenticated(
    settings: Option<CallerVerification>,
    inner: RouteService,
) -> RouteService {
    let Some(verification) = settings else {
        return inner;
    };
    let by_signature = verification
        .signatures
        .clone()
        .map(|layer| signed(layer, inner.clone()));
    BoxCloneSyncService::new(service_fn(move |request: Request<Body>| {
        let (by_signature, inner) = (by_signature.clone(), inner.clone());
        let verification = verification.clone();
        async move {
            let (mut head, body) = request.into_parts();
            if !verification.verifies(&head) {
                return inner.oneshot(Request::from_parts(head, body)).await;
            }
            let tokens = verification.tokens.as_ref();
            match (Mechanism::of(&head, tokens), by_signature, tokens) {
                (Mechanism::Several, _, _) => Ok(response::message(
                    StatusCode::BAD_REQUEST,
                    "the request has a token and a signature; send one of them",
                )),
                (Mechanism::Token, _, Some(verifier)) | (_, None, Some(verifier)) => {
                    if let Err(rejection) = verify_token(verifier, &mut head).await {
                        return Ok(rejected(&rejection));
                    }
                    log::record_caller(&head.extensions);
                    inner.oneshot(Request::from_parts(head, body)).await
                }
                (_, Some(service), _) => service.oneshot(Request::from_parts(head, body)).await,
                // `config` rejects a verification without a mechanism.
                (_, None, None) => Err(BoxError::from("no mechanism verifies callers")),
            }
        }
    }))
}

/// Verifies the token, and removes it: nobody else needs it.
async fn verify_token(verifier: &JwtVerifier, head: &mut Parts) -> Result<(), jwt::Rejection> {
    let token = verifier.verify(head).await?;
    for name in verifier.headers() {
        head.headers.remove(name);
    }
    head.extensions.insert(token);
    Ok(())
}

fn rejected(rejection: &jwt::Rejection) -> Response {
    let status = rejection.kind().status();
    let mut response = response::message(status, rejection.message());
    if let Some(value) = rejection.www_authenticate() {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, value);
    }
    response.extensions_mut().insert(rejection.kind());
    response
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

#[derive(Debug, PartialEq)]
enum Mechanism {
    Token,
    Signature,
    Several,
    None,
}

impl Mechanism {
    /// Returns the mechanism that the caller has chosen. It proves nothing yet.
    fn of(head: &Parts, tokens: Option<&JwtVerifier>) -> Self {
        let has_token = tokens.is_some_and(|verifier| {
            let mut names = verifier.headers();
            names.any(|name| {
                let mut values = head.headers.get_all(name).iter();
                values.any(|it| *name != header::AUTHORIZATION || is_bearer(it.as_bytes()))
            })
        });
        let mut values = head.headers.get_all(header::AUTHORIZATION).iter();
        let has_signature = values.any(|it| it.as_bytes().starts_with(b"AWS4-"))
            || form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes())
                .any(|(name, _)| name.eq_ignore_ascii_case("x-amz-signature"));
        match (has_token, has_signature) {
            (true, true) => Self::Several,
            (true, false) => Self::Token,
            (false, true) => Self::Signature,
            (false, false) => Self::None,
        }
    }
}

/// Returns `true` for the scheme of RFC 6750, section 2.1, which is compared without regard to case.
fn is_bearer(value: &[u8]) -> bool {
    let scheme = value.split(|it| *it == b' ').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"bearer")
}
