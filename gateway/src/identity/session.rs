//! Sessions of a role.

use crate::config::{Role, SessionValues};

/// Parameters of a session that may differ by request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Session {
    pub(crate) name: String,
    /// Values of the role's tags, in its order.
    pub(crate) tags: Vec<String>,
}

impl Session {
    pub(crate) fn new(role: &Role, values: &SessionValues<'_>) -> Self {
        let tags = role
            .tags
            .iter()
            .map(|(_, template)| template.expand(values));
        Self {
            name: role.session_name.expand(values),
            tags: tags.collect(),
        }
    }

    /// Returns the session of a role whose parameters are the same for all requests.
    pub(crate) fn fixed(role: &Role) -> Self {
        Self::new(role, &SessionValues::default())
    }

    /// Returns bytes that no other session of the role has.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let tags = self.tags.iter().flat_map(|tag| ["\n", tag]); // STS accepts no line feed
        [self.name.as_str()]
            .into_iter()
            .chain(tags)
            .collect::<String>()
            .into_bytes()
    }
}
