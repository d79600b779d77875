//! Credentials in a file, such as a secret that Kubernetes mounts.

use std::{io::Read, path::PathBuf};

use aws_credential_types::{
    Credentials,
    provider::{self, ProvideCredentials, future},
};
use tokio::task;

use super::{error::SourceError, json};
use crate::regular_file;

const MAX_LEN: u64 = 1024 * 1024;
const PROVIDER: &str = "file";

/// Reads JSON of `credential_process`, or a profile in the format of AWS's shared credentials file.
#[derive(Debug)]
pub(super) struct FileCredentials {
    path: PathBuf,
    profile: String,
}

impl FileCredentials {
    pub(super) fn new(path: impl Into<PathBuf>, profile: Option<String>) -> Self {
        Self {
            path: path.into(),
            profile: profile.unwrap_or_else(|| "default".to_owned()),
        }
    }

    async fn credentials(&self) -> provider::Result {
        let path = self.path.clone();
        let read = task::spawn_blocking(move || {
            let mut text = Vec::new();
            regular_file::open(path)?
                .take(MAX_LEN)
                .read_to_end(&mut text)?;
            Ok::<_, std::io::Error>(text)
        });
        let text = read.await.unwrap_or_else(|panic| Err(panic.into()));
        let bytes = text.map_err(|error| {
            SourceError::new(
                format!("the file cannot be read: {error}"),
                format!("check {}", self.path.display()),
            )
        })?;
        Ok(parse(&bytes, &self.profile)?)
    }
}

fn parse(bytes: &[u8], profile: &str) -> Result<Credentials, SourceError> {
    if bytes.trim_ascii_start().starts_with(b"{") {
        return json::parse(bytes, PROVIDER);
    }
    let text = str::from_utf8(bytes)
        .map_err(|_| SourceError::new("the file is not UTF-8", "save it as UTF-8"))?;
    let mut is_in_profile = false;
    let mut values = [const { None }; 3];
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            let name = header.split(']').next().unwrap_or_default().trim();
            is_in_profile = name == profile;
            continue;
        }
        let Some((name, text_of)) = line.split_once('=').filter(|_| is_in_profile) else {
            continue;
        };
        let slot = match name.trim() {
            "aws_access_key_id" => 0,
            "aws_secret_access_key" => 1,
            "aws_session_token" => 2,
            _ => continue,
        };
        values[slot] = Some(text_of.trim()).filter(|it| !it.is_empty());
    }
    let [id, secret, token] = values;
    let (key, value) = id.zip(secret).ok_or_else(|| {
        SourceError::new(
            format!("the file has no keys of profile {profile:?}"),
            format!(
                "write [{profile}], aws_access_key_id = ... and aws_secret_access_key = ..., or JSON of \
                 credential_process"
            ),
        )
    })?;
    Ok(Credentials::new(
        key,
        value,
        token.map(str::to_owned),
        None,
        PROVIDER,
    ))
}

impl ProvideCredentials for FileCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# comment\n[default]\naws_access_key_id = AKIDDEFAULT\naws_secret_access_key=hunter2\n\n\
                        [ orders ]\naws_access_key_id=ASIAORDERS\nregion = eu-west-1\n\
                        aws_secret_access_key = a=b\naws_session_token = t==\n[empty]\naws_access_key_id = x\n";

    #[test]
    fn profiles_of_a_shared_file_are_read() {
        let default = parse(FILE.as_bytes(), "default").expect("keys");
        assert_eq!(default.access_key_id(), "AKIDDEFAULT");
        assert_eq!(default.session_token(), None);
        let orders = parse(FILE.as_bytes(), "orders").expect("keys");
        assert_eq!(orders.access_key_id(), "ASIAORDERS");
        assert_eq!(orders.secret_access_key(), "a=b");
        assert_eq!(orders.session_token(), Some("t=="));
    }

    #[test]
    fn incomplete_profiles_are_errors_without_secrets() {
        for (text, profile) in [
            (FILE, "empty"),
            (FILE, "other"),
            ("", "default"),
            ("hunter2", "default"),
        ] {
            let error = parse(text.as_bytes(), profile).expect_err(profile);
            let message = format!("{error} {error:?}");
            assert!(
                message.contains(&format!("no keys of profile {profile:?}")),
                "{message}"
            );
            assert!(!message.contains("hunter2"), "{message}");
        }
        assert!(parse(b"\xff", "default").is_err());
    }
}
