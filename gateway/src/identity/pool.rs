//! Caches of credentials, which identities with the same path share.

use std::{path::PathBuf, sync::Arc, time::Duration};

use aws_credential_types::provider::ProvideCredentials;
use tokio::time;
use tower_sigv4::credentials::{CredentialsCache, EnvironmentCredentials};

use super::{
    aws::{self, HttpClients, RoleClient},
    error::{SourceError, source_error},
    file_stamp::FileStamp,
    keys_file::FileCredentials,
    process::ProcessCredentials,
    session::Session,
    tracked::{CallCounts, Tracked},
};
use crate::config::{CredentialPath, Source};

/// Credentials at the end of a path.
#[derive(Clone)]
pub(super) struct PooledCredentials {
    path: CredentialPath,
    /// The source or the role itself, without cache.
    provider: Arc<dyn ProvideCredentials>,
    /// State of the source's files before they are read.
    stamp: FileStamp,
    pub(super) cache: CredentialsCache,
    pub(super) calls: Arc<CallCounts>,
}

#[derive(Default)]
pub(super) struct Pool {
    entries: Vec<PooledCredentials>,
    pub(super) clients: HttpClients,
}

impl Pool {
    /// Returns the credentials at the end of a path: those of this pool or of the last configuration, or new ones.
    ///
    /// An error is the reason why this build of the gateway cannot get them.
    pub(super) fn get(
        &mut self,
        path: &CredentialPath,
        last: Option<&Self>,
    ) -> Result<PooledCredentials, &'static str> {
        let last_entries = last.map_or(&[][..], |pool| &pool.entries);
        let mut known = self.entries.iter().chain(last_entries);
        let found = known.find(|it| it.path == *path).cloned();
        let entry = match found {
            Some(entry) => entry,
            None => self.create(path, last)?,
        };
        if !self.entries.iter().any(|it| it.path == *path) {
            self.entries.push(entry.clone());
        }
        Ok(entry)
    }

    fn create(
        &mut self,
        path: &CredentialPath,
        last: Option<&Self>,
    ) -> Result<PooledCredentials, &'static str> {
        let (identity, provider, remedy) = match path.roles.split_last() {
            None => (
                &path.base,
                source(&path.source, &self.clients)?,
                remedy(&path.source),
            ),
            Some((step, _)) => {
                let base = self.get(&before_role(path), last)?;
                let client = RoleClient::new(&step.role, base.cache, self.clients.clone())?;
                let provider = client.provider(Session::fixed(&step.role));
                (&step.identity, provider, "check the role")
            }
        };
        let calls = Arc::<CallCounts>::default();
        let timeout = path.total_timeout();
        let is_checked =
            path.roles.is_empty() && matches!(path.source, Source::Static(_) | Source::Environment);
        let tracked = Tracked::new(identity, provider.clone(), timeout, remedy, calls.clone())
            .with_checked_credentials(is_checked);
        Ok(PooledCredentials {
            path: path.clone(),
            provider,
            stamp: FileStamp::read(&files(&path.source)),
            cache: tracked.into_cache(),
            calls,
        })
    }

    /// Returns the sources that read files.
    pub(super) fn file_sources(&self) -> Vec<FileSource> {
        let sources = self.entries.iter().filter(|it| it.path.roles.is_empty());
        sources
            .map(|it| FileSource {
                files: files(&it.path.source),
                stamp: it.stamp.clone(),
                provider: it.provider.clone(),
                cache: it.cache.clone(),
                timeout: it.path.timeout,
            })
            .filter(|it| !it.files.is_empty())
            .collect()
    }
}

/// A source that reads files.
pub(crate) struct FileSource {
    pub(super) files: Vec<PathBuf>,
    pub(super) stamp: FileStamp,
    provider: Arc<dyn ProvideCredentials>,
    pub(super) cache: CredentialsCache,
    timeout: Duration,
}

impl FileSource {
    /// Reads the files without the cache.
    pub(super) async fn check(&self) -> Result<(), SourceError> {
        match time::timeout(self.timeout, self.provider.provide_credentials()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(source_error(&error, "check the file")),
            Err(_) => Err(SourceError::new("the source timed out", "check the file")),
        }
    }
}

/// Returns the path that leads to the last role.
pub(super) fn before_role(path: &CredentialPath) -> CredentialPath {
    let mut before = path.clone();
    before.roles.pop();
    before
}

fn source(
    source: &Source,
    clients: &HttpClients,
) -> Result<Arc<dyn ProvideCredentials>, &'static str> {
    Ok(match source {
        Source::Environment => Arc::new(EnvironmentCredentials::new()),
        Source::Static(credentials) => Arc::new(credentials.clone()),
        Source::Process(command) => Arc::new(ProcessCredentials::new(command.clone())),
        Source::File { path, profile } => Arc::new(FileCredentials::new(path, profile.clone())),
        Source::Profile(_)
        | Source::WebIdentity { .. }
        | Source::Container
        | Source::Instance
        | Source::Aws => return aws::source(source, clients),
        Source::Caller(_) => return Err("a source of the caller has no credentials of its own"),
    })
}

fn remedy(source: &Source) -> &'static str {
    match source {
        Source::Environment => "export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        Source::Profile(_) => {
            "check the profile in AWS's config and credentials files; renew its login with aws sso login or aws login"
        }
        Source::Container => {
            "give the task or pod a role, which sets AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or \
             AWS_CONTAINER_CREDENTIALS_FULL_URI"
        }
        Source::Instance => {
            "give the instance a role, and let IMDSv2 respond here (hop limit 2 for containers)"
        }
        Source::Aws => {
            "set AWS_ACCESS_KEY_ID, configure a profile, or give the pod, task or instance a role"
        }
        Source::Static(_)
        | Source::Process(_)
        | Source::File { .. }
        | Source::WebIdentity { .. }
        | Source::Caller(_) => "check the source",
    }
}

/// Returns the files that a source reads (AWS SDKs and Tools Reference Guide, "Location of the shared config and
/// credentials files").
fn files(source: &Source) -> Vec<PathBuf> {
    match source {
        Source::File { path, .. } => vec![path.into()],
        Source::Profile(_) | Source::Aws => {
            let home = std::env::home_dir().unwrap_or_default().join(".aws");
            let shared = [
                ("AWS_CONFIG_FILE", "config"),
                ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
            ];
            shared
                .map(|(variable, name)| {
                    std::env::var_os(variable).map_or_else(|| home.join(name), PathBuf::from)
                })
                .into()
        }
        _ => Vec::new(),
    }
}
