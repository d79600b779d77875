//! Sessions of users, bounded.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use moka::{policy::EvictionPolicy, sync::Cache};
use tower_sigv4::credentials::CredentialsCache;

use super::{
    provider::{LatestToken, Rejected, UserProvider, UserSource},
    sign_outs::SignOuts,
};
use crate::{
    config::{CallerSource, IdentitySettings, login_of},
    identity::{
        aws::{HttpClients, UserClient},
        tracked::CallCounts,
        user_token::{Account, User, UserToken},
    },
};

/// Time after which the credentials of an absent user are dropped.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// Users of one identity, each with its credentials.
#[derive(Clone)]
pub(crate) struct Users {
    source: Arc<UserSource>,
    /// Name of the login provider whose tokens are sent, or `None` for all.
    login: Option<Arc<str>>,
    sessions: Cache<User, UserSession>,
    sign_outs: Arc<SignOuts>,
    rejected: Arc<RejectedCallers>,
}

#[derive(Clone)]
struct UserSession {
    token: Arc<LatestToken>,
    credentials: CredentialsCache,
}

/// Credentials that are never loaded: their errors say why.
struct RejectedCallers {
    without_token: CredentialsCache,
    of_other_issuer: CredentialsCache,
    signed_out: CredentialsCache,
}

impl Users {
    pub(crate) fn new(
        settings: &IdentitySettings,
        source: &CallerSource,
        clients: &HttpClients,
        calls: Arc<CallCounts>,
        sign_outs: Arc<SignOuts>,
    ) -> Result<Self, &'static str> {
        let identity: Arc<str> = settings.name.as_str().into();
        let rejected = |cause, remedy| Rejected::cache(&identity, cause, remedy);
        let sessions = Cache::builder()
            .max_capacity(settings.max_sessions as u64)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(IDLE_TIMEOUT);
        Ok(Self {
            login: source.login().map(Into::into),
            sessions: sessions.build(),
            sign_outs,
            rejected: Arc::new(RejectedCallers {
                without_token: rejected(
                    "it needs a caller with a token",
                    "send a bearer token of an issuer in [[verify.jwt]]",
                ),
                of_other_issuer: rejected(
                    "it needs a token of another issuer",
                    "compare login of the identity with the token's issuer",
                ),
                signed_out: rejected("the caller has signed out", "sign in again"),
            }),
            source: Arc::new(UserSource {
                client: UserClient::new(source, clients.clone())?,
                timeout: settings.path.timeout,
                calls,
                paused_until: Mutex::default(),
                identity,
            }),
        })
    }

    /// Returns the user of a request, or the reason why it gets no credentials.
    pub(super) fn check<'a>(
        &self,
        token: Option<&'a UserToken>,
    ) -> Result<&'a UserToken, &CredentialsCache> {
        let sent = token.ok_or(&self.rejected.without_token)?;
        let is_expected = |login: &Arc<str>| **login == *login_of(&sent.account().issuer);
        if !self.login.as_ref().is_none_or(is_expected) {
            return Err(&self.rejected.of_other_issuer);
        }
        if self.sign_outs.ends(sent) {
            return Err(&self.rejected.signed_out);
        }
        Ok(sent)
    }

    /// Returns the credentials of a user, which are loaded with the token if there are none.
    pub(super) fn credentials(&self, token: &UserToken) -> CredentialsCache {
        let create = || {
            let latest = Arc::new(LatestToken::new(token.clone()));
            let provider = UserProvider::new(self.source.clone(), latest.clone());
            UserSession {
                token: latest,
                credentials: provider.into_cache(),
            }
        };
        let session = self.sessions.get_with_by_ref(token.user(), create);
        session.token.offer(token);
        session.credentials
    }

    /// Returns credentials that are never loaded, for requests without a user.
    pub(crate) fn without_token(&self) -> &CredentialsCache {
        &self.rejected.without_token
    }

    /// Drops the credentials of an account, and returns the number of its sessions.
    pub(crate) fn drop_account(&self, account: &Account) -> usize {
        let entries = self.sessions.iter();
        let found: Vec<_> = entries
            .filter(|(user, _)| user.account == *account)
            .collect();
        for (user, session) in &found {
            self.sessions.invalidate(&**user);
            // Requests that hold the cache already do not use it again.
            session.credentials.invalidate();
        }
        found.len()
    }

    /// Returns the number of users whose credentials are kept.
    pub(crate) fn len(&self) -> usize {
        self.sessions.run_pending_tasks();
        usize::try_from(self.sessions.entry_count()).unwrap_or(usize::MAX)
    }
}
