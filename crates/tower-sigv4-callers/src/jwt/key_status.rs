use std::{error::Error as StdError, time::Duration};

use super::key_cache::CacheStatus;

/// State of the keys of an issuer, for readiness checks and metrics.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeyStatus {
    /// The issuer.
    pub issuer: String,
    /// Time since the last successful fetch; `None` before the first, and for fixed keys.
    pub age: Option<Duration>,
    /// Number of usable keys.
    pub keys: usize,
    /// Number of failed fetches.
    pub failures: u64,
    /// Error of the last fetch, if it failed.
    pub last_error: Option<String>,
}

impl KeyStatus {
    pub(super) fn new(issuer: &str, cached: CacheStatus) -> Self {
        Self {
            issuer: issuer.to_owned(),
            age: cached.age,
            keys: cached.keys,
            failures: cached.failures,
            last_error: cached.last_error.map(|error| error_chain(&*error)),
        }
    }
}

fn error_chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
