//! A configuration that is read anew when its file changes, and on SIGHUP.

use std::{fs, io::ErrorKind, mem, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::{Router, body::Body};
use http::Request;
use tokio::{task, time};
use tower::{ServiceExt, service_fn};

use crate::{BoxError, config::Config, origins, proxy::chain, stack};

/// How often the file is looked at: it is replaced on disks that tell no one, too.
const POLL: Duration = Duration::from_secs(1);

/// What a file holds, and what is made of it.
struct Loaded {
    file: String,
    bytes: Vec<u8>,
    config: Config,
}

/// Reads a configuration, and prints what its origins are likely to refuse.
pub(crate) fn load(file: &str) -> Result<Config, BoxError> {
    parse(file, &read(file)?)
}

fn read(file: &str) -> Result<Vec<u8>, BoxError> {
    fs::read(file).map_err(|error| {
        let cure = match error.kind() {
            ErrorKind::NotFound => "; name one that is there, or write one with --init",
            ErrorKind::IsADirectory => "; name the file in it",
            _ => "",
        };
        format!("cannot read {file}: {error}{cure}").into()
    })
}

fn parse(file: &str, bytes: &[u8]) -> Result<Config, BoxError> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{file}:{line}: this is not UTF-8; save the file as such")
    })?;
    let config = Config::parse(text).map_err(|error| error.in_file(file))?;
    for warning in config.warnings() {
        eprintln!("{}", warning.clone().in_file(file));
    }
    Ok(config)
}

/// The way through the gateway, as the file has it at the time of each request: one in flight is finished as
/// it was begun.
pub(crate) struct Reloading {
    now: Arc<ArcSwap<Router>>,
    client: Arc<origins::Client>,
    loaded: Loaded,
    hangup: Hangup,
}

impl Reloading {
    /// SIGHUP is caught from now on.
    pub(crate) fn new(file: String) -> Result<Self, BoxError> {
        let hangup = Hangup::new()?;
        let client = Arc::new(origins::Client::new()?);
        let bytes = read(&file)?;
        let config = parse(&file, &bytes)?;
        let now = Arc::new(ArcSwap::from_pointee(stack::router_over(&config, client.clone())?));
        Ok(Self { now, client, loaded: Loaded { file, bytes, config }, hangup })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.loaded.config
    }

    pub(crate) fn router(&self) -> Router {
        let now = self.now.clone();
        let current =
            service_fn(move |request: Request<Body>| Router::clone(&now.load()).oneshot(request));
        Router::new().fallback_service(current)
    }

    /// Takes what the file says, if it is sound. What is not is told once, and the last one stays.
    pub(crate) async fn follow(self) {
        let Self { now, client, loaded: Loaded { file, bytes, config }, mut hangup } = self;
        let started = config.sections().clone();
        let mut running = Arc::new(config);
        let (mut tried, mut last) = (bytes.clone(), bytes);
        loop {
            let asked = tokio::select! {
                () = time::sleep(POLL) => false,
                () = hangup.next() => true,
            };
            let path = file.clone();
            let Ok(found) = task::spawn_blocking(move || read(&path)).await else { continue };
            let bytes = match found {
                Ok(bytes) => bytes,
                Err(error) if asked => {
                    stays(&*error);
                    continue;
                }
                // One that is missing is about to be replaced.
                Err(_) => continue,
            };
            // Who writes it may be in the middle: half a file may be sound, with half the routes.
            let settled = mem::replace(&mut last, bytes.clone()) == bytes;
            if !asked && (bytes == tried || !settled) {
                continue;
            }
            tried.clone_from(&bytes);
            let (path, client, before) = (file.clone(), client.clone(), running.clone());
            // It may name other files, which are read.
            let taken = task::spawn_blocking(move || {
                let config = parse(&path, &bytes)?.continuing(&before);
                Ok::<_, BoxError>((stack::router_over(&config, client)?, config))
            });
            match taken.await.unwrap_or_else(|panic| Err(panic.into())) {
                Ok((router, config)) => {
                    now.store(Arc::new(router));
                    eprintln!("sigv4-gateway: reloaded {file}");
                    let restart = config.needs_restart(&started);
                    if !restart.is_empty() {
                        let names = restart.join(", ");
                        eprintln!("sigv4-gateway: {file}: {names}: changes take a restart");
                    }
                    running = Arc::new(config);
                }
                Err(error) => stays(&*error),
            }
        }
    }
}

fn stays(error: &(dyn std::error::Error + 'static)) {
    eprintln!("sigv4-gateway: the configuration stays the last one: {}", chain(error));
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
