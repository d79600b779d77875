//! Origins, routes and requests choose their identity; the layer's own is the default.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::{Request, request::Parts};
use http_body_util::Full;
use tower_sigv4::{
    Clock, Error, ErrorKind, Origin, SigningLayer, SigningSettings,
    credentials::{
        Credentials, CredentialsCache, CredentialsError, PickIdentity, ProvideCredentials,
    },
    origin::{OriginRule, OriginRules, SigningBehavior, UriOrigin},
};

use crate::common::{self, HOST, api, get, header, now};

fn keys(id: &str) -> Credentials {
    Credentials::new(id, "secret", None, None, "test")
}

fn origin() -> Origin {
    api(&format!("https://{HOST}"))
}

/// Returns the ID of the key that signed the request, or `none`.
async fn key_of(layer: &SigningLayer, request: Request<Full<bytes::Bytes>>) -> String {
    let sent = common::send(layer, request).await.expect("sent");
    let Some(authorization) = sent.headers().get("authorization") else {
        return "none".to_owned();
    };
    let (_, rest) = authorization
        .to_str()
        .expect("ASCII")
        .split_once("Credential=")
        .expect("a credential");
    rest.split('/').next().expect("an id").to_owned()
}

/// The caller that a layer in front has verified.
#[derive(Clone)]
struct Caller(&'static str);

fn from_caller(caller: &'static str) -> Request<Full<bytes::Bytes>> {
    let mut request = get("/");
    request.extensions_mut().insert(Caller(caller));
    request
}

#[tokio::test]
async fn origins_routes_and_requests_have_their_own_identity() {
    let red = CredentialsCache::new(keys("AKIDRED"));
    let blue = CredentialsCache::new(keys("AKIDBLUE"));
    let picker = move |head: &Parts| match head.extensions.get::<Caller>()?.0 {
        "red" => Some(red.clone()),
        "blue" => Some(blue.clone()),
        _ => None,
    };
    let rules = OriginRules::new()
        .add_rule(
            OriginRule::path("/tenant").expect("valid"),
            origin().with_identity(picker),
        )
        .add_rule(
            OriginRule::path("/admin").expect("valid"),
            origin().with_credentials(keys("AKIDADMIN")),
        )
        .add_rule(OriginRule::any(), origin());
    let layer = SigningLayer::new(keys("AKIDDEFAULT"), rules);
    for (path, caller, key) in [
        ("/tenant", "red", "AKIDRED"),
        ("/tenant", "blue", "AKIDBLUE"),
        ("/admin", "red", "AKIDADMIN"),
        ("/tenant", "red", "AKIDRED"),
        ("/", "blue", "AKIDDEFAULT"),
    ] {
        let mut request = from_caller(caller);
        *request.uri_mut() = path.parse().expect("a path");
        assert_eq!(key_of(&layer, request).await, key, "{path} {caller}");
    }
}

#[tokio::test]
async fn clients_with_absolute_uris_have_identities_too() {
    let target = UriOrigin::infer().with_credentials(keys("AKIDTARGET"));
    let layer = SigningLayer::new(keys("AKIDDEFAULT"), target);
    let request = get(&format!("https://{HOST}/"));
    assert_eq!(key_of(&layer, request).await, "AKIDTARGET");
}

#[tokio::test]
async fn query_signatures_use_the_identity() {
    let origin = origin()
        .with_credentials(keys("AKIDORIGIN"))
        .with_query_signature(std::time::Duration::from_secs(60))
        .expect("valid");
    let layer = SigningLayer::new(keys("AKIDDEFAULT"), origin);
    let sent = common::send(&layer, get("/")).await.expect("sent");
    let query = sent.uri().query().expect("a query");
    assert!(query.contains("X-Amz-Credential=AKIDORIGIN%2F"), "{query}");
}

/// A request that nobody can name must not get the rights of the layer.
#[tokio::test]
async fn requests_without_identity_are_not_sent() {
    let layer = |origin| SigningLayer::new(keys("AKIDDEFAULT"), origin);
    let nobody = |_: &Parts| None;
    let error = common::send(&layer(origin().with_identity(nobody)), get("/"))
        .await
        .expect_err("no identity");
    assert_eq!(error.kind(), ErrorKind::Credentials);
    assert!(error.to_string().contains("no identity"), "{error}");

    struct Unknown;
    impl PickIdentity for Unknown {
        fn pick(&self, head: &Parts) -> Result<CredentialsCache, Error> {
            let caller = head
                .extensions
                .get::<Caller>()
                .map_or("", |caller| caller.0);
            Err(Error::no_credentials(format!("no role for {caller:?}")))
        }
    }
    let origin = origin().with_identity(Unknown);
    let error = common::send(&layer(origin.clone()), from_caller("green"))
        .await
        .expect_err("no identity");
    assert_eq!(error.kind(), ErrorKind::Credentials);
    assert_eq!(error.to_string(), "no role for \"green\"");

    // An unsigned request needs none.
    let unsigned = origin.with_signing(SigningBehavior::Never);
    assert_eq!(key_of(&layer(unsigned), get("/")).await, "none");
}

#[tokio::test]
async fn a_picker_can_return_the_default_of_the_layer() {
    let default = CredentialsCache::new(keys("AKIDDEFAULT"));
    let own = CredentialsCache::new(keys("AKIDOWN"));
    let fallback = default.clone();
    let picker = move |head: &Parts| {
        let known = head.extensions.get::<Caller>().map(|_| own.clone());
        Some(known.unwrap_or_else(|| fallback.clone()))
    };
    let layer = SigningLayer::new(default, origin().with_identity(picker));
    assert_eq!(key_of(&layer, get("/")).await, "AKIDDEFAULT");
    assert_eq!(key_of(&layer, from_caller("red")).await, "AKIDOWN");
}

/// Fails, and counts its calls.
#[derive(Clone, Debug, Default)]
struct Down(Arc<AtomicUsize>);

impl ProvideCredentials for Down {
    fn provide_credentials<'a>(
        &'a self,
    ) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.0.fetch_add(1, Ordering::SeqCst);
        aws_credential_types::provider::future::ProvideCredentials::ready(Err(
            CredentialsError::provider_error("down"),
        ))
    }
}

