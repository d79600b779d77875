//! Credentials that a helper process prints.

use std::process::Stdio;

use aws_credential_types::provider::{self, ProvideCredentials, future};
use tokio::{io::AsyncReadExt, process::Command};

use super::{error::SourceError, json};

const MAX_OUTPUT_LEN: u64 = 64 * 1024;

/// Runs a program without a shell. It ends with the call, also if that times out.
#[derive(Debug)]
pub(super) struct ProcessCredentials {
    command: Vec<String>,
}

impl ProcessCredentials {
    pub(super) fn new(command: Vec<String>) -> Self {
        Self { command }
    }

    async fn run(&self) -> Result<Vec<u8>, SourceError> {
        let (program, arguments) = self.command.split_first().ok_or_else(|| {
            SourceError::new("the helper has no command", "set command of the identity")
        })?;
        let failed = |error: std::io::Error| {
            SourceError::new(
                format!("the helper cannot run: {}", error.kind()),
                format!("check that {program:?} exists and can be executed"),
            )
        };
        let mut process = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // It may print secrets.
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let mut output = Vec::new();
        if let Some(stdout) = process.stdout.take() {
            let mut limited = stdout.take(MAX_OUTPUT_LEN);
            limited.read_to_end(&mut output).await.map_err(failed)?;
        }
        let status = process.wait().await.map_err(failed)?;
        if status.success() {
            return Ok(output);
        }
        Err(SourceError::new(
            format!("the helper failed with {status}"),
            format!("run {program:?} as the gateway's user to see its message"),
        ))
    }

    async fn credentials(&self) -> provider::Result {
        let output = self.run().await?;
        Ok(json::parse(&output, "process")?)
    }
}

impl ProvideCredentials for ProcessCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}
