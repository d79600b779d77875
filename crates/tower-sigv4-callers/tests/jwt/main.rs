//! Verification of tokens: every check, the cache of keys, and the layer.

mod accepted_tokens;
mod failed_fetches;
mod fetches;
mod hostile_tokens;
mod layer;
mod provider;
mod setup;
mod signing_key;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Request, request::Parts};
use serde_json::{Value, json};
use tower_sigv4_callers::{
    HttpClient,
    jwt::{Algorithm, JwtSettings, JwtVerifier},
};

const ISSUER: &str = "https://login.example.com/pool";
/// Seconds since 1970 at which all tests run.
const NOW: u64 = 1_800_000_000;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

/// Claims of a token that is accepted.
fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "aud": "orders",
        "sub": "user-1",
        "exp": NOW + 600,
        "iat": NOW - 60,
        "nbf": NOW - 60,
        "token_use": "id",
        "email_verified": true,
        "groups": ["readers", "writers"],
    })
}

fn settings(issuer: &str) -> JwtSettings {
    JwtSettings::new(issuer)
        .unwrap()
        .with_algorithms(Algorithm::ALL)
        .add_audience("orders")
        .add_audience("invoices")
        .add_required_claim("token_use", "id")
        .add_required_claim("email_verified", true)
        .add_required_claim("groups", "writers")
}

fn verifier(client: HttpClient, settings: JwtSettings) -> JwtVerifier {
    JwtVerifier::new(client, [settings])
        .unwrap()
        .with_clock(now)
}

fn bearer(token: &str) -> Parts {
    let request = Request::get("/orders").header("authorization", format!("Bearer {token}"));
    request.body(()).unwrap().into_parts().0
}
