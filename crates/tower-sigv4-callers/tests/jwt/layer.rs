use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_sigv4_callers::{
    HttpClient, ResponseBody,
    jwt::{
        Algorithm, JwtLayer, JwtSettings, JwtVerifier, Rejection, RejectionKind, ResponseFuture,
        VerifiedToken, VerifyJwt,
    },
};

use crate::{
    ISSUER, claims, now,
    provider::{Provider, jwks},
    settings,
    signing_key::SigningKey,
    verifier,
};

type Headers<'a> = &'a [(&'a str, &'a str)];

fn fixed(key: &SigningKey) -> JwtVerifier {
    let fixed = settings(ISSUER).with_jwks(&jwks([key])).unwrap();
    verifier(HttpClient::disabled(), fixed)
}

fn key() -> SigningKey {
    SigningKey::rsa("first", 0, Algorithm::Rs256)
}

fn request(headers: Headers<'_>) -> Request<()> {
    let mut builder = Request::get("/orders");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap()
}

/// Responds with the subject and the headers that it has received.
async fn echo(request: Request<()>) -> Result<Response<Full<Bytes>>, Infallible> {
    let subject = request.extensions().get().map(VerifiedToken::subject);
    let names: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
    let body = json!({"subject": subject, "headers": names}).to_string();
    Ok(Response::new(Full::from(body)))
}

async fn call(layer: &JwtLayer, headers: Headers<'_>) -> (StatusCode, Value) {
    let service = layer.layer(service_fn(echo));
    let response = service.oneshot(request(headers)).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn inner_service_sees_the_proof_and_not_the_token() {
    let key = key();
    let token = format!("bearer  {}", key.token(&key.header(), &claims()));
    let headers = [("authorization", token.as_str()), ("accept", "*/*")];
    let layer = JwtLayer::new(fixed(&key));
    let (status, body) = call(&layer, &headers).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body, json!({"subject": "user-1", "headers": ["accept"]}));
    let (_, forwarded) = call(&layer.with_forwarded_token(true), &headers).await;
    assert_eq!(forwarded["headers"], json!(["authorization", "accept"]));
}

#[tokio::test]
async fn rejections_follow_rfc_6750() {
    let key = key();
    let layer = JwtLayer::new(fixed(&key));
    let mut late = claims();
    late["exp"] = 1.into();
    let expired = format!("Bearer {}", key.token(&key.header(), &late));
    let valid = format!("Bearer {}", key.token(&key.header(), &claims()));
    let rows: [(Headers<'_>, u16, &str, RejectionKind); 7] = [
        (&[], 401, "Bearer", RejectionKind::MissingToken),
        (
            &[("authorization", "Basic YTpi")],
            401,
            "Bearer",
            RejectionKind::MissingToken,
        ),
        (
            &[("authorization", "Bearer")],
            401,
            "Bearer",
            RejectionKind::MissingToken,
        ),
        (
            &[("authorization", &expired)],
            401,
            r#"Bearer error="invalid_token", error_description="the token has expired""#,
            RejectionKind::Expired,
        ),
        (
            &[("authorization", "Bearer \u{e9}")],
            401,
            r#"Bearer error="invalid_token", error_description="the token is not ASCII""#,
            RejectionKind::Malformed,
        ),
        (
            &[("authorization", &valid), ("authorization", &valid)],
            400,
            r#"Bearer error="invalid_request", error_description="the request has several tokens or authorizations; send one""#,
            RejectionKind::AmbiguousToken,
        ),
        (
            &[
                ("authorization", "AWS4-HMAC-SHA256 x"),
                ("authorization", &valid),
            ],
            400,
            r#"Bearer error="invalid_request", error_description="the request has several tokens or authorizations; send one""#,
            RejectionKind::AmbiguousToken,
        ),
    ];
    for (headers, status, challenge, kind) in rows {
        let service = layer.layer(service_fn(echo));
        let response = service.oneshot(request(headers)).await.unwrap();
        assert_eq!(response.status(), status, "{challenge}");
        assert_eq!(response.headers()["www-authenticate"], challenge);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.extensions().get(), Some(&kind));
        let message = response
            .extensions()
            .get::<Arc<Rejection>>()
            .unwrap()
            .to_string();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let expected = json!({"message": message}).to_string();
        assert_eq!(body, expected);
    }
}

