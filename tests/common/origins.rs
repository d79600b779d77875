//! Several origins behind one layer, with responses that a test defines.

use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_credential_types::provider::future;
use aws_smithy_types::date_time::{DateTime, Format};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    BoxError, Clock, Origin, SigningLayer,
    body::SignedBody,
    credentials::{Credentials, CredentialsCache, CredentialsError, ProvideCredentials},
};

use super::{ScriptedBody, header, now};

/// Returns `KEY0`, then `KEY1` and so on, each valid for six hours.
#[derive(Clone, Default)]
pub struct Provider {
    calls: Arc<AtomicUsize>,
    is_down: Arc<AtomicBool>,
    lacks_token: bool,
}

impl Provider {
    pub fn without_token() -> Self {
        Self {
            lacks_token: true,
            ..Self::default()
        }
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }
}

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        future::ProvideCredentials::ready(if self.is_down.load(Ordering::SeqCst) {
            Err(CredentialsError::provider_error("the provider is down"))
        } else {
            let expiry = now() + 365 * 24 * Duration::from_secs(3600);
            let token = (!self.lacks_token).then(|| "token".to_owned());
            Ok(Credentials::new(
                format!("KEY{number}"),
                "secret",
                token,
                Some(expiry),
                "test",
            ))
        })
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provider")
    }
}

/// A layer with several origins. The `host` of a request is the number of its origin.
pub struct MultiOriginClient {
    pub clock: Clock,
    pub provider: Provider,
    pub layer: SigningLayer,
}

/// A request as an origin receives it.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    pub uri: String,
    pub date: String,
    pub key: String,
}

#[derive(Debug)]
pub struct Exchange {
    pub status: StatusCode,
    pub body: Bytes,
    /// The requests that the origin received.
    pub received: Vec<Received>,
}

impl Exchange {
    pub fn dates(&self) -> Vec<&str> {
        self.received
            .iter()
            .map(|received| &*received.date)
            .collect()
    }

    pub fn keys(&self) -> Vec<&str> {
        self.received
            .iter()
            .map(|received| &*received.key)
            .collect()
    }
}

impl MultiOriginClient {
    /// Creates the layer and loads its credentials.
    pub async fn new(origins: impl IntoIterator<Item = Origin>) -> Self {
        let origins: Vec<_> = origins.into_iter().collect();
        let target = move |head: &Parts| {
            let number: usize = header(&head.headers, "host").parse().expect("a number");
            Ok(origins[number].clone().into())
        };
        let (clock, provider) = (Clock::manual(now()), Provider::default());
        let cache = CredentialsCache::new(provider.clone());
        let layer = SigningLayer::new(cache, target).with_clock(clock.clone());
        layer.credentials().ready().await.expect("loaded");
        // A provider is not called again immediately.
        clock.advance(Duration::from_secs(60));
        Self {
            clock,
            provider,
            layer,
        }
    }

    pub async fn send(
        &self,
        origin: usize,
        mut request: Request<ScriptedBody>,
        respond: &(dyn Fn(&Received) -> Response<Bytes> + Sync),
    ) -> Exchange {
        request
            .headers_mut()
            .insert("host", HeaderValue::from(origin));
        let all = Mutex::new(Vec::new());
        let received_requests = &all;
        let service = service_fn(
            move |request: Request<SignedBody<ScriptedBody>>| async move {
                let (head, body) = request.into_parts();
                body.collect().await?;
                let authorization = header(&head.headers, "authorization");
                let (_, key) = authorization
                    .split_once("Credential=")
                    .expect("a credential");
                let received = Received {
                    uri: head.uri.to_string(),
                    date: header(&head.headers, "x-amz-date").to_owned(),
                    key: key.split('/').next().expect("a key").to_owned(),
                };
                let response = respond(&received);
                received_requests
                    .lock()
                    .expect("not poisoned")
                    .push(received);
                Ok::<_, BoxError>(response.map(Full::new))
            },
        );
        let response = self
            .layer
            .layer(service)
            .oneshot(request)
            .await
            .expect("a response");
        let status = response.status();
        let body: Result<_, Infallible> = response.into_body().collect().await;
        let Ok(body) = body;
        Exchange {
            status,
            body: body.to_bytes(),
            received: all.into_inner().expect("not poisoned"),
        }
    }
}

/// Formats a time as in `x-amz-date`.
pub fn amz_date(time: SystemTime) -> String {
    let text = DateTime::from(time).fmt(Format::DateTime).expect("a date");
    text.chars()
        .filter(|character| !matches!(character, '-' | ':'))
        .collect()
}

/// Formats a time as in `date`.
pub fn date(time: SystemTime) -> HeaderValue {
    let text = DateTime::from(time).fmt(Format::HttpDate).expect("a date");
    HeaderValue::try_from(text).expect("a value")
}

pub fn response(status: u16, time: SystemTime, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response.headers_mut().insert("date", date(time));
    response
}
