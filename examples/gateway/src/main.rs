//! A gateway that signs requests for AWS origins.
//!
//! Without arguments it is a demonstration: it starts an origin of its own that verifies signatures,
//! and signs for it. With `--config FILE` it forwards in earnest.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod cli;
mod config;
mod demo;
mod proxy;
mod serve;

use std::{error::Error, fs, process::ExitCode};

use self::{
    cli::Command,
    config::Config,
    serve::{bind, serve},
};

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let command = match cli::parse() {
        Ok(command) => command,
        Err(error) => {
            eprintln!("sigv4-gateway: {error}; see sigv4-gateway --help");
            return ExitCode::from(2);
        }
    };
    match run(command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sigv4-gateway: {}", proxy::chain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), BoxError> {
    match command {
        Command::Print(text) => println!("{text}"),
        Command::Check { file } => {
            let config = load(&file)?;
            drop(proxy::router(&config)?);
            let (origins, routes) = (config.origins(), config.routes());
            let warnings = match config.warnings().len() {
                0 => String::new(),
                warnings => format!(", {warnings} warning(s)"),
            };
            println!("{file}: {origins} origin(s), {routes} route(s), no errors{warnings}");
        }
        Command::Forward { file, listen } => {
            let config = load(&file)?;
            let router = proxy::router(&config)?;
            let (server, address) = bind(listen.unwrap_or(config.listen())).await?;
            println!("gateway http://{address} signs as {file} says; Ctrl-C ends it");
            serve(server, router).await;
        }
        Command::Demo { listen } => {
            let (server, address) = bind(listen.unwrap_or(config::DEFAULT_LISTEN)).await?;
            let origin = demo::start_origin().await?;
            let config =
                Config::parse(&demo::config(origin)).map_err(|error| error.in_file("demo"))?;
            let router = proxy::router(&config)?;
            println!("{}", demo::welcome(origin, address));
            serve(server, router).await;
        }
    }
    Ok(())
}

/// Reads a configuration, and prints what its origins are likely to refuse.
fn load(file: &str) -> Result<Config, BoxError> {
    let text = fs::read_to_string(file).map_err(|error| format!("cannot read {file}: {error}"))?;
    let config = Config::parse(&text).map_err(|error| error.in_file(file))?;
    for warning in config.warnings() {
        eprintln!("{}", warning.clone().in_file(file));
    }
    Ok(config)
}
