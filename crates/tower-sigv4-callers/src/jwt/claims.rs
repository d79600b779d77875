//! Checks of a token that need no key.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::{JwtSettings, Rejection, RejectionKind as Kind, token::ParsedToken};

/// Claims that every accepted token has.
pub(super) struct CheckedClaims {
    pub(super) subject: String,
    pub(super) expires_at: SystemTime,
}

/// Returns the issuer of a token, which is not verified.
pub(super) fn issuer(claims: &Map<String, Value>) -> Result<&str, Rejection> {
    text(claims, "iss")?.ok_or_else(|| missing("iss"))
}

/// Checks everything but the signature.
pub(super) fn check(
    settings: &JwtSettings,
    token: &ParsedToken,
    now: SystemTime,
) -> Result<CheckedClaims, Rejection> {
    if !settings.algorithms.contains(&token.algorithm) {
        let accepted: Vec<_> = settings
            .algorithms
            .iter()
            .map(|name| name.as_str())
            .collect();
        return Err(Kind::UnsupportedAlgorithm.rejection(format!(
            "the algorithm of the token is not accepted; use {}",
            accepted.join(", ")
        )));
    }
    check_type(settings, token.token_type.as_deref())?;
    let claims = &token.claims;
    check_audience(settings, claims)?;
    let expires_at = check_times(claims, now, settings.clock_skew)?;
    for (name, expected) in &settings.required_claims {
        let matches = match claims.get(name) {
            Some(Value::Array(values)) => values.contains(expected),
            Some(value) => value == expected,
            None => false,
        };
        if !matches {
            return Err(Kind::ClaimMismatch.rejection(format!(
                "the claim {name} of the token is missing or has another value"
            )));
        }
    }
    let subject = text(claims, "sub")?.ok_or_else(|| missing("sub"))?;
    if subject.is_empty() || subject.chars().any(char::is_control) {
        return Err(Kind::Malformed.rejection("the claim sub is empty or has control characters"));
    }
    Ok(CheckedClaims {
        subject: subject.to_owned(),
        expires_at,
    })
}

fn check_type(settings: &JwtSettings, token_type: Option<&str>) -> Result<(), Rejection> {
    let short = |name: &str| {
        let lower = name.to_ascii_lowercase();
        lower
            .strip_prefix("application/")
            .map(str::to_owned)
            .unwrap_or(lower)
    };
    let given = short(token_type.unwrap_or("JWT"));
    if settings
        .token_types
        .iter()
        .any(|accepted| short(accepted) == given)
    {
        return Ok(());
    }
    Err(Kind::UnexpectedType.rejection(format!(
        "the type of the token is not accepted; use {}",
        settings.token_types.join(", ")
    )))
}

fn check_audience(settings: &JwtSettings, claims: &Map<String, Value>) -> Result<(), Rejection> {
    let is_ours = |audience: &String| settings.audiences.contains(audience);
    let accepted = match claims.get("aud") {
        Some(Value::String(audience)) => is_ours(audience),
        Some(Value::Array(values)) => {
            let mut any = false;
            for value in values {
                let Value::String(audience) = value else {
                    return Err(wrong_type("aud"));
                };
                any |= is_ours(audience);
            }
            any
        }
        Some(_) => return Err(wrong_type("aud")),
        None => match text(claims, "client_id")? {
            Some(id) => settings.client_ids.iter().any(|ours| ours == id),
            None => false,
        },
    };
    if accepted {
        return Ok(());
    }
    Err(Kind::WrongAudience.rejection("the token is for another audience"))
}

/// Returns the expiry.
fn check_times(
    claims: &Map<String, Value>,
    now: SystemTime,
    skew: Duration,
) -> Result<SystemTime, Rejection> {
    let expires_at = time(claims, "exp")?.ok_or_else(|| missing("exp"))?;
    if expires_at.checked_add(skew).is_none_or(|end| end <= now) {
        return Err(Kind::Expired.rejection("the token has expired"));
    }
    for name in ["nbf", "iat"] {
        let start = time(claims, name)?;
        let early = start.and_then(|from| from.duration_since(now).ok());
        if early.is_some_and(|wait| wait > skew) {
            return Err(Kind::NotYetValid.rejection(format!("the token's {name} is in the future")));
        }
    }
    Ok(expires_at)
}

/// Reads a NumericDate: seconds since 1970, which may have a fraction (RFC 7519, section 2).
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<SystemTime>, Rejection> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    value
        .as_f64()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .and_then(|since_epoch| UNIX_EPOCH.checked_add(since_epoch))
        .map(Some)
        .ok_or_else(|| wrong_type(name))
}

fn text<'a>(
    claims: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, Rejection> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong_type(name)),
    }
}

fn missing(name: &str) -> Rejection {
    Kind::Malformed.rejection(format!("the token has no claim {name}"))
}

fn wrong_type(name: &str) -> Rejection {
    Kind::Malformed.rejection(format!("the claim {name} of the token has the wrong type"))
}
