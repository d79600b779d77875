//! A configuration that is read anew when its file changes, and on SIGHUP.

use std::{fs, io::ErrorKind, mem, sync::Arc, time::Duration};

use tokio::{task, time};

use crate::{BoxError, config::Config, gateway::Gateway, response::chain};

/// How often the file is looked at: it is replaced on disks that tell no one, too.
const POLL: Duration = Duration::from_secs(1);

/// Reads a configuration.
pub(crate) fn load(file: &str) -> Result<Config, BoxError> {
    parse(file, &read(file)?)
}

fn read(file: &str) -> Result<Vec<u8>, BoxError> {
    fs::read(file).map_err(|error| {
        let remedy = match error.kind() {
            ErrorKind::NotFound => "; name one that is there, or write one with --init",
            ErrorKind::IsADirectory => "; name the file in it",
            _ => "",
        };
        format!("cannot read {file}: {error}{remedy}").into()
    })
}

fn parse(file: &str, bytes: &[u8]) -> Result<Config, BoxError> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        format!("{file}:{line}: this is not UTF-8; save the file as such")
    })?;
    Ok(Config::parse(text).map_err(|error| error.in_file(file))?)
}

/// Logs what origins are likely to refuse.
pub(crate) fn warn(config: &Config, file: &str) {
    for warning in config.warnings() {
        tracing::warn!("{}", warning.clone().in_file(file));
    }
}

/// What is there of a configuration: the file, or why it cannot be read, and the callers' keys that it names.
#[derive(Clone, PartialEq)]
struct Seen {
    file: Result<Vec<u8>, String>,
    keys: Option<Vec<u8>>,
}

impl Seen {
    fn of(file: &str, keys: Option<&str>) -> Self {
        Self::with(read(file).map_err(|error| error.to_string()), keys)
    }

    fn with(file: Result<Vec<u8>, String>, keys: Option<&str>) -> Self {
        Self {
            file,
            keys: keys.and_then(|keys| fs::read(keys).ok()),
        }
    }
}

/// A file, and what was there when it was read last.
pub(crate) struct Followed {
    file: String,
    seen: Seen,
    hangup: Hangup,
}

impl Followed {
    /// SIGHUP is caught from now on.
    pub(crate) fn open(file: String) -> Result<(Self, Config), BoxError> {
        let hangup = Hangup::new()?;
        let bytes = read(&file)?;
        let config = parse(&file, &bytes)?;
        let seen = Seen::with(Ok(bytes), config.keys_file());
        Ok((Self { file, seen, hangup }, config))
    }

    /// Has the gateway go on with what the file says, if that is sound. What is not is told once, and the last
    /// configuration stays.
    pub(crate) async fn follow(self, gateway: Arc<Gateway>) {
        let Self {
            file,
            seen,
            mut hangup,
        } = self;
        let started = gateway.now().config.sections().clone();
        let (mut tried, mut last) = (seen.clone(), seen);
        loop {
            let asked = tokio::select! {
                () = time::sleep(POLL) => false,
                () = hangup.next() => true,
            };
            let path = file.clone();
            let keys = gateway.now().config.keys_file().map(str::to_owned);
            let seen = task::spawn_blocking(move || Seen::of(&path, keys.as_deref()));
            let Ok(seen) = seen.await else { continue };
            // Who writes it may be in the middle: half a file may be sound, with half the routes, and one that is
            // missing is about to be replaced.
            let settled = mem::replace(&mut last, seen.clone()) == seen;
            if !asked && (seen == tried || !settled) {
                continue;
            }
            tried.clone_from(&seen);
            let path = file.clone();
            // It may name other files, which are read.
            let read = task::spawn_blocking(move || parse(&path, &seen.file?)).await;
            match read.unwrap_or_else(|panic| Err(panic.into())) {
                Ok(config) => {
                    gateway.replace(config);
                    tracing::info!("reloaded {file}");
                    warn(&gateway.now().config, &file);
                    let restart = gateway.now().config.needs_restart(&started);
                    if !restart.is_empty() {
                        let names = restart.join(", ");
                        tracing::warn!("{file}: {names}: changes take a restart");
                    }
                }
                Err(error) => stays(&*error),
            }
        }
    }
}

fn stays(error: &(dyn std::error::Error + 'static)) {
    tracing::error!("the configuration stays the last one: {}", chain(error));
}

/// SIGHUP, where there is such a thing.
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
