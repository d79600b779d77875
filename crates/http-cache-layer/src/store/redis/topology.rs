//! The primaries of a cluster: an outage of one must not stop queries to the others.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use crc16::{State, XMODEM};
use redis::Value;

use super::gate::Gate;

/// Number of slots of every cluster.
const SLOTS: u16 = 16384;

/// A gate for each primary. A single server, and a cluster whose slots are not known yet, have one gate.
#[derive(Default)]
pub(super) struct Topology {
    common: Arc<Gate>,
    primaries: RwLock<Primaries>,
}

#[derive(Default)]
struct Primaries {
    /// The last slot of each range, in ascending order, with the id of its primary.
    ranges: Vec<(u16, String)>,
    gates: HashMap<String, Arc<Gate>>,
}

impl Topology {
    pub(super) fn gate(&self, key: &str) -> Arc<Gate> {
        let primaries = self
            .primaries
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if primaries.ranges.is_empty() {
            return self.common.clone();
        }
        let slot = slot(key);
        let index = primaries.ranges.partition_point(|(last, _)| *last < slot);
        let range = primaries.ranges.get(index);
        let gate = range.and_then(|(_, id)| primaries.gates.get(id));
        gate.unwrap_or(&self.common).clone()
    }

    /// Reads the response to CLUSTER SLOTS. A primary that is new, other than at the start, has taken over slots.
    pub(super) fn update(&self, slots: &Value) {
        let mut ranges: Vec<_> = items(slots).iter().filter_map(range).collect();
        ranges.sort_unstable();
        let mut primaries = self
            .primaries
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let is_start = primaries.ranges.is_empty();
        if primaries.ranges == ranges {
            return;
        }
        let mut gates = HashMap::new();
        for (_, id) in &ranges {
            let new = || {
                Arc::new(if is_start {
                    Gate::default()
                } else {
                    Gate::recovering()
                })
            };
            let known = primaries.gates.get(id).cloned();
            gates
                .entry(id.clone())
                .or_insert_with(|| known.unwrap_or_else(new));
        }
        *primaries = Primaries { ranges, gates };
    }

    /// Returns the reason of an outage.
    pub(super) fn failure(&self) -> Option<Arc<str>> {
        let primaries = self
            .primaries
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if primaries.ranges.is_empty() {
            return self.common.reason();
        }
        primaries.gates.values().find_map(|gate| gate.reason())
    }
}

/// Returns the slot of a key: that of the part in braces, if there is one.
fn slot(key: &str) -> u16 {
    let tag = key
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
        .map(|(tag, _)| tag)
        .filter(|tag| !tag.is_empty());
    State::<XMODEM>::calculate(tag.unwrap_or(key).as_bytes()) % SLOTS
}

fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        _ => &[],
    }
}

/// Reads the last slot, and the primary's id: nodes may know different addresses of one.
fn range(value: &Value) -> Option<(u16, String)> {
    let [_, Value::Int(last), primary, ..] = items(value) else {
        return None;
    };
    let [_, _, Value::BulkString(id), ..] = items(primary) else {
        return None;
    };
    let text = String::from_utf8_lossy(id).into_owned();
    Some((u16::try_from(*last).ok()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(ranges: &[(i64, i64, &str)]) -> Value {
        let range = |(first, last, name): &(i64, i64, &str)| {
            let id = Value::BulkString(name.as_bytes().to_vec());
            let node = vec![Value::Nil, Value::Int(1), id];
            Value::Array(vec![
                Value::Int(*first),
                Value::Int(*last),
                Value::Array(node),
            ])
        };
        Value::Array(ranges.iter().map(range).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_of_one_primary_does_not_pause_the_others() {
        let topology = Topology::default();
        topology.update(&slots(&[(8192, 16383, "b"), (0, 8191, "a")]));
        // The slots of these keys are 15495 and 3300.
        let (a, b) = (topology.gate("b"), topology.gate("a"));
        assert!(!Arc::ptr_eq(&a, &b));
        b.record_failure("down");
        assert!(a.admits() && !b.admits());
        assert_eq!(topology.failure().as_deref(), Some("down"));
        topology.update(&slots(&[(0, 8191, "a"), (8192, 16383, "c")]));
        let c = topology.gate("a");
        assert!(c.admits() && !c.has_recovered() && topology.gate("b").has_recovered());
        assert_eq!(topology.failure(), None);
        topology.update(&Value::Nil);
        assert!(Arc::ptr_eq(&topology.gate("a"), &topology.common));
    }
}
