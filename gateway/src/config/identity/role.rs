//! A role and the parameters of its session.

use std::time::Duration;

use super::template::Template;

/// Parameters of `AssumeRole`. None of them is a secret.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Role {
    /// `None` for the role that `AWS_ROLE_ARN` names.
    pub(crate) arn: Option<String>,
    pub(crate) external_id: Option<String>,
    pub(crate) session_name: Template,
    pub(crate) duration: Option<Duration>,
    pub(crate) policy: Option<String>,
    pub(crate) policy_arns: Vec<String>,
    pub(crate) tags: Vec<(String, Template)>,
    pub(crate) transitive_tags: Vec<String>,
    /// Region of STS.
    pub(crate) region: Option<String>,
    /// URL of STS.
    pub(crate) endpoint: Option<String>,
}

impl Role {
    pub(crate) fn templates(&self) -> impl Iterator<Item = &Template> {
        let tags = self.tags.iter().map(|(_, template)| template);
        [&self.session_name].into_iter().chain(tags)
    }

    /// Returns `true` if the parameters are the same for all requests.
    pub(crate) fn is_fixed(&self) -> bool {
        self.templates().all(Template::is_fixed)
    }

    pub(crate) fn has_caller(&self) -> bool {
        self.templates().any(Template::has_caller)
    }

    pub(super) fn has_route(&self) -> bool {
        self.templates().any(Template::has_route)
    }

    pub(crate) fn has_request_id(&self) -> bool {
        self.templates().any(Template::has_request_id)
    }
}
