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
mod session;
mod tracked;
pub(crate) mod watch;

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tower_sigv4::credentials::{CredentialsCache, ProvideCredentials};

pub(crate) use self::{
    error::IdentityError,
    picker::{IdentityPicker, Sessions},
};
use self::{
    pool::{FileSource, Pool, before_role},
    tracked::CallCounts,
};
use crate::{
    config::{ConfigError, IdentitySettings},
    error::chain,
};

/// The identities of a configuration.
#[derive(Default)]
pub(crate) struct Identities {
    identities: Vec<Arc<Identity>>,
    pool: Pool,
}

/// An identity: credentials for all requests, or for each caller.
pub(crate) struct Identity {
    settings: IdentitySettings,
    /// Those of the role's base, if the role has a session per request.
    credentials: CredentialsCache,
    calls: Arc<CallCounts>,
    sessions: Option<Sessions>,
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
        let mut identities = Vec::new();
        for one in settings {
            let previous = last.and_then(|it| it.get(&one.name));
            let span = one.span.clone();
            let built = Identity::build(one, previous, &mut pool, last.map(|it| &it.pool));
            identities.push(Arc::new(
                built.map_err(|reason| ConfigError::at(span, reason))?,
            ));
        }
        Ok(Self { identities, pool })
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
                sessions: None,
                settings,
            });
        };
        let base = pool.get(&before_role(path), last_pool)?.cache;
        let kept = last.filter(|it| {
            it.settings.path == *path && it.settings.max_sessions == settings.max_sessions
        });
        let calls = kept.map_or_else(Arc::default, |it| it.calls.clone());
        let sessions = match kept.and_then(|it| it.sessions.clone()) {
            Some(sessions) => sessions,
            None => Sessions::new(&settings, role, &base, &pool.clients, calls.clone())?,
        };
        Ok(Self {
            credentials: base,
            calls,
            sessions: Some(sessions),
            settings,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    pub(crate) fn settings(&self) -> &IdentitySettings {
        &self.settings
    }

    /// Returns the credentials, or those that sessions of callers are created with.
    pub(crate) fn credentials(&self) -> &CredentialsCache {
        &self.credentials
    }

    /// Gets the credentials once, and describes them without account and secret. An error has its remedy.
    pub(crate) async fn describe_credentials(&self) -> Result<String, String> {
        let example = self.sessions.as_ref().map(Sessions::example);
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
        Ok(format!(
            "identity {:?}: source {:?}, access key ID ...{last}, {expiry}",
            self.name(),
            self.settings.source_name()
        ))
    }

    /// Returns the numbers of calls of the source, or of STS, that returned credentials and that failed.
    pub(crate) fn calls(&self) -> (u64, u64) {
        self.calls.get()
    }

    /// Returns the sessions, if each request may have its own.
    pub(crate) fn sessions(&self) -> Option<&Sessions> {
        self.sessions.as_ref()
    }
}
