//! A gateway that signs requests for AWS origins.
//!
//! Without arguments it runs a demonstration: an origin that verifies signatures, and a gateway that signs for it.
//! With `--config FILE` it forwards requests as the file configures.

#![cfg_attr(
    not(test),
    warn(
        clippy::shadow_reuse,
        clippy::shadow_same,
        clippy::shadow_unrelated,
        clippy::unwrap_used
    )
)]

mod admin;
mod authentication;
mod authorization;
mod build;
mod caller;
mod caller_keys;
mod cli;
mod config;
mod connection;
mod demo;
mod error;
mod explain;
mod fleet;
mod form_upload;
mod gateway;
mod header_edits;
mod headers;
mod identity;
mod init;
mod issuer_client;
#[cfg(feature = "lambda")]
mod lambda;
mod listener;
mod log;
mod metrics;
mod min_body_rate;
mod open_files;
mod rate;
mod regular_file;
mod reload;
mod request_id;
mod request_record;
mod request_rejection;
mod request_route;
mod request_validation;
mod response;
mod routes;
mod service;
mod setting_names;
mod stack;
mod store_check;
mod strict_xml;
mod telemetry;
mod trailers;
mod tunnel;
mod upstream;

use std::{
    env,
    fmt::Display,
    fs::File,
    io::{self, IsTerminal, Read, Write},
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
};

use http::request::Parts;
use tokio::runtime::Runtime;
#[cfg(feature = "otlp")]
use tokio::{sync::watch, time::Instant};

use self::{
    authorization::{Authorization, CallerFacts},
    build::ActiveConfig,
    cli::Command,
    config::ConfigText,
    error::{BoxError, chain},
    gateway::Gateway,
    listener::PassedListeners,
    reload::{WatchedFile, load},
};

/// Time to export telemetry if requests have used the whole grace period.
#[cfg(feature = "otlp")]
const MIN_FLUSH_TIME: std::time::Duration = std::time::Duration::from_secs(1);
/// Longest time for it. Clients wait for the next process meanwhile, or are refused.
#[cfg(feature = "otlp")]
const MAX_FLUSH_TIME: std::time::Duration = std::time::Duration::from_secs(5);

