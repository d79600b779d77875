//! The gateways that share a Redis.

mod member;
pub(crate) mod watch;

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

pub(crate) use self::member::Member;

/// The gateways of the last announcement.
pub(crate) struct Fleet {
    /// Random, so that gateways on one machine differ.
    id: String,
    state: Mutex<FleetState>,
}

#[derive(Clone, Default)]
pub(crate) enum FleetState {
    /// No Redis is in use.
    #[default]
    Alone,
    /// Redis does not respond.
    Unknown,
    /// This gateway and the others, by host and id.
    Known(Arc<[(String, Member)]>),
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            id: format!("{:016x}", fastrand::u64(..)),
            state: Mutex::default(),
        }
    }
}

impl Fleet {
    fn id(&self) -> &str {
        &self.id
    }

    fn set(&self, state: FleetState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Returns the gateways as JSON, or `None` without Redis. `members` is null while Redis does not respond.
    pub(crate) fn to_json(&self) -> Option<Value> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let members = match state.clone() {
            FleetState::Alone => return None,
            FleetState::Unknown => Value::Null,
            FleetState::Known(members) => members
                .iter()
                .map(|(id, member)| json!({ "id": id, "this": *id == self.id, "state": member }))
                .collect(),
        };
        Some(json!({ "members": members }))
    }
}
