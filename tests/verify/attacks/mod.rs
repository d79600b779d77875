//! Requests that must be rejected: valid requests with one change each, and the kind of each rejection.

mod authorization;
mod credentials;
mod dates;
mod draft;
mod edit;
mod headers;
mod payload;
mod settings;
#[cfg(feature = "sigv4a")]
mod sigv4a;
mod target;

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, VerifyLayer,
    body::VerifiedBody,
    credentials::Credentials,
    verify::{KeyRequest, RejectionKind as Kind, StaticKeys, Verified, VerifySettings},
};

use crate::common::now;
use authorization::CHANGED_AUTHORIZATION;
use credentials::{CHANGED_CREDENTIALS, INVALID_CREDENTIALS};
use dates::{CHANGED_DATES, INVALID_DATES};
use draft::{
    Draft, ID, SECRET, TEMPORARY, TOKEN, VERSIONS, Version, dated, header, presigned, presigned_s3,
    presigned_temporary, s3, temporary, tenant, underscored, unhashed,
};
use headers::{CHANGED_HEADERS, INVALID_HEADERS};
use payload::{CHANGED_PAYLOAD, INVALID_PAYLOAD};
use target::{CHANGED_TARGET, INVALID_TARGET};

/// Verifies a request and returns the access key ID or the kind of the rejection.
async fn verify(layer: &VerifyLayer, request: Request<Bytes>) -> Result<String, Kind> {
    let inner = service_fn(async |request: Request<VerifiedBody<Full<Bytes>>>| {
        let id = request
            .extensions()
            .get::<Verified>()
            .map(|by| by.access_key_id().to_owned());
        let body = Full::new(Bytes::from(id.expect("a proof")));
        Ok::<_, Infallible>(Response::new(body))
    });
    let Ok(response) = layer.layer(inner).oneshot(request.map(Full::new)).await;
    match response.extensions().get::<Kind>().copied() {
        Some(kind) => {
            assert!(
                response.status().is_client_error(),
                "{kind:?}: {}",
                response.status()
            );
            Err(kind)
        }
        None => {
            use http_body_util::BodyExt;
            let body = response
                .into_body()
                .collect()
                .await
                .expect("a body")
                .to_bytes();
            Ok(String::from_utf8_lossy(&body).into_owned())
        }
    }
}

fn layer(service: &str) -> VerifyLayer {
    layer_in(Version::V4, service)
}

fn layer_in(version: Version, service: &str) -> VerifyLayer {
    let keys = StaticKeys::new([
        Credentials::new(ID, SECRET, None, None, "test"),
        Credentials::new(TEMPORARY, SECRET, Some(TOKEN.to_owned()), None, "test"),
    ]);
    let settings = version.accepted(VerifySettings::new(service, "us-east-1").expect("a scope"));
    VerifyLayer::new(keys.expect("valid"), settings).with_clock(Clock::manual(now()))
}

fn layer_for(draft: &Draft) -> VerifyLayer {
    layer_in(
        draft.version,
        if draft.scope.contains("/s3/") {
            "s3"
        } else {
            "execute-api"
        },
    )
}

type Base = fn() -> Draft;

#[tokio::test]
async fn unchanged_requests_are_accepted() {
    for (base, id) in [
        (header as Base, ID),
        (unhashed, ID),
        (temporary, TEMPORARY),
        (presigned, ID),
        (presigned_temporary, TEMPORARY),
        (s3, ID),
        (presigned_s3, ID),
        (dated, ID),
        (tenant, ID),
        (underscored, ID),
    ] {
        for &version in VERSIONS {
            let draft = version.of(base());
            let layer = layer_for(&draft);
            assert_eq!(
                verify(&layer, draft.sign()).await,
                Ok(id.to_owned()),
                "{version:?}"
            );
        }
    }
}

