//! Users that have signed out, whose tokens stay valid until they expire.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use moka::{policy::EvictionPolicy, sync::Cache};

use crate::identity::user_token::{Account, UserToken};

/// Time for which a sign-out counts. It is longer than that for which issuers let a token live: a day at most for
/// Amazon Cognito.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Limits the memory to about 30 MB.
const CAPACITY: u64 = 100_000;
/// Seconds by which the clock of an issuer may be ahead. Without them, a token that was issued just before the sign-out
/// would stay valid. A user that signs in again waits as long.
const CLOCK_SKEW: f64 = 60.0;

/// Times of sign-outs.
pub(crate) struct SignOuts {
    /// In seconds since the epoch.
    times: Cache<Account, f64>,
}

impl SignOuts {
    /// Rejects the tokens that the account has been issued by now.
    pub(crate) fn add(&self, account: &Account) {
        self.times.insert(account.clone(), seconds_since_epoch());
    }

    /// Returns `true` if the user has signed out since the token was issued, or less than [`CLOCK_SKEW`] before. A token
    /// without a time of issue counts as older.
    pub(super) fn ends(&self, token: &UserToken) -> bool {
        let Some(signed_out) = self.times.get(token.account()) else {
            return false;
        };
        token
            .issued_at()
            .is_none_or(|issued| issued <= signed_out + CLOCK_SKEW)
    }
}

impl Default for SignOuts {
    fn default() -> Self {
        let times = Cache::builder()
            .max_capacity(CAPACITY)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(LIFETIME)
            .build();
        Self { times }
    }
}

impl fmt::Debug for SignOuts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignOuts").finish_non_exhaustive()
    }
}

fn seconds_since_epoch() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}
