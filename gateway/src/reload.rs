//! Reloads the configuration when its file changes, and on SIGHUP.

use std::{fs, mem, sync::Arc, time::Duration};

use tokio::{task, time};
use tower_sigv4::sigv4::PayloadHash;

use crate::{
    BoxError,
    build::ActiveConfig,
    config::{ConfigError, ConfigText, Sections, needs_restart, value_files_in, value_hash},
    error::chain,
    gateway::Gateway,
    regular_file,
};

/// Interval at which the file is read: some file systems do not report changes.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Reads and parses a configuration.
pub(crate) fn load(file: &str) -> Result<ActiveConfig, BoxError> {
    Ok(ActiveConfig::parse_after(&ConfigText::read(file)?, None)?)
}

/// Logs settings that origins are likely to reject.
pub(crate) fn log_warnings(config: &ActiveConfig) {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}

/// Contents of the configuration, or the error of reading it, and of the files that it names.
#[derive(Clone)]
struct Snapshot {
    text: Result<ConfigText, ConfigError>,
    /// Path of the file of callers' keys.
    keys_file: Option<String>,
    /// Hash of this file.
    keys: Option<String>,
    /// Files of values.
    named: Vec<String>,
    /// Hashes of the files of values, which are secrets.
    values: Vec<Option<String>>,
}

impl Snapshot {
    fn new(text: Result<ConfigText, ConfigError>, last: Option<&Self>) -> Self {
        let same = last.filter(|it| it.has_text_of(&text));
        let changed = match (same, &text) {
            (None, Ok(new)) => new.keys_file(),
            _ => None,
        };
        // An invalid text may name none: each change of the keys in use is logged still.
        let keys_file = changed.or_else(|| last?.keys_file.clone());
        let content = keys_file
            .as_ref()
            .and_then(|path| regular_file::read(path).ok());
        let keys = content
            .as_ref()
            .map(|bytes| PayloadHash::of(bytes).to_string());
        let named = match same {
            Some(known) if known.keys == keys => known.named.clone(),
            _ => {
                let of_text = text.as_ref().map(ConfigText::value_files);
                let mut files = of_text.unwrap_or_default();
                files.extend(content.iter().flat_map(|bytes| value_files_in(bytes)));
                files
            }
        };
        Self {
            values: named.iter().map(|path| value_hash(path)).collect(),
            text,
            keys_file,
            keys,
            named,
        }
    }

    /// Parses the text, which reads the other files again. Their hashes are older, so that a change between is one of
    /// the next reload.
    fn parse(&self, last: Option<&ActiveConfig>) -> Result<ActiveConfig, ConfigError> {
        ActiveConfig::parse_after(self.text.as_ref().map_err(Clone::clone)?, last)
    }

    fn has_text_of(&self, other: &Result<ConfigText, ConfigError>) -> bool {
        match (&self.text, other) {
            (Ok(one), Ok(two)) => one == two,
            (Err(one), Err(two)) => one.to_string() == two.to_string(),
            _ => false,
        }
    }
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        self.has_text_of(&other.text) && self.keys == other.keys && self.values == other.values
    }
}

/// A configuration file that is watched for changes.
pub(crate) struct WatchedFile {
    file: String,
    /// Text of a file that is a pipe, which can be read once.
    piped: Option<String>,
    snapshot: Snapshot,
    hangup: Hangup,
}

impl WatchedFile {
    /// Reads the file. SIGHUP is caught from now on.
    pub(crate) fn open(file: String) -> Result<(Self, ActiveConfig), BoxError> {
        let hangup = Hangup::new()?;
        let is_regular = fs::metadata(&file).is_ok_and(|it| it.is_file());
        let text = ConfigText::read(&file)?;
        let piped = (!is_regular).then(|| text.first().to_owned());
        let snapshot = Snapshot::new(Ok(text), None);
        let config = snapshot.parse(None)?;
        let watched = Self {
            file,
            piped,
            snapshot,
            hangup,
        };
        Ok((watched, config))
    }

    /// Replaces the gateway's configuration when a file changes. An invalid one is logged once, and the previous one
    /// stays.
    pub(crate) async fn watch(self, gateway: Arc<Gateway>) {
        let Self {
            file,
            piped,
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
            let (path, first) = (file.clone(), piped.clone());
            let known = last.clone();
            let read = task::spawn_blocking(move || {
                Snapshot::new(ConfigText::read_again(&path, first), Some(&known))
            });
            let Ok(current) = read.await else { continue };
            // Half a file may be valid, with half the routes, and a missing file is about to be replaced: so wait until
            // the file is the same twice.
            let is_settled = mem::replace(&mut last, current.clone()) == current;
            if !is_forced && (current == loaded || !is_settled) {
                continue;
            }
            loaded.clone_from(&current);
            // Blocking, since it may read further files.
            let running = gateway.clone();
            let parsing = task::spawn_blocking(move || {
                let replaced = &running.current().config;
                current.parse(Some(replaced)).map_err(BoxError::from)
            });
            match parsing.await.unwrap_or_else(|panic| Err(panic.into())) {
                Ok(config) => {
                    gateway.replace(config);
                    log_reload(&gateway.current().config, &file, &started);
                }
                Err(error) => {
                    tracing::error!(
                        "keeping the previous configuration, keys and secrets until this is corrected: {}",
                        chain(&*error)
                    );
                }
            }
        }
    }
}

fn log_reload(config: &ActiveConfig, file: &str, started: &Sections) {
    tracing::info!("reloaded {file}");
    log_warnings(config);
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

#[cfg(test)]
mod tests {
    use std::{env, process};

    use super::*;

    #[tokio::test]
    async fn changes_before_the_parser_reads_are_those_of_the_next_reload() {
        let [secret, keys] = ["secret", "keys"].map(|name| {
            let name = format!("sigv4-gateway-reload-{name}-{}", process::id());
            env::temp_dir().join(name).display().to_string()
        });
        let text = ConfigText::new(format!(
            r#"[credentials]
source = "static"
access_key_id = "AKID"
secret_access_key = "file:{secret}"
[verify]
service = "execute-api"
region = "eu-west-1"
keys_file = "{keys}"
[[origin]]
name = "orders"
url = "http://127.0.0.1:1"
service = "execute-api"
region = "eu-west-1"
[[route]]
path = "/"
origin = "orders"
"#
        ));
        let key =
            |id: &str| format!("[[key]]\naccess_key_id = \"{id}\"\nsecret_access_key = \"s\"\n");
        for (changed, content) in [(&secret, "hunter3".to_owned()), (&keys, key("AKIDNEW"))] {
            fs::write(&secret, "hunter2").expect("written");
            fs::write(&keys, key("AKIDOLD")).expect("written");
            let first = Snapshot::new(Ok(text.clone()), None);
            fs::write(changed, content).expect("written");
            first.parse(None).expect("valid");
            let next = Snapshot::new(Ok(text.clone()), Some(&first));
            assert!(next != first, "{changed}");
            assert!(next == Snapshot::new(Ok(text.clone()), Some(&next)));
        }
        for path in [secret, keys] {
            fs::remove_file(path).expect("removed");
        }
    }
}
