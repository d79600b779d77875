//! Checked identities.

use std::{ops::Range, time::Duration};

use super::{caller_source::CallerSource, role::Role, source::Source};

/// A checked identity: where its credentials come from, and the roles that are assumed with them in turn.
#[derive(Clone)]
pub(crate) struct IdentitySettings {
    pub(crate) name: String,
    pub(crate) path: CredentialPath,
    pub(crate) max_sessions: usize,
    pub(crate) share_public: bool,
    /// `true` for the default without a section.
    pub(crate) is_implicit: bool,
    /// Position of the name.
    pub(crate) span: Range<usize>,
}

/// A source, and the roles that are assumed in turn, the first with the source's credentials.
#[derive(Clone, PartialEq)]
pub(crate) struct CredentialPath {
    /// Name of the identity that has the source.
    pub(crate) base: String,
    pub(crate) source: Source,
    /// Limit for one call of the source.
    pub(crate) timeout: Duration,
    pub(crate) roles: Vec<RoleStep>,
}

/// A role, and the name of the identity that has it.
#[derive(Clone, PartialEq)]
pub(crate) struct RoleStep {
    pub(crate) identity: String,
    pub(crate) role: Role,
    pub(crate) timeout: Duration,
}

impl IdentitySettings {
    /// Returns the role if its session depends on the request.
    pub(crate) fn session_role(&self) -> Option<&Role> {
        let step = self.path.roles.last()?;
        Some(&step.role).filter(|role| !role.is_fixed())
    }

    /// Returns the source if each caller has credentials of its own.
    pub(crate) fn caller_source(&self) -> Option<&CallerSource> {
        self.path.caller_source()
    }

    /// Returns the source, or `"role"`.
    pub(crate) fn source_name(&self) -> &'static str {
        if self.path.roles.is_empty() {
            self.path.source.name()
        } else {
            "role"
        }
    }

    /// Describes the identity without its keys, to distinguish cached responses.
    pub(crate) fn description(&self) -> String {
        let source = &self.path.source;
        let mut detail = String::new();
        let mut role_of_token = None;
        match source {
            Source::Static(credentials) => detail.push_str(credentials.access_key_id()),
            Source::Profile(profile) => detail.push_str(profile.as_deref().unwrap_or_default()),
            Source::Process(command) => detail = format!("{command:?}"),
            Source::File { path, profile } => detail = format!("{path:?} {profile:?}"),
            Source::WebIdentity { token_file, role } => {
                detail = format!("{token_file:?}");
                role_of_token = Some(role);
            }
            Source::Caller(exchange) => detail = format!("{exchange:?}"),
            Source::Environment | Source::Container | Source::Instance | Source::Aws => {}
        }
        let roles: Vec<_> = self.path.roles.iter().map(|step| &step.role).collect();
        format!("{:?}", (source.name(), detail, role_of_token, roles))
    }
}

impl CredentialPath {
    /// Returns the limit for a call of the source and of STS for each role.
    pub(crate) fn total_timeout(&self) -> Duration {
        let steps = self.roles.iter().map(|step| step.timeout);
        self.timeout.saturating_add(steps.sum())
    }

    /// Returns the source if each caller has credentials of its own.
    pub(super) fn caller_source(&self) -> Option<&CallerSource> {
        match &self.source {
            Source::Caller(source) => Some(source),
            _ => None,
        }
    }

    /// Returns `true` if a role that is assumed next is chained.
    pub(super) fn ends_with_role(&self) -> bool {
        !self.roles.is_empty() || self.source.is_role()
    }
}