/// Runs the command line's command.
#[must_use]
pub fn main() -> ExitCode {
    let command = match cli::parse() {
        Ok(command) => command,
        Err(error) => {
            eprintln!("sigv4-gateway: {error}; see sigv4-gateway --help");
            return ExitCode::from(2);
        }
    };
    let result = Runtime::new().map_err(Into::into).and_then(|runtime| {
        let result = runtime.block_on(run(command));
        // Dropping the runtime would wait for a blocked disk or resolver.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sigv4-gateway: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Checks a configuration.
///
/// # Errors
///
/// Returns the message that `--check` prints.
pub fn check(text: &str) -> Result<(), String> {
    ActiveConfig::parse(text)
        .map(drop)
        .map_err(|error| error.to_string())
}

/// Explains a rejected signature from a saved response, as text for `--explain` and as JSON for the status page.
///
/// # Errors
///
/// Returns what is missing in the response.
pub fn explain(saved: &str) -> Result<(String, serde_json::Value), String> {
    explain::Explanation::parse(saved, None)
        .map(|explanation| (explanation.to_string(), explanation.to_json()))
}

/// Authorization by the sections `[[caller]]` of a configuration, without its services.
#[derive(Debug)]
pub struct Authorizer(Arc<Authorization>);

impl Authorizer {
    /// Parses a configuration.
    ///
    /// # Errors
    ///
    /// Returns the message that `--check` prints, or one for a configuration without `[[caller]]`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config = ActiveConfig::parse(text).map_err(|error| error.to_string())?;
        let authorization = config.authorization.ok_or("there is no [[caller]]")?;
        Ok(Self(authorization))
    }

    /// Returns `true` if the caller with this key may send a request.
    #[must_use]
    pub fn allows(&self, access_key_id: &str, head: &Parts, body: &[u8]) -> bool {
        self.0
            .allows(CallerFacts::Key { access_key_id }, head, body)
    }
}

/// Prints a line. A closed standard output is not an error.
fn print(text: impl Display) {
    drop(writeln!(io::stdout(), "{text}"));
}

async fn run(command: Command) -> Result<(), BoxError> {
    match command {
        Command::Print(text) => print(text),
        Command::PrintSchema => print(config::schema()),
        Command::PrintConfig { file } => print_config(&file)?,
        Command::Check { file, credentials } => check_file(&file, credentials).await?,
        Command::Init { file, s3 } => init::write(&file, s3)?,
        Command::Explain { file, secret_env } => explain_file(&file, secret_env.as_deref())?,
        #[cfg(feature = "lambda")]
        Command::Forward { file, .. } if lambda::runs_in_lambda() => {
            lambda::serve(load(&file)?).await?;
        }
        #[cfg(feature = "lambda")]
        Command::Demo { .. } if lambda::runs_in_lambda() => {
            return Err(lambda::MISSING_CONFIG.into());
        }
        Command::Forward { file, listen } => forward(file, listen).await?,
        Command::Demo { listen } => demonstrate(listen).await?,
    }
    Ok(())
}

fn print_config(file: &str) -> Result<(), BoxError> {
    let text = ConfigText::read(file)?;
    drop(ActiveConfig::parse_after(&text, None)?); // an invalid file has no merged form
    print(config::printed(&text)?.trim_end());
    Ok(())
}

async fn check_file(file: &str, credentials: bool) -> Result<(), BoxError> {
    let config = load(file)?;
    if credentials {
        check_credentials(&config).await?;
    }
    let cache = config.used_cache().cloned();
    let store = store_check::check(cache, config.shared_rates.clone())
        .await
        .err();
    if let Some(warning) = &store {
        eprintln!("{file}: warning: {warning}");
    }
    for warning in &config.warnings {
        eprintln!("{}", warning.as_warning());
    }
    let limit = open_files::raise_limit();
    if let Some(warning) = open_files::warning(config.server.max_connections, limit) {
        eprintln!("{file}: warning: {warning}");
    }
    let origins = config.origins;
    let routes = config.routes.len();
    let warnings = match config.warnings.len() + usize::from(store.is_some()) {
        0 => String::new(),
        count => format!(", {count} warning(s)"),
    };
    print(format_args!(
        "{file}: {origins} origin(s), {routes} route(s), no errors{warnings}"
    ));
    Ok(())
}

/// Gets the credentials of each identity once, and prints them or their error.
async fn check_credentials(config: &ActiveConfig) -> Result<(), BoxError> {
    let mut missing = 0;
    for identity in config.checked_identities() {
        match identity.describe_credentials().await {
            Ok(checked) => {
                print(checked.description);
                for finding in checked.findings {
                    eprintln!("warning: identity {:?}: {finding}", identity.name());
                }
            }
            Err(error) => {
                eprintln!("{error}");
                missing += 1;
            }
        }
    }
    match missing {
        0 => Ok(()),
        count => Err(format!("{count} identity(s) without credentials").into()),
    }
}

fn explain_file(file: &str, secret_env: Option<&str>) -> Result<(), BoxError> {
    let mut saved = Vec::new();
    let read = if file == "-" {
        io::stdin()
            .take(explain::MAX_FILE_LEN)
            .read_to_end(&mut saved)
    } else {
        File::open(file)
            .and_then(|opened| opened.take(explain::MAX_FILE_LEN).read_to_end(&mut saved))
    };
    read.map_err(|error| format!("cannot read {file}: {error}"))?;
    let secret = known_secret(secret_env)?;
    let explanation =
        explain::Explanation::parse(&String::from_utf8_lossy(&saved), secret.as_ref())?;
    // https://no-color.org
    let is_plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let text = if io::stdout().is_terminal() && !is_plain {
        explanation.colored()
    } else {
        explanation.to_string()
    };
    drop(io::stdout().write_all(text.as_bytes()));
    Ok(())
}

/// Returns the secret in this variable, or else that of the environment's own access key, if both are set.
fn known_secret(secret_env: Option<&str>) -> Result<Option<explain::KnownSecret>, BoxError> {
    let read = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(name) = secret_env {
        let secret_access_key =
            read(name).ok_or_else(|| format!("--secret-env {name}: the variable is not set"))?;
        return Ok(Some(explain::KnownSecret {
            access_key_id: None,
            secret_access_key,
        }));
    }
    let own = read("AWS_ACCESS_KEY_ID").zip(read("AWS_SECRET_ACCESS_KEY"));
    Ok(own.map(|(id, secret_access_key)| explain::KnownSecret {
        access_key_id: Some(id),
        secret_access_key,
    }))
}

/// Forwards requests until a signal stops the process.
async fn forward(file: String, listen: Option<SocketAddr>) -> Result<(), BoxError> {
    let (watched, config) = WatchedFile::open(file.clone())?;
    let settings = config.server.clone();
    let mut passed = PassedListeners::from_env();
    let (server, address) = listener::open(
        listen.unwrap_or(settings.listen),
        settings.reuse_port,
        &mut passed,
    )?;
    let gateway = Gateway::new(config)?;
    if let Some(admin) = admin::start(&gateway, server.stopping(), &mut passed)? {
        print(format_args!(
            "admin http://{admin}/ serves the status page, /healthz, /readyz and /metrics"
        ));
    }
    let scheme = if settings.tls.is_some() {
        "https"
    } else {
        "http"
    };
    print(format_args!(
        "gateway {scheme}://{address} signs requests as configured in {file}; press Ctrl-C to stop"
    ));
    gateway.log().install()?;
    let _flush_log = gateway.log().write_in_background();
    reload::log_warnings(&gateway.current().config);
    if passed.unused() > 0 {
        tracing::warn!(
            "{} listeners that the parent process passes are not used, and their clients wait; remove them from the socket unit",
            passed.unused()
        );
    }
    tokio::spawn(watched.watch(gateway.clone()));
    tokio::spawn(store_check::watch(gateway.clone()));
    tokio::spawn(identity::watch::watch(gateway.clone()));
    tokio::spawn(fleet::watch::watch(gateway.clone(), server.stopping()));
    #[cfg(feature = "otlp")]
    let telemetry = match gateway.tracer() {
        Some(tracer) => {
            let source = gateway.clone();
            telemetry::start(tracer, move || source.metric_families())?
        }
        None => None,
    };
    #[cfg(feature = "otlp")]
    let stop_time = tokio::spawn(stop_time(server.stopping()));
    let connections = gateway.metrics().connections().clone();
    let served = listener::serve(server, gateway.service(), connections, &settings).await;
    #[cfg(feature = "otlp")]
    if let Some(exporter) = telemetry {
        let deadline = stop_time.await? + settings.drain_delay + settings.shutdown_grace;
        let left = deadline.saturating_duration_since(Instant::now());
        exporter
            .flush(left.clamp(MIN_FLUSH_TIME, MAX_FLUSH_TIME))
            .await;
    }
    served
}

/// Returns the time of the signal that stops the process.
#[cfg(feature = "otlp")]
async fn stop_time(mut stopping: watch::Receiver<bool>) -> Instant {
    drop(stopping.wait_for(|is_stopping| *is_stopping).await); // an error means that it ends without a signal
    Instant::now()
}

/// Runs the demonstration until a signal stops the process.
async fn demonstrate(listen: Option<SocketAddr>) -> Result<(), BoxError> {
    let mut passed = PassedListeners::from_env();
    let (server, address) =
        listener::open(listen.unwrap_or(config::DEFAULT_LISTEN), false, &mut passed)?;
    let origin = demo::start_origin().await?;
    let config =
        ActiveConfig::parse(&demo::config(origin)).map_err(|error| error.in_file("demo"))?;
    let settings = config.server.clone();
    let gateway = Gateway::new(config)?;
    gateway.log().install()?;
    let _flush_log = gateway.log().write_in_background();
    let admin = admin::start(&gateway, server.stopping(), &mut passed)?;
    print(demo::welcome(origin, address, admin));
    let connections = gateway.metrics().connections().clone();
    listener::serve(server, gateway.service(), connections, &settings).await
}
