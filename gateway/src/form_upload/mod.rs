//! Uploads by forms that a caller's policy allows (Amazon S3 API Reference, "POST Object").
//!
//! The policy is signed with a key of the caller, which the origin does not know. So the file is sent by PutObject, signed
//! with the gateway's credentials, and the response is that of a form.

mod error;
mod object;
mod response;
mod tagging;

use std::task::{Context, Poll};

use axum::{body::Body, response::Response};
use http::Request;
use tower::{Service, ServiceExt};
use tower_sigv4::{body::VerifiedBody, origin::OriginRules, verify::VerifiedForm};

pub(crate) use self::error::FormError;
use self::{object::object_head, response::FormResponse};
use crate::{BoxError, request_route::RequestRoute, service::RouteService};

/// Turns verified forms into requests of PutObject. Other requests pass.
#[derive(Clone)]
pub(crate) struct FormUploads {
    rules: OriginRules,
    inner: RouteService,
}

impl FormUploads {
    pub(crate) fn new(rules: OriginRules, inner: RouteService) -> Self {
        Self { rules, inner }
    }

    async fn upload(
        self,
        form: VerifiedForm,
        request: Request<VerifiedBody<Body>>,
    ) -> Result<Response, BoxError> {
        let (head, body) = request.into_parts();
        let route = RequestRoute::of(&head.extensions).map(|route| route.position);
        let in_host = route.and_then(|position| self.rules.bucket_in_host(position, &head));
        if !names_bucket(head.uri.path(), in_host, form.bucket()) {
            return Err(FormError::OtherBucket.into());
        }
        let put = object_head(&form, head)?;
        let response = FormResponse::new(&form, &put);
        // The route of the bucket has chosen the settings and the origin.
        if self.rules.position(&put).ok() != route {
            return Err(FormError::OtherRoute.into());
        }
        let upload = Request::from_parts(put, Body::new(body.into_form_file()));
        let stored = self.inner.oneshot(upload).await?;
        Ok(response.after(stored))
    }
}

/// Returns `true` if the path or the host, as the route reads it, names the bucket that the policy allows.
///
/// The verification reads buckets from hosts of AWS and of other routes, too. There this route would read the first
/// segment of the key as the bucket.
fn names_bucket(path: &str, in_host: Option<&str>, bucket: &str) -> bool {
    match in_host {
        Some(name) => name == bucket && path == "/",
        None => path.trim_matches('/') == bucket,
    }
}

impl Service<Request<VerifiedBody<Body>>> for FormUploads {
    type Response = Response;
    type Error = BoxError;
    type Future = <RouteService as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<VerifiedBody<Body>>) -> Self::Future {
        match request.extensions().get::<VerifiedForm>().cloned() {
            None => self.inner.call(request.map(Body::new)),
            Some(form) => {
                let clone = self.clone();
                let ready = std::mem::replace(self, clone);
                Box::pin(ready.upload(form, request))
            }
        }
    }
}
