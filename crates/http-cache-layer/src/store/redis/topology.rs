//! The primaries of a cluster: an outage of one must not stop queries to the others.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use crc16::{State, XMODEM};
use redis::Value;

use super::gate::Gate;
use crate::store::interface::StoreServer;

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
    /// By id.
    servers: HashMap<String, Server>,
}

#[derive(Clone, Default)]
struct Server {
    gate: Arc<Gate>,
    /// Host and port, as one of the nodes names them.
    address: String,
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
        let server = range.and_then(|(_, id)| primaries.servers.get(id));
        server.map_or(&self.common, |it| &it.gate).clone()
    }

    /// Reads the response to CLUSTER SLOTS. A primary that is new, other than at the start, has taken over slots.
    pub(super) fn update(&self, slots: &Value) {
        let mut parsed: Vec<_> = items(slots).iter().filter_map(range).collect();
        parsed.sort_unstable();
        let addresses: HashMap<_, _> = parsed
            .iter()
            .map(|(_, id, address)| (id.clone(), address.clone()))
            .collect();
        let ranges: Vec<_> = parsed.into_iter().map(|(last, id, _)| (last, id)).collect();
        let mut primaries = self
            .primaries
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let is_start = primaries.ranges.is_empty();
        if primaries.ranges == ranges {
            // A node keeps its id when its address changes.
            for (id, address) in addresses {
                if let Some(server) = primaries.servers.get_mut(&id) {
                    server.address = address;
                }
            }
            return;
        }
        let mut servers = HashMap::new();
        for (id, address) in addresses {
            let new = || {
                Arc::new(if is_start {
                    Gate::default()
                } else {
                    Gate::recovering()
                })
            };
            let known = primaries.servers.get(&id);
            let gate = known.map_or_else(new, |it| it.gate.clone());
            servers.insert(id, Server { gate, address });
        }
        *primaries = Primaries { ranges, servers };
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
        primaries
            .servers
            .values()
            .find_map(|server| server.gate.reason())
    }

    /// Returns the primaries in the order of their first slots, or a server with the given address.
    pub(super) fn servers(&self, address: impl FnOnce() -> String) -> Vec<StoreServer> {
        let primaries = self
            .primaries
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if primaries.ranges.is_empty() {
            return vec![StoreServer {
                address: address(),
                slots: None,
                problem: self.common.reason(),
            }];
        }
        let mut slots: Vec<(&String, u16)> = Vec::new();
        let mut first = 0;
        for (last, id) in &primaries.ranges {
            let count = last + 1 - first;
            first = last + 1;
            match slots.iter_mut().find(|(known, _)| *known == id) {
                Some((_, sum)) => *sum += count,
                None => slots.push((id, count)),
            }
        }
        slots
            .into_iter()
            .map(|(id, count)| {
                let server = primaries.servers.get(id).cloned().unwrap_or_default();
                StoreServer {
                    address: server.address,
                    slots: Some(count),
                    problem: server.gate.reason(),
                }
            })
            .collect()
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

/// Reads the last slot, and the primary's id and address. Nodes may know different addresses of one.
fn range(value: &Value) -> Option<(u16, String, String)> {
    let [_, Value::Int(last), primary, ..] = items(value) else {
        return None;
    };
    let [host, port, Value::BulkString(id), ..] = items(primary) else {
        return None;
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let last_slot = u16::try_from(*last).ok().filter(|slot| *slot < SLOTS)?;
    let address = match (host, port) {
        (Value::BulkString(name), Value::Int(number)) => format!("{}:{number}", text(name)),
        _ => text(id),
    };
    Some((last_slot, text(id), address))
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

    #[test]
    fn a_primary_keeps_its_gate_when_its_address_changes() {
        let topology = Topology::default();
        let at = |host: &[u8]| {
            let id = Value::BulkString(b"a".to_vec());
            let node = vec![Value::BulkString(host.to_vec()), Value::Int(6379), id];
            let range = vec![Value::Int(0), Value::Int(16383), Value::Array(node)];
            Value::Array(vec![Value::Array(range)])
        };
        topology.update(&at(b"10.0.0.1"));
        let gate = topology.gate("a");
        topology.update(&at(b"10.0.0.2"));
        assert!(Arc::ptr_eq(&gate, &topology.gate("a")));
        let [server] = &topology.servers(|| unreachable!("the slots are known"))[..] else {
            panic!("one server");
        };
        assert_eq!(server.address, "10.0.0.2:6379");
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_of_one_primary_does_not_pause_the_others() {
        let topology = Topology::default();
        let [single] = &topology.servers(|| "h:6379".to_owned())[..] else {
            panic!("one server");
        };
        assert_eq!((&*single.address, single.slots), ("h:6379", None));
        topology.update(&slots(&[(8192, 16383, "b"), (0, 8191, "a")]));
        // The slots of these keys are 15495 and 3300.
        let (a, b) = (topology.gate("b"), topology.gate("a"));
        assert!(!Arc::ptr_eq(&a, &b));
        b.record_failure("down");
        assert!(a.admits() && !b.admits());
        assert_eq!(topology.failure().as_deref(), Some("down"));
        let servers = topology.servers(|| unreachable!("the slots are known"));
        let parts: Vec<_> = servers
            .iter()
            .map(|it| (&*it.address, it.slots, it.problem.as_deref()))
            .collect();
        let expected = [("a", Some(8192), None), ("b", Some(8192), Some("down"))];
        assert_eq!(parts, expected);
        topology.update(&slots(&[(0, 8191, "a"), (8192, 16383, "c")]));
        let c = topology.gate("a");
        assert!(c.admits() && !c.has_recovered() && topology.gate("b").has_recovered());
        assert_eq!(topology.failure(), None);
        topology.update(&Value::Nil);
        assert!(Arc::ptr_eq(&topology.gate("a"), &topology.common));
    }
}
