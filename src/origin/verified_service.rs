use std::sync::Arc;

use crate::error::{Error, ErrorKind};

/// Extension of a request that was verified by the rules of one of several services.
///
/// Each has its own rules, and those of one may be laxer. So a request must not reach the origin of a service whose
/// rules were not applied.
#[derive(Clone, Debug)]
pub(crate) struct VerifiedService {
    /// Names of the services with the same rules.
    pub(crate) groups: Arc<[Vec<String>]>,
    /// Position of the group that the request was verified by.
    pub(crate) verified_by: usize,
}

impl VerifiedService {
    /// Rejects an origin of a service with other rules.
    pub(super) fn check(&self, service: &str) -> Result<(), Error> {
        let has_service = |group: &Vec<String>| group.iter().any(|name| name == service);
        match self.groups.iter().position(has_service) {
            Some(other) if other != self.verified_by => {
                let verified = self
                    .groups
                    .get(self.verified_by)
                    .map(|names| names.join(" or "));
                Err(Error::new(
                    ErrorKind::Scope,
                    format!(
                        "the request was signed for service {:?} and is one to service {service:?}; sign for \
                         {service:?}",
                        verified.unwrap_or_default(),
                    ),
                ))
            }
            _ => Ok(()),
        }
    }
}