#[derive(Debug)]
struct Hanging;

impl ProvideCredentials for Hanging {
    fn provide_credentials<'a>(
        &'a self,
    ) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        aws_credential_types::provider::future::ProvideCredentials::new(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn errors_name_the_identity_and_contain_no_secret() {
    let down = Down::default();
    let spaced = Credentials::new("AKID", " hunter2", None, None, "test");
    for (cache, kind) in [
        (CredentialsCache::new(down.clone()), ErrorKind::Credentials),
        (
            CredentialsCache::new(Hanging),
            ErrorKind::CredentialsTimeout,
        ),
        (CredentialsCache::new(spaced), ErrorKind::Credentials),
    ] {
        let origin = origin().with_credentials(cache.with_name("orders"));
        let layer = SigningLayer::new(keys("AKIDDEFAULT"), origin);
        let error = common::send(&layer, get("/")).await.expect_err("no key");
        assert_eq!(error.kind(), kind);
        let message = error.to_string();
        assert!(
            message.starts_with("identity \"orders\": the "),
            "{message}"
        );
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    assert_eq!(down.0.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn reports_name_the_identity() {
    let named = CredentialsCache::new(keys("AKIDRED")).with_name("red");
    for (origin, name) in [
        (origin().with_credentials(named), Some("red")),
        (origin(), None),
    ] {
        let layer = SigningLayer::new(keys("AKIDDEFAULT"), origin).with_report(true);
        let client = tower::Layer::layer(&layer, tower::service_fn(common::echo));
        let response = tower::ServiceExt::oneshot(client, get("/")).await;
        let response = response.expect("a response");
        let report = response
            .extensions()
            .get::<tower_sigv4::sign::SigningReport>();
        assert_eq!(report.expect("a report").identity(), name);
    }
}

/// The date of a request is that of the layer's clock, for every identity.
#[tokio::test]
async fn the_clock_of_the_layer_dates_all_requests() {
    let settings = SigningSettings::new("execute-api", "us-east-1").expect("valid");
    let origin = Origin::new(&format!("https://{HOST}"), settings).expect("valid");
    let layer = SigningLayer::new(
        keys("AKIDDEFAULT"),
        origin.with_credentials(keys("AKIDRED")),
    )
    .with_clock(Clock::manual(now()));
    let sent = common::send(&layer, get("/")).await.expect("sent");
    assert_eq!(header(sent.headers(), "x-amz-date"), "20150830T123600Z");
}
