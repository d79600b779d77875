//! Identities: the credentials of origins, routes and callers.

#[cfg(feature = "aws-config")]
mod aws;
#[cfg(not(feature = "aws-config"))]
#[path = "identity/without_aws.rs"]
mod aws;
mod error;
mod file_stamp;
mod json;
mod keys_file;
mod picker;
mod pool;
mod process;
mod route_picker;
mod session;
mod tracked;
mod user_token;
mod users;
pub(crate) mod watch;

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tower_sigv4::{
    credentials::{CredentialsCache, ProvideCredentials},
    doctor::{Finding, lint_credentials},
};

pub(crate) use self::{error::IdentityError, json::parse_time, route_picker::RoutePicker};
use self::{
    picker::Sessions,
    pool::{FileSource, Pool, before_role},
    tracked::CallCounts,
    user_token::Account,
    users::{SignOuts, Users},
};
use crate::{
    config::{CallerSource, ConfigError, IdentitySettings},
    error::chain,
};

/// The identities of a configuration.
#[derive(Default)]
pub(crate) struct Identities {
    identities: Vec<Arc<Identity>>,
    pool: Pool,
    /// All configurations of this process share them.
    sign_outs: Arc<SignOuts>,
}

/// An identity: credentials for all requests, or for each caller.
pub(crate) struct Identity {
    settings: IdentitySettings,
    /// Those of the role's base, if the role has a session per request. Never loaded, if each user has its own.
    credentials: CredentialsCache,
    calls: Arc<CallCounts>,
    per_request: Option<PerRequest>,
}

/// Credentials that differ by request.
#[derive(Clone)]
enum PerRequest {
    Sessions(Sessions),
    Users(Users),
}

impl Identities {
    /// Builds the identities. Those that `last` has, too, keep their credentials.
    pub(crate) fn build(
        settings: Vec<IdentitySettings>,
        last: Option<&Self>,
    ) -> Result<Self, ConfigError> {
        let mut pool = Pool::default();
        if let Some(previous) = last {
            pool.clients = previous.pool.clients.clone();
        }
        let sign_outs = last.map_or_else(Arc::default, |it| it.sign_outs.clone());
        let mut identities = Vec::new();
        for one in settings {
            let previous = last.and_then(|it| it.get(&one.name));
            let span = one.span.clone();
            let built = match one.caller_source().cloned() {
                Some(source) => {
                    Identity::build_for_users(one, &source, previous, &pool, sign_outs.clone())
                }
                None => Identity::build(one, previous, &mut pool, last.map(|it| &it.pool)),
            };
            identities.push(Arc::new(
                built.map_err(|reason| ConfigError::at(span, reason))?,
            ));
        }
        Ok(Self {
            identities,
            pool,
            sign_outs,
        })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Identity>> {
        self.identities.iter().find(|it| it.name() == name)
    }

    /// Returns the identity of origins and routes that name none.
    pub(crate) fn default_identity(&self) -> &Arc<Identity> {
        &self.identities[0] // `config` puts it first
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Identity>> {
        self.identities.iter()
    }

    /// Returns the sources that read files.
    pub(crate) fn file_sources(&self) -> Vec<FileSource> {
        self.pool.file_sources()
    }

    /// Drops the credentials of a user, and rejects the tokens that it has been issued by now. Returns the number of
    /// dropped sessions.
    pub(crate) fn sign_out(&self, issuer: String, subject: String) -> usize {
        let account = Account { issuer, subject };
        self.sign_outs.add(&account);
        let identities = self.identities.iter().filter_map(|it| it.users());
        identities.map(|users| users.drop_account(&account)).sum()
    }
}

/// Credentials that were loaded once, to check them.
pub(crate) struct DescribedCredentials {
    pub(crate) description: String,
    /// Reasons for which AWS is likely to reject them.
    pub(crate) findings: Vec<Finding>,
}

impl Identity {
    fn build(
        settings: IdentitySettings,
        last: Option<&Arc<Self>>,
        pool: &mut Pool,
        last_pool: Option<&Pool>,
    ) -> Result<Self, &'static str> {
        let path = &settings.path;
        let Some(role) = settings.session_role() else {
            let pooled = pool.get(path, last_pool)?;
            return Ok(Self {
                credentials: pooled.cache,
                calls: pooled.calls,
                per_request: None,
                settings,
            });
        };
        let base = pool.get(&before_role(path), last_pool)?.cache;
        let kept = last.filter(|it| it.has_sessions_of(&settings));
        let calls = kept.map_or_else(Arc::default, |it| it.calls.clone());
        let per_request = match kept.and_then(|it| it.per_request.clone()) {
            Some(sessions) => sessions,
            None => PerRequest::Sessions(Sessions::new(
                &settings,
                role,
                &base,
                &pool.clients,
                calls.clone(),
            )?),
        };
        Ok(Self {
            credentials: base,
            calls,
            per_request: Some(per_request),
            settings,
        })
    }

    fn build_for_users(
        settings: IdentitySettings,
        source: &CallerSource,
        last: Option<&Arc<Self>>,
        pool: &Pool,
        sign_outs: Arc<SignOuts>,
    ) -> Result<Self, &'static str> {
        let kept = last.filter(|it| it.has_sessions_of(&settings));
        let calls = kept.map_or_else(Arc::default, |it| it.calls.clone());
        let users = match kept.and_then(|it| it.users().cloned()) {
            Some(users) => users,
            None => Users::new(&settings, source, &pool.clients, calls.clone(), sign_outs)?,
        };
        Ok(Self {
            credentials: users.without_token().clone(),
            calls,
            per_request: Some(PerRequest::Users(users)),
            settings,
        })
    }

