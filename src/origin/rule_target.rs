use std::sync::Arc;

use http::request::Parts;

use super::{AsSigned, ResolvedOrigin, options::Options};
use crate::{Origin, error::Error, sigv4::PathForm};

/// Target of a rule: an [`Origin`] or an [`AsSigned`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RuleTarget(Target);

#[derive(Clone, Debug)]
enum Target {
    Origin(Origin),
    AsSigned(AsSigned),
}

impl From<Origin> for RuleTarget {
    fn from(origin: Origin) -> Self {
        Self(Target::Origin(origin))
    }
}

impl From<AsSigned> for RuleTarget {
    fn from(target: AsSigned) -> Self {
        Self(Target::AsSigned(target))
    }
}

impl RuleTarget {
    /// Returns the options of the origin, whose service a request may replace.
    pub(super) fn options(&self) -> &Options {
        match &self.0 {
            Target::Origin(origin) => origin.options(),
            Target::AsSigned(target) => target.origin().options(),
        }
    }

    /// Returns the form of paths that are keys, if a request to this target may have it.
    pub(super) fn key_form(&self) -> Option<PathForm> {
        let own = self.options().settings.path_form();
        match &self.0 {
            _ if !own.folds() => Some(own),
            Target::AsSigned(target) if target.lists().allows_s3() => Some(PathForm::Once),
            Target::Origin(_) | Target::AsSigned(_) => None,
        }
    }

    /// Returns the origin of a request. `added` is the path that its rule adds.
    pub(super) fn choose(
        &self,
        head: &Parts,
        strip: usize,
        added: Option<&RulePrefix>,
    ) -> Result<ResolvedOrigin, Error> {
        let origin = match &self.0 {
            Target::Origin(origin) => origin.clone(),
            Target::AsSigned(target) => target.choose(head)?,
        };
        let prefix = added.map(|path| path.in_form_of(origin.options()));
        Ok(ResolvedOrigin {
            origin,
            strip,
            prefix,
        })
    }
}

/// Path that a rule adds, in the wire form of its origin.
#[derive(Clone, Debug)]
pub(super) struct RulePrefix {
    configured: String,
    form: PathForm,
    wire: Arc<str>,
}

impl RulePrefix {
    pub(super) fn new(configured: String, options: &Options) -> Self {
        Self {
            wire: wire_prefix(&configured, options),
            form: options.settings.path_form(),
            configured,
        }
    }

    /// Returns the path for a service whose form may be another.
    fn in_form_of(&self, options: &Options) -> Arc<str> {
        if options.settings.path_form() == self.form {
            self.wire.clone()
        } else {
            wire_prefix(&self.configured, options)
        }
    }
}

/// Returns a prefix in the origin's wire form, without a slash at its end.
fn wire_prefix(prefix: &str, options: &Options) -> Arc<str> {
    let path = options.wire_path(prefix).unwrap_or(prefix.into());
    path.trim_end_matches('/').into()
}
