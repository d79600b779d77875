//! A token, a line feed and a key set. The verifier never panics, and only accepts tokens that a key of the set has
//! signed, whose claims meet the settings.
#![no_main]

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, UNIX_EPOCH},
};

use http::Request;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tower_sigv4_callers::{
    HttpClient,
    jwt::{Algorithm, JwtSettings, JwtVerifier, Rejection, VerifiedToken},
};

const ISSUER: &str = "https://login.example.com/pool";

/// Verifies a token of a key set that needs no fetch, so that nothing is waited for.
fn verify(token: &str, jwks: &str) -> Option<Result<VerifiedToken, Rejection>> {
    let settings = JwtSettings::new(ISSUER)
        .expect("an issuer")
        .with_algorithms(Algorithm::ALL)
        .add_audience("orders")
        .with_jwks(jwks)
        .ok()?;
    let verifier = JwtVerifier::new(HttpClient::disabled(), [settings])
        .expect("settings")
        .with_clock(|| UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    let request = Request::get("/").header("authorization", format!("Bearer {token}"));
    let (head, ()) = request.body(()).ok()?.into_parts();
    let result = pin!(verifier.verify(&head)).poll(&mut Context::from_waker(Waker::noop()));
    match result {
        Poll::Ready(result) => Some(result),
        Poll::Pending => panic!("fixed keys are waited for"),
    }
}

fuzz_target!(|text: &str| {
    let (token, jwks) = text.split_once('\n').unwrap_or((text, r#"{"keys": []}"#));
    match verify(token, jwks) {
        None => {}
        Some(Ok(verified)) => {
            assert_eq!(verified.issuer(), ISSUER);
            assert_eq!(verified.raw(), token.trim_start_matches(' '));
            let claims = verified.claims();
            assert_eq!(claims.get("iss").and_then(Value::as_str), Some(ISSUER));
            assert_eq!(
                claims.get("sub").and_then(Value::as_str),
                Some(verified.subject())
            );
            // No other set has the key, and no other text is the token.
            assert!(verify(token, r#"{"keys": []}"#).is_some_and(|result| result.is_err()));
            for at in 0..token.len() {
                let mut changed = token.as_bytes().to_vec();
                changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
                let changed_text = String::from_utf8_lossy(&changed);
                assert!(
                    verify(&changed_text, jwks).is_none_or(|result| result.is_err()),
                    "{at}"
                );
            }
        }
        Some(Err(rejection)) => {
            let response = rejection.to_response();
            assert!(response.status().is_client_error());
            assert!(response.headers().contains_key("www-authenticate"));
            assert!(serde_json::from_slice::<Value>(response.body()).is_ok());
        }
    }
});