    /// Returns `true` if the sessions of this identity can be used with other settings.
    fn has_sessions_of(&self, settings: &IdentitySettings) -> bool {
        self.settings.path == settings.path && self.settings.max_sessions == settings.max_sessions
    }

    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    pub(crate) fn settings(&self) -> &IdentitySettings {
        &self.settings
    }

    /// Returns the credentials, or those that sessions of callers are created with. An identity that
    /// [needs a token](Self::needs_token) has none.
    pub(crate) fn credentials(&self) -> &CredentialsCache {
        &self.credentials
    }

    /// Gets the credentials once, and describes them without account and secret. An error has its remedy.
    pub(crate) async fn describe_credentials(&self) -> Result<DescribedCredentials, String> {
        let example = match &self.per_request {
            Some(PerRequest::Sessions(sessions)) => Some(sessions.example()),
            Some(PerRequest::Users(_)) => {
                return Ok(DescribedCredentials {
                    description: format!(
                        "identity {:?}: source {:?}, needs a caller with a token",
                        self.name(),
                        self.settings.source_name()
                    ),
                    findings: Vec::new(),
                });
            }
            None => None,
        };
        let cache = example.as_ref().unwrap_or(&self.credentials);
        let describe = |error: &(dyn Error + 'static)| match IdentityError::find(error) {
            Some(known) => chain(known),
            None => chain(error),
        };
        cache.ready().await.map_err(|error| describe(&error))?;
        let loaded = cache.provide_credentials().await;
        let credentials = loaded.map_err(|error| describe(&error))?;
        let id = credentials.access_key_id();
        let last = id
            .char_indices()
            .rev()
            .nth(3)
            .map_or(id, |(at, _)| &id[at..]);
        let expiry = match credentials.expiry() {
            None => "does not expire".to_owned(),
            Some(time) => {
                let left = time.duration_since(SystemTime::now()).unwrap_or_default();
                let unit = if left.as_secs() < 60 { 1 } else { 60 };
                let rounded = Duration::from_secs(left.as_secs() / unit * unit);
                format!("expires in {}", humantime::format_duration(rounded))
            }
        };
        Ok(DescribedCredentials {
            description: format!(
                "identity {:?}: source {:?}, access key ID ...{last}, {expiry}",
                self.name(),
                self.settings.source_name()
            ),
            findings: lint_credentials(&credentials),
        })
    }

    /// Returns the numbers of calls of the source, or of STS, that returned credentials and that failed.
    pub(crate) fn calls(&self) -> (u64, u64) {
        self.calls.get()
    }

    /// Returns `true` if each user has credentials, which only its token can get.
    pub(crate) fn needs_token(&self) -> bool {
        self.users().is_some()
    }

    /// Returns the number of sessions whose credentials are kept, if they differ by request.
    pub(crate) fn session_count(&self) -> Option<usize> {
        Some(match self.per_request.as_ref()? {
            PerRequest::Sessions(sessions) => sessions.len(),
            PerRequest::Users(users) => users.len(),
        })
    }

    /// Returns the picker of the requests of a route, if their credentials differ.
    pub(crate) fn picker(&self, route: &str) -> Option<RoutePicker> {
        Some(match self.per_request.as_ref()? {
            PerRequest::Sessions(sessions) => RoutePicker::for_sessions(sessions, route),
            PerRequest::Users(users) => RoutePicker::for_users(users),
        })
    }

    fn users(&self) -> Option<&Users> {
        match &self.per_request {
            Some(PerRequest::Users(users)) => Some(users),
            _ => None,
        }
    }
}
