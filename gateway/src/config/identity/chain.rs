//! Identities with the roles that lead to them.

use super::{
    section::{IdentitySection, TIMEOUT},
    settings::{CredentialPath, IdentitySettings, RoleStep},
    source::Source,
};
use crate::config::{
    credentials::CredentialsSection,
    error::ConfigError,
    value::{Spanned, positive},
};

/// Name of the identity of `[credentials]`.
const DEFAULT: &str = "default";
const MAX_SESSIONS: u32 = 1000;

/// Checks the sections, and returns the identities. That of `[credentials]` comes first.
pub(crate) fn identities(
    credentials: &CredentialsSection,
    sections: &[IdentitySection],
) -> Result<Vec<IdentitySettings>, ConfigError> {
    check_names(credentials, sections)?;
    let mut identities = Vec::new();
    if !sections.iter().any(|it| it.name.get_ref() == DEFAULT) {
        identities.push(IdentitySettings {
            name: DEFAULT.to_owned(),
            path: CredentialPath {
                base: DEFAULT.to_owned(),
                source: credentials.check()?,
                timeout: TIMEOUT,
                roles: Vec::new(),
            },
            max_sessions: MAX_SESSIONS as usize,
            share_public: false,
            is_implicit: !credentials.is_set(),
            span: 0..0,
        });
    }
    let resolver = Resolver {
        credentials,
        sections,
    };
    for section in sections {
        identities.push(resolver.settings(section)?);
    }
    identities.sort_by_key(|it| it.name != DEFAULT);
    Ok(identities)
}

fn check_names(
    credentials: &CredentialsSection,
    sections: &[IdentitySection],
) -> Result<(), ConfigError> {
    for (position, section) in sections.iter().enumerate() {
        let name = section.name.get_ref();
        let accepts = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
        if !(1..=64).contains(&name.len()) || !name.chars().all(accepts) {
            return Err(section.name.error(format!(
                "{name:?} is not a name of an identity; write 1 to 64 letters, digits and -_."
            )));
        }
        let mut others = sections[..position].iter();
        if others.any(|other| other.name.get_ref() == name) {
            return Err(section.name.error(format!(
                "there is another identity {name:?}; give each its own name"
            )));
        }
        if name == DEFAULT && credentials.is_set() {
            return Err(section.name.error(
                "[credentials] is the identity \"default\" already; rename this one, or remove [credentials]",
            ));
        }
    }
    Ok(())
}

/// Follows chains.
struct Resolver<'a> {
    credentials: &'a CredentialsSection,
    sections: &'a [IdentitySection],
}

impl Resolver<'_> {
    fn settings(&self, section: &IdentitySection) -> Result<IdentitySettings, ConfigError> {
        let path = self.path(section, &mut Vec::new())?;
        let is_per_request = path.roles.last().is_some_and(|it| !it.role.is_fixed())
            || path.caller_source().is_some();
        if let Some(limit) = section.max_sessions.as_ref().filter(|_| !is_per_request) {
            return Err(limit.error(
                "max_sessions needs {caller}, {route} or {request_id} in session_name or tags, or a source of the \
                 caller",
            ));
        }
        let max_sessions = positive("max_sessions", &section.max_sessions)?;
        Ok(IdentitySettings {
            name: section.name.get_ref().clone(),
            path,
            max_sessions: max_sessions.unwrap_or(MAX_SESSIONS) as usize,
            share_public: section.share_public,
            is_implicit: false,
            span: section.name.span(),
        })
    }

    /// Returns the path of an identity. `visited` holds the names of those whose chain leads here.
    fn path(
        &self,
        section: &IdentitySection,
        visited: &mut Vec<String>,
    ) -> Result<CredentialPath, ConfigError> {
        visited.push(section.name.get_ref().clone());
        let Some(chain) = &section.chain else {
            return own_path(section);
        };
        if let Some(source) = &section.source {
            return Err(source.error("an identity has a source or a chain; remove one"));
        }
        if !section.has_role() {
            return Err(chain.error("chain needs role_arn"));
        }
        let Some((first, hops)) = chain.get_ref().split_first() else {
            return Err(chain.error("chain is empty; name the identity that assumes the role"));
        };
        let mut path = self.first(first, visited)?;
        for hop in hops {
            let named = self.named(hop)?;
            if !named.has_role() {
                return Err(hop.error(format!(
                    "identity {:?} has no role_arn, so it can only be the first of a chain",
                    hop.get_ref()
                )));
            }
            push(&mut path, named)?;
            check_fixed(hop, &path)?;
        }
        push(&mut path, section)?;
        Ok(path)
    }

    /// Returns the path of a chain's first identity.
    fn first(
        &self,
        name: &Spanned<String>,
        visited: &mut Vec<String>,
    ) -> Result<CredentialPath, ConfigError> {
        if visited.contains(name.get_ref()) {
            return Err(name.error(format!(
                "the chain of identity {:?} leads back to it; start with an identity that has a source",
                name.get_ref()
            )));
        }
        let is_named = self
            .sections
            .iter()
            .any(|it| it.name.get_ref() == name.get_ref());
        if name.get_ref() == DEFAULT && !is_named {
            return Ok(CredentialPath {
                base: DEFAULT.to_owned(),
                source: self.credentials.check()?,
                timeout: TIMEOUT,
                roles: Vec::new(),
            });
        }
        let path = self.path(self.named(name)?, visited)?;
        check_fixed(name, &path)?;
        Ok(path)
    }

    fn named(&self, name: &Spanned<String>) -> Result<&IdentitySection, ConfigError> {
        let mut sections = self.sections.iter();
        sections
            .find(|it| it.name.get_ref() == name.get_ref())
            .ok_or_else(|| {
                let known: Vec<_> = self.sections.iter().map(|it| it.name.get_ref()).collect();
                name.error(format!(
                    "there is no identity {:?}; name one of {known:?}",
                    name.get_ref()
                ))
            })
    }
}

/// Returns the path of an identity without a chain.
fn own_path(section: &IdentitySection) -> Result<CredentialPath, ConfigError> {
    let mut path = CredentialPath {
        base: section.name.get_ref().clone(),
        source: section.source()?,
        timeout: section.timeout()?,
        roles: Vec::new(),
    };
    // They use the keys of a role themselves.
    if let Source::WebIdentity { .. } | Source::Caller(_) = &path.source {
        return Ok(path);
    }
    if section.has_role() {
        push(&mut path, section)?;
    } else {
        section.check_no_role()?;
    }
    Ok(path)
}

fn push(path: &mut CredentialPath, section: &IdentitySection) -> Result<(), ConfigError> {
    path.roles.push(RoleStep {
        identity: section.name.get_ref().clone(),
        role: section.role(path.ends_with_role())?,
        timeout: section.timeout()?,
    });
    Ok(())
}

/// Rejects an identity per request where another is assumed with it.
fn check_fixed(name: &Spanned<String>, path: &CredentialPath) -> Result<(), ConfigError> {
    if path.caller_source().is_some() {
        return Err(name.error(format!(
            "identity {:?} has other credentials for each caller, so no role is assumed with them; start with another \
             identity",
            name.get_ref()
        )));
    }
    if path.roles.iter().all(|step| step.role.is_fixed()) {
        return Ok(());
    }
    Err(name.error(format!(
        "identity {:?} differs by request; only the last of a chain can hold placeholders",
        name.get_ref()
    )))
}
