//! The gateways that share a Redis.

mod member;
pub(crate) mod watch;

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

pub(crate) use self::member::Member;

/// This gateway and the others, by host and id.
type Members = Vec<(String, Member)>;

/// The gateways of the last announcement.
pub(crate) struct Fleet {
    /// Random, so that gateways on one machine differ.
    id: String,
    /// `None` before the first announcement, and while Redis does not respond.
    members: Mutex<Option<Members>>,
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            id: format!("{:016x}", fastrand::u64(..)),
            members: Mutex::default(),
        }
    }
}

impl Fleet {
    fn id(&self) -> &str {
        &self.id
    }

    fn set(&self, members: Option<Members>) {
        *self.members.lock().unwrap_or_else(PoisonError::into_inner) = members;
    }

    /// Returns the gateways as JSON. `members` is null if they are unknown.
    pub(crate) fn to_json(&self) -> Value {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let known = members.as_ref().map(|all| {
            let to_json = |(id, member): &(String, Member)| json!({ "id": id, "this": *id == self.id, "state": member });
            all.iter().map(to_json).collect::<Vec<_>>()
        });
        json!({ "members": known })
    }
}
