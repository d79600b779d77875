use serde_json::{Value, json};
use tower_sigv4_callers::{
    HttpClient,
    jwt::{
        Algorithm, JwtSettings,
        RejectionKind::{InvalidSignature, WrongAudience},
    },
};

use crate::{
    ISSUER, NOW, bearer, claims, hostile_tokens::keys::Keys, settings, signing_key::SigningKey,
    verifier,
};

#[tokio::test]
async fn tokens_of_all_algorithms_are_accepted() {
    let keys = Keys::new();
    let verifier = keys.verifier();
    for algorithm in Algorithm::ALL {
        let rsa = SigningKey::rsa("rsa", 0, algorithm);
        let key = match algorithm {
            Algorithm::Es256 => &keys.p256,
            Algorithm::Es384 => &keys.p384,
            Algorithm::EdDsa => &keys.ed25519,
            _ => &rsa,
        };
        let token = key.token(&key.header(), &claims());
        let result = verifier.verify(&bearer(&token)).await;
        let verified = result.unwrap_or_else(|rejection| panic!("{algorithm}: {rejection}"));
        assert_eq!(verified.issuer(), ISSUER);
        assert_eq!(verified.subject(), "user-1");
        assert_eq!(verified.raw(), token);
        assert_eq!(verified.claims(), claims().as_object().unwrap());
        let debug = format!("{verified:?}");
        assert!(debug.contains("user-1"));
        assert!(token.split('.').all(|part| !debug.contains(part)));
    }
}

#[tokio::test]
async fn valid_variants_are_accepted() {
    let keys = Keys::new();
    let verifier = keys.verifier();
    let variants = [
        ("exp within the tolerance", keys.claim("exp", NOW - 59)),
        ("exp with a fraction", keys.claim("exp", NOW as f64 + 0.5)),
        (
            "exp in a distant future",
            keys.claim("exp", 253_402_300_799_u64),
        ),
        ("nbf within the tolerance", keys.claim("nbf", NOW + 60)),
        ("iat within the tolerance", keys.claim("iat", NOW + 60)),
        ("no nbf", keys.without_claim("nbf")),
        ("no iat", keys.without_claim("iat")),
        ("other audience of ours", keys.claim("aud", "invoices")),
        (
            "several audiences",
            keys.claim("aud", json!(["payments", "orders"])),
        ),
        ("one group", keys.claim("groups", "writers")),
        ("no typ", keys.without_header("typ")),
        ("typ in small letters", keys.header("typ", "jwt")),
        ("typ as media type", keys.header("typ", "application/JWT")),
        (
            "embedded key that is not used",
            keys.header("jwk", keys.other_rsa.jwk()),
        ),
        ("name of RFC 9864", {
            let mut header = keys.ed25519.header();
            header["alg"] = "Ed25519".into();
            keys.ed25519.token(&header, &claims())
        }),
    ];
    for (name, token) in variants {
        let result = verifier.verify(&bearer(&token)).await;
        assert!(result.is_ok(), "{name}: {result:?}");
    }
}

#[tokio::test]
async fn access_tokens_of_cognito_are_accepted_by_client_id() {
    let key = SigningKey::rsa("rsa", 0, Algorithm::Rs256);
    let jwks = json!({"keys": [key.jwk()]}).to_string();
    let accepted = JwtSettings::new(ISSUER)
        .and_then(|settings| settings.with_jwks(&jwks))
        .unwrap()
        .add_client_id("app")
        .add_required_claim("token_use", "access");
    let verifier = verifier(HttpClient::disabled(), accepted);
    let verify = async |claims: Value| {
        let token = key.token(&key.header(), &claims);
        verifier
            .verify(&bearer(&token))
            .await
            .map_err(|error| error.kind())
    };
    let mut access = json!({
        "iss": ISSUER, "sub": "user-1", "exp": NOW + 600, "token_use": "access", "client_id": "app",
    });
    assert!(verify(access.clone()).await.is_ok());
    access["aud"] = "payments".into();
    assert_eq!(verify(access.clone()).await.unwrap_err(), WrongAudience);
    access["aud"] = "app".into();
    assert_eq!(verify(access.clone()).await.unwrap_err(), WrongAudience);
    access.as_object_mut().unwrap().remove("aud");
    access["client_id"] = "other".into();
    assert_eq!(verify(access.clone()).await.unwrap_err(), WrongAudience);
}

#[tokio::test]
async fn a_single_key_needs_no_kid() {
    let key = SigningKey::rsa("rsa", 0, Algorithm::Rs256);
    let jwks = json!({"keys": [key.jwk()]}).to_string();
    let single = settings(ISSUER).with_jwks(&jwks).unwrap();
    let verifier = verifier(HttpClient::disabled(), single);
    let token = key.token(&json!({"alg": "RS256"}), &claims());
    assert!(verifier.verify(&bearer(&token)).await.is_ok());
    let other = SigningKey::rsa("rsa", 1, Algorithm::Rs256);
    let forged = other.token(&json!({"alg": "RS256"}), &claims());
    let rejection = verifier.verify(&bearer(&forged)).await.unwrap_err();
    assert_eq!(rejection.kind(), InvalidSignature);
}

#[tokio::test]
async fn only_configured_algorithms_and_types_are_accepted() {
    let keys = Keys::new();
    let jwks = keys.jwks().to_string();
    let strict = settings(ISSUER)
        .with_jwks(&jwks)
        .unwrap()
        .with_algorithms([Algorithm::Es256])
        .with_token_types(["at+jwt"]);
    let verifier = verifier(HttpClient::disabled(), strict);
    let mut header = keys.p256.header();
    let verify = async |token: String| {
        let result = verifier.verify(&bearer(&token)).await;
        result.map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(
        verify(keys.p256.token(&header, &claims()))
            .await
            .unwrap_err(),
        "the type of the token is not accepted; use at+jwt"
    );
    header["typ"] = "application/at+jwt".into();
    assert_eq!(verify(keys.p256.token(&header, &claims())).await, Ok(()));
    header.as_object_mut().unwrap().remove("typ");
    assert!(verify(keys.p256.token(&header, &claims())).await.is_err());
    assert_eq!(
        verify(keys.rsa.token(&keys.rsa.header(), &claims()))
            .await
            .unwrap_err(),
        "the algorithm of the token is not accepted; use ES256"
    );
}
