//! A stand-in for S3: all regions, and the buckets that each has.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_sigv4::{
    BoxError, Clock, VerifyLayer,
    body::{SignedBody, VerifiedBody},
    verify::{StaticKeys, VerifySettings},
};

use crate::common::{self, now};

/// Status of a response to a request for a bucket of another region.
pub(super) const STATUSES: [u16; 3] = [301, 307, 400];

/// Status, and the regions of header and body.
type Redirect = (u16, Option<String>, Option<String>);

#[derive(Clone, Default)]
pub(super) struct S3 {
    regions: Arc<Mutex<BTreeMap<String, String>>>,
    /// In place of the true status and regions.
    redirect: Arc<Mutex<Redirect>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl S3 {
    pub(super) fn new(buckets: &[(&str, &str)], status: u16) -> Self {
        let server = Self::default();
        for (bucket, region) in buckets {
            server.move_bucket(bucket, region);
        }
        server.redirect.lock().expect("not poisoned").0 = status;
        server
    }

    pub(super) fn move_bucket(&self, bucket: &str, region: &str) {
        let mut regions = self.regions.lock().expect("not poisoned");
        regions.insert(bucket.to_owned(), region.to_owned());
    }

    /// Redirects with these regions in header and body.
    pub(super) fn claim(&self, header: Option<&str>, body: Option<&str>) {
        let mut redirect = self.redirect.lock().expect("not poisoned");
        redirect.1 = header.map(str::to_owned);
        redirect.2 = body.map(str::to_owned);
    }

    /// Returns and forgets the hosts and paths of the requests.
    pub(super) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().expect("not poisoned"))
    }

    pub(super) fn client<B>(
        &self,
    ) -> impl Service<
        Request<SignedBody<B>>,
        Response = Response<Full<Bytes>>,
        Error = BoxError,
        Future: Send,
    > + Clone
    + use<B>
    where
        B: http_body::Body<Error: Into<BoxError>> + Send + 'static,
        B::Data: Send,
    {
        let server = self.clone();
        service_fn(move |request: Request<SignedBody<B>>| {
            let server = server.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                server
                    .respond(Request::from_parts(head, Full::new(body)))
                    .await
            }
        })
    }

    async fn respond(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Full<Bytes>>, BoxError> {
        // Requests of the same time arrive before the first response.
        tokio::task::yield_now().await;
        let host = request.headers()[header::HOST].to_str()?.to_owned();
        assert_eq!(request.uri().host(), Some(&*host));
        let path = request.uri().path().to_owned();
        self.seen
            .lock()
            .expect("not poisoned")
            .push(format!("{host}{path}"));
        let region = host
            .strip_suffix(".amazonaws.com")
            .ok_or("not a host of AWS")?;
        let (before, region) = match region.rsplit_once('.') {
            Some((before, "s3")) => (before, "us-east-1"),
            Some((before, region)) => (before, region),
            None => ("", "us-east-1"),
        };
        let bucket = match before.strip_suffix("s3").map(|it| it.trim_end_matches('.')) {
            Some("") | None => path.split('/').nth(1).unwrap_or_default().to_owned(),
            Some(bucket) => bucket.to_owned(),
        };
        let home = self
            .regions
            .lock()
            .expect("not poisoned")
            .get(&bucket)
            .cloned();
        match home {
            Some(home) if home != region => Ok(self.redirected(request.method(), &home)),
            _ => {
                let keys = StaticKeys::new([common::credentials()])?;
                let settings = VerifySettings::new("s3", region)?.with_unsigned_payload(true);
                let layer = VerifyLayer::new(keys, settings).with_clock(Clock::manual(now()));
                let handler = service_fn(async |_: Request<VerifiedBody<Full<Bytes>>>| {
                    Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("accepted")))
                });
                let Ok(response) = layer.layer(handler).oneshot(request).await;
                let (head, body) = response.into_parts();
                let body = body.collect().await?.to_bytes();
                Ok(Response::from_parts(head, Full::new(body)))
            }
        }
    }

    fn redirected(&self, method: &Method, home: &str) -> Response<Full<Bytes>> {
        let (status, header, region) = self.redirect.lock().expect("not poisoned").clone();
        let is_claim = header.is_some() || region.is_some();
        let header = if is_claim {
            header
        } else {
            Some(home.to_owned())
        };
        let region = if is_claim {
            region
        } else {
            Some(home.to_owned())
        };
        let (code, message) = match status {
            301 => (
                "PermanentRedirect",
                "The bucket you are attempting to access must be addressed using the specified endpoint. Please \
                 send all future requests to this endpoint.",
            ),
            307 => (
                "TemporaryRedirect",
                "Please re-send this request to the specified temporary endpoint.",
            ),
            _ => (
                "AuthorizationHeaderMalformed",
                "The authorization header is malformed; the region 'us-east-1' is wrong; expecting another",
            ),
        };
        let tag = region
            .map(|name| format!("<Region>{name}</Region>"))
            .unwrap_or_default();
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
             {tag}<Endpoint>evil.example.com</Endpoint></Error>"
        );
        let mut response = Response::builder()
            .status(StatusCode::from_u16(status).expect("a status"))
            .header("location", "https://evil.example.com/");
        if let Some(name) = header {
            response = response.header("x-amz-bucket-region", name);
        }
        let body = if method == Method::HEAD {
            String::new()
        } else {
            text
        };
        response.body(Full::from(body)).expect("a response")
    }
}
