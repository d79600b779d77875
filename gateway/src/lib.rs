//! A gateway that signs requests for AWS origins.
//!
//! Without arguments it is a demonstration: it starts an origin of its own that verifies signatures,
//! and signs for it. With `--config FILE` it forwards in earnest.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod admin;
#[cfg(feature = "aws-config")]
mod aws_credentials;
mod build;
mod cache;
mod cli;
mod config;
mod demo;
mod explain;
mod gateway;
mod init;
#[cfg(feature = "lambda")]
mod lambda;
mod listener;
mod log;
mod metrics;
mod min_body_rate;
mod reload;
mod request_id;
mod request_record;
mod request_validation;
mod response;
mod tunnel;
mod upstream;

use std::{
    error::Error,
    fmt::Display,
    fs::File,
    io::{self, Read, Write},
    process::ExitCode,
};

use tokio::runtime::Runtime;

use self::{
    cli::Command,
    config::Config,
    gateway::Gateway,
    listener::{bind, serve},
    reload::{Followed, load},
};

type BoxError = Box<dyn Error + Send + Sync>;

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    let command = match cli::parse() {
        Ok(command) => command,
        Err(error) => {
            eprintln!("sigv4-gateway: {error}; see sigv4-gateway --help");
            return ExitCode::from(2);
        }
    };
    let ended = Runtime::new().map_err(Into::into).and_then(|runtime| {
        let ended = runtime.block_on(run(command));
        // A disk or a resolver that never answers holds a thread of the runtime; it would be waited for.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sigv4-gateway: {}", response::chain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Whether a configuration is sound, and what is wrong with it if not.
///
/// # Errors
///
/// What `--check` says of it.
pub fn check(text: &str) -> Result<(), String> {
    Config::parse(text)
        .map(drop)
        .map_err(|error| error.to_string())
}

/// Why a saved answer refused a signature, as `--explain` says it and as the workbench of the status page does.
///
/// # Errors
///
/// What is missing from it, if it cannot be told.
pub fn explain(saved: &str) -> Result<(String, serde_json::Value), String> {
    explain::Explanation::parse(saved).map(|explained| (explained.to_string(), explained.to_json()))
}

/// Prints what may be of use to someone; that no one reads it is no reason to end.
fn tell(text: impl Display) {
    drop(writeln!(io::stdout(), "{text}"));
}

/// How much of a saved exchange is read, in bytes.
const LONGEST: u64 = 1024 * 1024;

async fn run(command: Command) -> Result<(), BoxError> {
    match command {
        Command::Print(text) => tell(text),
        Command::PrintSchema => tell(config::schema()),
        Command::Init { file } => init::write(&file)?,
        Command::Check { file } => {
            let config = load(&file)?;
            for warning in config.warnings() {
                eprintln!("{}", warning.clone().in_file(&file));
            }
            let (origins, routes) = (config.origins(), config.routes().len());
            let warnings = match config.warnings().len() {
                0 => String::new(),
                warnings => format!(", {warnings} warning(s)"),
            };
            tell(format_args!(
                "{file}: {origins} origin(s), {routes} route(s), no errors{warnings}"
            ));
        }
        Command::Explain { file } => {
            let mut saved = Vec::new();
            let read = match &*file {
                "-" => io::stdin().take(LONGEST).read_to_end(&mut saved),
                path => {
                    File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut saved))
                }
            };
            read.map_err(|error| format!("cannot read {file}: {error}"))?;
            let explained = explain::Explanation::parse(&String::from_utf8_lossy(&saved))?;
            drop(write!(io::stdout(), "{explained}"));
        }
        #[cfg(feature = "lambda")]
        Command::Forward { file, .. } if lambda::runs_in_lambda() => {
            lambda::serve(load(&file)?, &file).await?
        }
        #[cfg(feature = "lambda")]
        Command::Demo { .. } if lambda::runs_in_lambda() => {
            return Err(lambda::MISSING_CONFIG.into());
        }
        Command::Forward { file, listen } => {
            let (followed, config) = Followed::open(file.clone())?;
            let settings = config.server().clone();
            let (server, address) = bind(listen.unwrap_or(settings.listen)).await?;
            let gateway = Gateway::new(config)?;
            if let Some(address) = admin::start(&gateway, server.stopping()).await? {
                tell(format_args!(
                    "admin http://{address}/ shows the status page, and answers /healthz, /readyz and /metrics"
                ));
            }
            let scheme = if settings.tls.is_some() {
                "https"
            } else {
                "http"
            };
            tell(format_args!(
                "gateway {scheme}://{address} signs as {file} says; Ctrl-C ends it"
            ));
            gateway.log().install()?;
            let _written = gateway.log().write_in_background();
            reload::warn(&gateway.now().config, &file);
            tokio::spawn(followed.follow(gateway.clone()));
            serve(server, &gateway, &settings).await?;
        }
        Command::Demo { listen } => {
            let (server, address) = bind(listen.unwrap_or(config::DEFAULT_LISTEN)).await?;
            let origin = demo::start_origin().await?;
            let config =
                Config::parse(&demo::config(origin)).map_err(|error| error.in_file("demo"))?;
            let (settings, gateway) = (config.server().clone(), Gateway::new(config)?);
            gateway.log().install()?;
            let _written = gateway.log().write_in_background();
            let admin = admin::start(&gateway, server.stopping()).await?;
            tell(demo::welcome(origin, address, admin));
            serve(server, &gateway, &settings).await?;
        }
    }
    Ok(())
}