#[tokio::test]
async fn description_has_only_the_characters_of_rfc_6750() {
    let key = key();
    let odd = JwtSettings::new(ISSUER)
        .and_then(|settings| settings.with_jwks(&jwks([&key])))
        .unwrap()
        .add_audience("orders")
        .add_required_claim("a\"b\\c\né", 1);
    let layer = JwtLayer::new(verifier(HttpClient::disabled(), odd));
    let token = format!("Bearer {}", key.token(&key.header(), &claims()));
    let service = layer.layer(service_fn(echo));
    let response = service
        .oneshot(request(&[("authorization", &token)]))
        .await
        .unwrap();
    assert_eq!(
        response.headers()["www-authenticate"],
        r#"Bearer error="invalid_token", error_description="the claim a'b'c?? of the token is missing or has another value""#
    );
}

#[tokio::test]
async fn anonymous_requests_pass_only_without_a_token() {
    let key = key();
    let layer = JwtLayer::new(fixed(&key)).with_anonymous(true);
    let (status, body) = call(&layer, &[("authorization", "Basic YTpi")]).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body, json!({"subject": null, "headers": ["authorization"]}));
    let (status, _) = call(&layer, &[("authorization", "Bearer x")]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    // An outer layer, with other settings, has accepted another token.
    let outer = JwtLayer::new(fixed(&key)).with_forwarded_token(true);
    let mut both = outer.layer(tower::util::MapRequest::new(
        layer.layer(service_fn(echo)),
        |mut request: Request<()>| {
            request.headers_mut().clear();
            request
        },
    ));
    let token = format!("Bearer {}", key.token(&key.header(), &claims()));
    let response = both
        .ready()
        .await
        .unwrap()
        .call(request(&[("authorization", &token)]))
        .await
        .unwrap();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert!(
        bytes.starts_with(br#"{"headers":[],"subject":null"#),
        "{bytes:?}"
    );
}

#[tokio::test]
async fn each_issuer_has_its_own_keys_and_header() {
    let (first, second) = (key(), SigningKey::rsa("second", 1, Algorithm::Rs256));
    let other = "https://accounts.example.com";
    let header = HeaderName::from_static("x-id-token");
    let both = [
        settings(ISSUER).with_jwks(&jwks([&first])).unwrap(),
        settings(other)
            .with_jwks(&jwks([&second]))
            .unwrap()
            .with_header(header),
    ];
    let verifier = JwtVerifier::new(HttpClient::disabled(), both)
        .unwrap()
        .with_clock(now);
    assert_eq!(verifier.headers().count(), 2);
    let layer = JwtLayer::new(verifier);
    let token = |key: &SigningKey, issuer: &str| {
        let mut claims = claims();
        claims["iss"] = issuer.into();
        key.token(&key.header(), &claims)
    };
    let (first_token, second_token) = (token(&first, ISSUER), token(&second, other));
    let bearer = |token: &str| format!("Bearer {token}");
    let accepted = [
        ("authorization", bearer(&first_token)),
        ("x-id-token", second_token.clone()),
    ];
    for (name, value) in &accepted {
        let (status, body) = call(&layer, &[(name, value)]).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        assert_eq!(body["headers"], json!([]));
    }
    let rejected = [
        (
            "authorization",
            bearer(&token(&second, ISSUER)),
            "the issuer of the token has no such key",
        ),
        (
            "authorization",
            bearer(&token(&first, other)),
            "the issuer of the token is not accepted",
        ),
        (
            "authorization",
            bearer(&second_token),
            "the issuer of the token is not accepted",
        ),
        (
            "x-id-token",
            token(&first, other),
            "the issuer of the token has no such key",
        ),
        (
            "x-id-token",
            first_token.clone(),
            "the issuer of the token is not accepted",
        ),
        (
            "x-id-token",
            bearer(&second_token),
            "the header of the token is not base64url of a JSON object",
        ),
    ];
    for (name, value, message) in &rejected {
        let (status, body) = call(&layer, &[(name, value)]).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(body["message"], *message);
    }
    let two = [
        ("authorization", accepted[0].1.as_str()),
        ("x-id-token", &second_token),
    ];
    let (status, _) = call(&layer, &two).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn rejection_releases_the_ready_service() {
    let key = key();
    let provider = Provider::new([&key]);
    let layer = JwtLayer::new(verifier(provider.client(), settings(ISSUER)));
    let inner = ConcurrencyLimit::new(service_fn(echo), 1);
    let mut service = layer.layer(inner);
    // The future is kept: the permit must not live as long.
    let mut rejected = std::pin::pin!(service.ready().await.unwrap().call(request(&[])));
    let response = rejected.as_mut().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let token = format!("Bearer {}", key.token(&key.header(), &claims()));
    let accepted = service
        .ready()
        .await
        .unwrap()
        .call(request(&[("authorization", &token)]));
    assert_eq!(accepted.await.unwrap().status(), StatusCode::OK);
    assert!(format!("{rejected:?}").contains("rejected"));
}

#[tokio::test]
async fn ready_service_is_called() {
    let key = key();
    let (mock, mut handle) = tower_test::mock::pair::<Request<()>, Response<Full<Bytes>>>();
    let mut service = JwtLayer::new(fixed(&key)).layer(mock);
    handle.allow(1);
    let token = format!("Bearer {}", key.token(&key.header(), &claims()));
    let response = service
        .ready()
        .await
        .unwrap()
        .call(request(&[("authorization", &token)]));
    let inner = async {
        let (received, respond) = handle.next_request().await.unwrap();
        assert!(received.extensions().get::<VerifiedToken>().is_some());
        respond.send_response(Response::new(Full::from("ok")));
    };
    let (result, ()) = tokio::join!(response, inner);
    assert_eq!(result.unwrap().status(), StatusCode::OK);
}

#[test]
fn settings_that_accept_too_much_are_rejected() {
    let unnamed = JwtSettings::new("https://login.example.com").unwrap();
    let with_audience = unnamed.clone().add_audience("orders");
    let new = |settings: Vec<JwtSettings>| {
        let result = JwtVerifier::new(HttpClient::disabled(), settings);
        result.map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(new(vec![]), "there is no issuer; add one");
    assert!(
        new(vec![unnamed.clone()])
            .ends_with("has no audience; add the application's audience or client id")
    );
    assert!(new(vec![with_audience.clone(), with_audience.clone()]).contains("configured twice"));
    assert!(new(vec![with_audience.clone().with_algorithms([])]).contains("has no algorithm"));
    assert!(new(vec![with_audience.with_token_types([""; 0])]).contains("has no token type"));
    for issuer in [
        "",
        "login.example.com",
        "http://login.example.com",
        "ftp://login.example.com",
        "https://",
        "https://a.example/|b",
        "https://a.example/ b",
        "https://a.example\n",
        "https://user:pw@a.example",
        "https://a.example/?tenant=1",
        "https://a.example/#a",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "https://ä.example",
    ] {
        let error = JwtSettings::new(issuer).expect_err(issuer).to_string();
        assert!(!error.contains("pw@"), "{error}");
    }
    for issuer in [
        "http://localhost:9000/pool",
        "http://127.0.0.1",
        "http://[::1]:80/",
        "https://a.example/",
    ] {
        assert!(JwtSettings::new(issuer).is_ok(), "{issuer}");
    }
    let skew = std::time::Duration::from_secs(301);
    assert!(unnamed.clone().with_clock_skew(skew).is_err());
    assert!(
        unnamed
            .clone()
            .with_jwks_url("http://keys.example.com")
            .is_err()
    );
    assert!(
        unnamed
            .clone()
            .with_discovery("http://keys.example.com")
            .is_err()
    );
    assert!(unnamed.with_jwks("[]").is_err());
}

#[test]
fn types_are_send_and_sync() {
    fn check<T: Send + Sync + Clone + std::fmt::Debug>() {}
    check::<JwtLayer>();
    check::<JwtSettings>();
    check::<JwtVerifier>();
    check::<Rejection>();
    check::<VerifiedToken>();
    check::<VerifyJwt<()>>();
    check::<HttpClient>();
    fn check_future<T: Send>() {}
    check_future::<ResponseFuture<(), (), ()>>();
    check_future::<ResponseBody<Full<Bytes>>>();
}
