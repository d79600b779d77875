//! Issuer of tokens, such as an Amazon Cognito user pool.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{Json, Router, routing::get};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
        UnparsedPublicKey,
    },
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Audience of its tokens.
pub const CLIENT_ID: &str = "app-client";
const KEY_NAME: &str = "key-1";

/// Issuer with one key.
#[derive(Clone)]
pub struct Issuer {
    pub url: String,
    key: Arc<EcdsaKeyPair>,
}

impl Issuer {
    pub async fn start() -> Self {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .and_then(|document| {
                let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
                EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random)
                    .map_err(|_| ring::error::Unspecified)
            })
            .expect("a key");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let issuer = Self {
            url: format!("http://{address}/pool"),
            key: Arc::new(pair),
        };
        let keys = issuer.jwks();
        let router = Router::new().route(
            "/pool/.well-known/jwks.json",
            get(move || async move { Json(keys) }),
        );
        tokio::spawn(async move { axum::serve(listener, router).await });
        issuer
    }

    /// Returns the name of the login provider.
    pub fn login(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Returns the gateway's sections that accept the tokens.
    pub fn verify(&self) -> String {
        let url = &self.url;
        format!(
            "[[verify.jwt]]\nissuer = \"{url}\"\naudience = \"{CLIENT_ID}\"\n\
             jwks_url = \"{url}/.well-known/jwks.json\"\nalgorithms = [\"ES256\"]\n"
        )
    }

    pub fn token(&self, subject: &str) -> String {
        self.token_for(subject, Duration::from_secs(3600))
    }

    pub fn token_for(&self, subject: &str, lifetime: Duration) -> String {
        let now = seconds(SystemTime::now());
        self.sign(&json!({
            "iss": self.url, "sub": subject, "aud": CLIENT_ID, "token_use": "id",
            "iat": now, "exp": now + lifetime.as_secs(),
        }))
    }

    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": KEY_NAME });
        let [head, body] = [&header, claims].map(|it| URL_SAFE_NO_PAD.encode(it.to_string()));
        let text = format!("{head}.{body}");
        let signature = self.key.sign(&SystemRandom::new(), text.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.expect("signed"));
        format!("{text}.{signature}")
    }

    /// Returns the claims of a valid token, as an identity pool checks it.
    pub fn claims(&self, token: &str) -> Option<Value> {
        let (text, signature) = token.rsplit_once('.')?;
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key());
        let decoded = URL_SAFE_NO_PAD.decode(signature).ok()?;
        key.verify(text.as_bytes(), &decoded).ok()?;
        let (_, body) = text.split_once('.')?;
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
        let is_valid = claims["iss"] == *self.url
            && claims["aud"] == CLIENT_ID
            && claims["exp"].as_u64()? > seconds(SystemTime::now());
        is_valid.then_some(claims)
    }

    fn jwks(&self) -> Value {
        let point = &self.key.public_key().as_ref()[1..]; // uncompressed: 4, x, y
        let [x, y] = [&point[..32], &point[32..]].map(|it| URL_SAFE_NO_PAD.encode(it));
        json!({ "keys": [
            { "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": KEY_NAME, "x": x, "y": y },
        ]})
    }
}

fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.expect("after the epoch").as_secs()
}
