//! Sources of credentials.

use aws_credential_types::Credentials;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{caller_source::CallerSource, role::Role};

#[derive(Deserialize, JsonSchema, Clone, Copy, PartialEq, Debug)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SourceName {
    Env,
    Static,
    Profile,
    Process,
    File,
    WebIdentity,
    Container,
    Instance,
    Aws,
    CognitoIdentityPool,
    CallerWebIdentity,
}

impl SourceName {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::Static => "static",
            Self::Profile => "profile",
            Self::Process => "process",
            Self::File => "file",
            Self::WebIdentity => "web-identity",
            Self::Container => "container",
            Self::Instance => "instance",
            Self::Aws => "aws",
            Self::CognitoIdentityPool => "cognito-identity-pool",
            Self::CallerWebIdentity => "caller-web-identity",
        }
    }
}

/// Source of credentials.
#[derive(Clone, PartialEq)]
pub(crate) enum Source {
    /// The environment variables `AWS_ACCESS_KEY_ID` and so on.
    Environment,
    Static(Credentials),
    /// A profile of AWS's shared files, or the one that `AWS_PROFILE` names.
    Profile(Option<String>),
    /// Program and arguments that print JSON, as `credential_process` of AWS's shared files.
    Process(Vec<String>),
    File {
        path: String,
        profile: Option<String>,
    },
    /// Exchanges a token for the role's credentials. The path's default is `AWS_WEB_IDENTITY_TOKEN_FILE`.
    WebIdentity {
        token_file: Option<String>,
        role: Box<Role>,
    },
    /// The role of an ECS task or an EKS pod.
    Container,
    /// The role of an EC2 instance.
    Instance,
    /// The default chain of AWS's SDK.
    Aws,
    /// Credentials of the caller of each request.
    Caller(Box<CallerSource>),
}

impl Source {
    pub(crate) fn name(&self) -> &'static str {
        let name = match self {
            Self::Environment => SourceName::Env,
            Self::Static(_) => SourceName::Static,
            Self::Profile(_) => SourceName::Profile,
            Self::Process(_) => SourceName::Process,
            Self::File { .. } => SourceName::File,
            Self::WebIdentity { .. } => SourceName::WebIdentity,
            Self::Container => SourceName::Container,
            Self::Instance => SourceName::Instance,
            Self::Aws => SourceName::Aws,
            Self::Caller(source) => match **source {
                CallerSource::IdentityPool(_) => SourceName::CognitoIdentityPool,
                CallerSource::WebIdentity { .. } => SourceName::CallerWebIdentity,
            },
        };
        name.as_str()
    }

    /// Returns `true` if its credentials are those of a role, so that a role assumed with them is chained.
    pub(super) fn is_role(&self) -> bool {
        matches!(
            self,
            Self::WebIdentity { .. } | Self::Container | Self::Instance
        )
    }
}