/// Each row changes the request before signing: the sender has a key and abuses it, or has a bug. The signature
/// matches the request, so that only the rule rejects it.
#[tokio::test]
async fn invalid_signed_requests_are_rejected() {
    let mut failed = Vec::new();
    let rows = [
        INVALID_HEADERS,
        INVALID_DATES,
        INVALID_CREDENTIALS,
        INVALID_PAYLOAD,
        INVALID_TARGET,
    ];
    for (name, kind, base, change) in rows.into_iter().flatten() {
        for &version in VERSIONS {
            let mut draft = version.of(base());
            change(&mut draft);
            let layer = layer_for(&draft);
            let verified = verify(&layer, draft.sign()).await;
            if verified != Err(*kind) {
                failed.push(format!("{version:?}, {name}: {verified:?}, not {kind:?}"));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Each row changes the request after signing, as an attacker without a key can.
#[tokio::test]
async fn requests_changed_in_transit_are_rejected() {
    let mut failed = Vec::new();
    let rows = [
        CHANGED_HEADERS,
        CHANGED_DATES,
        CHANGED_CREDENTIALS,
        CHANGED_PAYLOAD,
        CHANGED_TARGET,
        CHANGED_AUTHORIZATION,
    ];
    for (name, kind, base, change) in rows.into_iter().flatten() {
        for &version in VERSIONS {
            let draft = version.of(base());
            let layer = layer_for(&draft);
            let mut request = draft.sign();
            change(&mut request);
            let verified = verify(&layer, request).await;
            if verified != Err(*kind) {
                failed.push(format!("{version:?}, {name}: {verified:?}, not {kind:?}"));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test]
async fn clock_windows_include_their_ends() {
    for (service, base, date) in [
        ("execute-api", header as Base, "20150830T123100Z"),
        ("execute-api", header, "20150830T124100Z"),
        ("s3", s3, "20150830T122100Z"),
        ("s3", s3, "20150830T125100Z"),
        ("execute-api", presigned, "20150830T113600Z"),
        ("execute-api", presigned, "20150830T124100Z"),
    ] {
        let mut draft = base();
        draft.date(date);
        assert_eq!(
            verify(&layer(service), draft.sign()).await,
            Ok(ID.to_owned()),
            "{date}"
        );
    }
    let clock = Clock::manual(now());
    let layer = layer("execute-api").with_clock(clock.clone());
    clock.advance(Duration::from_secs(300) + Duration::from_nanos(1));
    assert_eq!(verify(&layer, header().sign()).await, Err(Kind::Expired));
}

/// A cache keyed by ID only would accept the old secret or reject the new one.
#[tokio::test]
async fn changed_secrets_take_effect_immediately() {
    let secret = std::sync::Arc::new(std::sync::Mutex::new(SECRET));
    let held = secret.clone();
    let keys = move |request: KeyRequest<'static>| {
        let secret = *held.lock().expect("not poisoned");
        async move {
            let id = request.access_key_id();
            Ok::<_, Infallible>(Some(Credentials::new(id, secret, None, None, "test")))
        }
    };
    let settings = VerifySettings::new("execute-api", "us-east-1").expect("a scope");
    let layer = VerifyLayer::new(keys, settings).with_clock(Clock::manual(now()));
    let with = |secret| Draft { secret, ..header() }.sign();
    for (current, other) in [(SECRET, "new"), ("new", SECRET), (SECRET, "new")] {
        *secret.lock().expect("not poisoned") = current;
        for _ in 0..2 {
            assert_eq!(verify(&layer, with(current)).await, Ok(ID.to_owned()));
            assert_eq!(
                verify(&layer, with(other)).await,
                Err(Kind::SignatureMismatch)
            );
        }
    }
}

/// Name, expected rejection, request, and its change before signing.
type InvalidRow = (&'static str, Kind, Base, fn(&mut Draft));

/// Name, expected rejection, request, and its change after signing.
type ChangedRow = (&'static str, Kind, Base, fn(&mut Request<Bytes>));
