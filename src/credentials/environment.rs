use std::env;

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError, future},
};

/// Provides the credentials in the environment variables `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, for
/// temporary credentials, `AWS_SESSION_TOKEN`.
///
/// The names are those of the AWS SDKs and Tools Reference Guide, "AWS access keys". Each load reads the variables
/// again.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use tower_sigv4::credentials::{EnvironmentCredentials, ProvideCredentials};
///
/// match EnvironmentCredentials::new().provide_credentials().await {
///     Ok(credentials) => assert!(!credentials.access_key_id().is_empty()),
///     Err(error) => {
///         let source = std::error::Error::source(&error).expect("names the variable");
///         assert!(source.to_string().starts_with("AWS_"));
///     }
/// }
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct EnvironmentCredentials(());

impl EnvironmentCredentials {
    /// Creates the provider, which reads the variables when it is called.
    pub fn new() -> Self {
        Self(())
    }
}

impl ProvideCredentials for EnvironmentCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(load(|name| env::var(name).ok()))
    }
}

fn load(variable: impl Fn(&str) -> Option<String>) -> Result<Credentials, CredentialsError> {
    let optional = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    let required = |name: &str| {
        optional(name).ok_or_else(|| {
            CredentialsError::not_loaded(format!("{name} is unset or blank; export it"))
        })
    };
    Ok(Credentials::new(
        required("AWS_ACCESS_KEY_ID")?,
        required("AWS_SECRET_ACCESS_KEY")?,
        optional("AWS_SESSION_TOKEN"),
        None,
        "environment",
    ))
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    fn load_from(variables: &[(&str, &str)]) -> Result<Credentials, CredentialsError> {
        load(|wanted| {
            let variable = variables.iter().find(|(name, _)| *name == wanted);
            variable.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn all_three_variables_are_read() {
        let id = ("AWS_ACCESS_KEY_ID", "AKID");
        let secret = ("AWS_SECRET_ACCESS_KEY", "secret");
        let credentials = load_from(&[id, secret]).expect("complete");
        assert_eq!(credentials.access_key_id(), "AKID");
        assert_eq!(credentials.secret_access_key(), "secret");
        assert_eq!(credentials.session_token(), None);

        let token = ("AWS_SESSION_TOKEN", "token");
        let temporary = load_from(&[id, secret, token]).expect("complete");
        assert_eq!(temporary.session_token(), Some("token"));
    }

    #[test]
    fn error_names_the_missing_or_blank_variable() {
        for (variables, name) in [
            (&[][..], "AWS_ACCESS_KEY_ID"),
            (&[("AWS_SECRET_ACCESS_KEY", "secret")], "AWS_ACCESS_KEY_ID"),
            (&[("AWS_ACCESS_KEY_ID", "AKID")], "AWS_SECRET_ACCESS_KEY"),
            (
                &[("AWS_ACCESS_KEY_ID", " "), ("AWS_SECRET_ACCESS_KEY", "s")],
                "AWS_ACCESS_KEY_ID",
            ),
        ] {
            let error = load_from(variables).expect_err(name);
            let source = error.source().expect("a cause").to_string();
            assert!(source.starts_with(name), "{source}");
        }
    }
}
