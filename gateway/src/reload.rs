//! Reloads the configuration when its file changes, and on SIGHUP.

use std::{fs, io::ErrorKind, mem, sync::Arc, time::Duration};

use tokio::{task, time};

use crate::{
    BoxError, build::ActiveConfig, config::needs_restart, error::chain, gateway::Gateway,
    identity::Identities,
};

/// Interval at which the file is read: some file systems do not report changes.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Reads and parses a configuration.
pub(crate) fn load(file: &str) -> Result<ActiveConfig, BoxError> {
    parse(file, &read(file)?, None)
}

fn read(file: &str) -> Result<Vec<u8>, BoxError> {
    fs::read(file).map_err(|error| {
        let remedy = match error.kind() {
            ErrorKind::NotFound => "; choose an existing file, or create one with --init",
            ErrorKind::IsADirectory => "; choose a file in this directory",
            _ => "",
        };
        format!("cannot read {file}: {error}{remedy}").into()
    })
}

fn parse(file: &str, bytes: &[u8], last: Option<&Identities>) -> Result<ActiveConfig, BoxError> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        format!("{file}:{line}: invalid UTF-8; save the file as UTF-8")
    })?;
    Ok(ActiveConfig::parse_after(text, last).map_err(|error| error.in_file(file))?)
}

/// Logs settings that origins are likely to reject.
pub(crate) fn log_warnings(config: &ActiveConfig, file: &str) {
    for warning in &config.warnings {
        tracing::warn!("{}", warning.clone().in_file(file));
    }
}

/// Contents of the configuration file, or the error of reading it, and of the file of callers' keys.
#[derive(Clone, PartialEq)]
struct Snapshot {
    file: Result<Vec<u8>, String>,
    keys: Option<Vec<u8>>,
}

impl Snapshot {
    fn read(file: &str, keys: Option<&str>) -> Self {
        Self::new(read(file).map_err(|error| error.to_string()), keys)
    }

    fn new(file: Result<Vec<u8>, String>, keys: Option<&str>) -> Self {
        Self {
            file,
            keys: keys.and_then(|path| fs::read(path).ok()),
        }
    }
}

/// A configuration file that is watched for changes.
pub(crate) struct WatchedFile {
    file: String,
    snapshot: Snapshot,
    hangup: Hangup,
}

impl WatchedFile {
    /// Reads the file. SIGHUP is caught from now on.
    pub(crate) fn open(file: String) -> Result<(Self, ActiveConfig), BoxError> {
        let hangup = Hangup::new()?;
        let bytes = read(&file)?;
        let config = parse(&file, &bytes, None)?;
        let snapshot = Snapshot::new(Ok(bytes), config.keys_file.as_deref());
        let watched = Self {
            file,
            snapshot,
            hangup,
        };
        Ok((watched, config))
    }

    /// Replaces the gateway's configuration when the file changes. An invalid one is logged once, and the previous one
    /// stays.
    pub(crate) async fn watch(self, gateway: Arc<Gateway>) {
        let Self {
            file,
            snapshot,
            mut hangup,
        } = self;
        let started = gateway.current().config.sections.clone();
        let mut loaded = snapshot.clone();
        let mut last = snapshot;
        loop {
            let is_forced = tokio::select! {
                () = time::sleep(POLL_INTERVAL) => false,
                () = hangup.next() => true,
            };
            let path = file.clone();
            let keys = gateway.current().config.keys_file.clone();
            let read = task::spawn_blocking(move || Snapshot::read(&path, keys.as_deref()));
            let Ok(current) = read.await else { continue };
            // Half a file may be valid, with half the routes, and a missing file is about to be replaced: so wait until
            // the file is the same twice.
            let is_settled = mem::replace(&mut last, current.clone()) == current;
            if !is_forced && (current == loaded || !is_settled) {
                continue;
            }
            loaded.clone_from(&current);
            let name = file.clone();
            // Blocking, since it may read further files.
            let running = gateway.clone();
            let parsing = task::spawn_blocking(move || {
                parse(
                    &name,
                    &current.file?,
                    Some(&running.current().config.identities),
                )
            });
            match parsing.await.unwrap_or_else(|panic| Err(panic.into())) {
                Ok(config) => {
                    gateway.replace(config);
                    log_reload(&gateway.current().config, &file, &started);
                }
                Err(error) => {
                    tracing::error!("keeping the previous configuration: {}", chain(&*error));
                }
            }
        }
    }
}

fn log_reload(config: &ActiveConfig, file: &str, started: &toml::Table) {
    tracing::info!("reloaded {file}");
    log_warnings(config, file);
    let settings = needs_restart(&config.sections, started);
    if !settings.is_empty() {
        let names = settings.join(", ");
        tracing::warn!("{file}: restart the gateway to apply the changes of {names}");
    }
}

/// SIGHUP, on Unix.
struct Hangup {
    #[cfg(unix)]
    signal: tokio::signal::unix::Signal,
}

impl Hangup {
    fn new() -> std::io::Result<Self> {
        #[cfg(unix)]
        let signal = {
            use tokio::signal::unix::{SignalKind, signal};
            signal(SignalKind::hangup())?
        };
        Ok(Self {
            #[cfg(unix)]
            signal,
        })
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if self.signal.recv().await.is_some() {
            return;
        }
        std::future::pending().await
    }
}
