//! Purges by host and prefix, and of everything, which all processes share.
//!
//! They are one hash: `e`, the epoch, which a purge of everything raises; `n`, the number of purges in it; and for each
//! host or prefix its last number. A stored response has the epoch and the number that its lookup knew. So a purge is one
//! write, whatever the number of stored responses, and a lookup compares numbers. A process reads the hash at most once
//! in [`LEASE`]; a purge is complete after that time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::Value;
use tokio::time::Instant;

use super::{
    connection::{Connection, Lane},
    scripts,
};
use crate::store::interface::Purge;

/// Time for which a process uses the purges that it has read.
pub(super) const LEASE: Duration = Duration::from_secs(1);
/// Maximum number of hosts and prefixes; one more purges everything.
pub(super) const MAX_RULES: usize = 1000;

/// Epoch and number of purges at a lookup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) epoch: u64,
    pub(super) count: u64,
}

impl Stamp {
    pub(super) const LEN: usize = 16;

    pub(super) fn to_bytes(self) -> [u8; Self::LEN] {
        let value = u128::from(self.epoch) << 64 | u128::from(self.count);
        value.to_be_bytes()
    }

    pub(super) fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        let value = u128::from_be_bytes(bytes);
        Self {
            epoch: (value >> 64) as u64,
            count: value as u64,
        }
    }
}

/// The purges of an epoch.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) stamp: Stamp,
    hosts: HashMap<String, Host>,
}

#[derive(Debug, Default)]
struct Host {
    all: u64,
    prefixes: HashMap<String, u64>,
    /// The lengths of the prefixes, each once.
    lengths: Vec<usize>,
}

impl Table {
    /// Returns `true` if a response to a URL, stored with this stamp, was not purged.
    pub(super) fn allows(&self, url: &str, stamp: Stamp) -> bool {
        stamp.epoch == self.stamp.epoch && stamp.count >= self.last_purge(url)
    }

    fn last_purge(&self, url: &str) -> u64 {
        let (name, path_and_query) = url.split_once(' ').unwrap_or_default();
        let Some(host) = self.hosts.get(name) else {
            return 0;
        };
        let prefixes = host.lengths.iter().filter_map(|length| {
            let prefix = path_and_query.get(..*length)?;
            host.prefixes.get(prefix)
        });
        prefixes.copied().fold(host.all, u64::max)
    }

    /// Reads names and values. Returns `None` without a valid epoch.
    fn from_fields(fields: &[(Vec<u8>, Vec<u8>)]) -> Option<Self> {
        let mut table = Self::default();
        for (name, value) in fields {
            let number = std::str::from_utf8(value).ok()?.parse().ok()?;
            let text = std::str::from_utf8(name).ok()?;
            match text.split_at_checked(1)? {
                ("e", "") => table.stamp.epoch = number,
                ("n", "") => table.stamp.count = number,
                ("h", host) => table.host(host).all = number,
                ("p", rule) => {
                    let (host_name, prefix) = rule.split_once(' ')?;
                    let host = table.host(host_name);
                    host.prefixes.insert(prefix.to_owned(), number);
                    if !host.lengths.contains(&prefix.len()) {
                        host.lengths.push(prefix.len());
                    }
                }
                _ => return None,
            }
        }
        (table.stamp.epoch != 0).then_some(table)
    }

    fn host(&mut self, name: &str) -> &mut Host {
        self.hosts.entry(name.to_owned()).or_default()
    }
}

/// Returns the field's name for a purge, or `None` for those that have none.
pub(super) fn rule(purge: &Purge) -> Option<String> {
    match purge {
        Purge::Prefix { host, prefix } => Some(format!("p{host} {prefix}")),
        Purge::Host(host) => Some(format!("h{host}")),
        _ => None,
    }
}

/// The purges as this process knows them.
#[derive(Default)]
pub(super) struct Purges {
    known: Mutex<Known>,
    // Tokio's mutex, since it is locked while reading.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    table: Arc<Table>,
    until: Option<Instant>,
}

/// Result of reading.
pub(super) enum Current {
    Table(Arc<Table>),
    /// The server cannot be read.
    Unknown,
    /// The server has lost a purge that this process knows.
    Lost,
}

impl Purges {
    /// Returns the purges, read at most [`LEASE`] ago.
    pub(super) async fn current(&self, connection: &Arc<Connection>, key: &str) -> Current {
        if let Some(table) = self.valid() {
            return Current::Table(table);
        }
        let _reading = self.reading.lock().await;
        if let Some(table) = self.valid() {
            return Current::Table(table); // read meanwhile
        }
        let start = Instant::now();
        let known = self.known().table.clone();
        let command = scripts::read_purges(key, known.stamp.epoch, known.stamp.count);
        // Together with the purges, since both end the use of responses.
        let (reply, ()) = tokio::join!(
            connection.query(Lane::Read, key, command),
            connection.refresh_topology()
        );
        let table = match reply.map(fields) {
            None | Some(None) => return Current::Unknown,
            Some(Some(fields)) if fields.is_empty() => known,
            Some(Some(fields)) => match Table::from_fields(&fields) {
                // A failover may lose the last writes.
                Some(table) if lost(known.stamp, table.stamp) => return Current::Lost,
                Some(table) => Arc::new(table),
                None => return Current::Lost,
            },
        };
        *self.known() = Known {
            table: table.clone(),
            until: Some(start + LEASE),
        };
        Current::Table(table)
    }

    /// Reads the purges at the next lookup.
    pub(super) fn expire(&self) {
        self.known().until = None;
    }

    /// Forgets the purges, before everything is purged.
    pub(super) fn reset(&self) {
        *self.known() = Known::default();
    }

    pub(super) fn epoch(&self) -> u64 {
        self.known().table.stamp.epoch
    }

    fn valid(&self) -> Option<Arc<Table>> {
        let known = self.known();
        let is_valid = known.until.is_some_and(|until| Instant::now() < until);
        is_valid.then(|| known.table.clone())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lost(known: Stamp, read: Stamp) -> bool {
    read.epoch < known.epoch || (read.epoch == known.epoch && read.count < known.count)
}

/// Reads the response to HGETALL. Returns `None` if it is malformed.
fn fields(value: Value) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    redis::from_redis_value(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(fields: &[(&str, &str)]) -> Option<Table> {
        let owned =
            |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        Table::from_fields(&fields.iter().map(owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_purge_ends_the_use_of_older_responses_under_its_host_or_prefix() {
        let fields = [
            ("e", "7"),
            ("n", "3"),
            ("hh", "1"),
            ("ph /a", "2"),
            ("ph /a/é", "3"),
        ];
        let table = table(&fields).expect("valid");
        for (url, epoch, first_allowed) in [
            ("h /", 7, Some(1)),
            ("h /ab?x", 7, Some(2)),
            ("h /a/é/b", 7, Some(3)),
            ("h /a/è/b", 7, Some(2)),
            ("i /a", 7, Some(0)),
            ("h:81 /a", 7, Some(0)),
            ("i /a", 8, None),
        ] {
            let allowed = (0..=3).find(|count| {
                let stamp = Stamp {
                    epoch,
                    count: *count,
                };
                table.allows(url, stamp)
            });
            assert_eq!(allowed, first_allowed, "{url}");
        }
        let purge = Purge::prefix("H", "/a");
        assert_eq!(rule(&purge).as_deref(), Some("ph /a"));
        assert_eq!(rule(&Purge::host("H")).as_deref(), Some("hh"));
    }

    #[test]
    fn malformed_purges_are_rejected() {
        for fields in [
            &[][..],
            &[("n", "1")],
            &[("e", "0"), ("n", "1")],
            &[("e", "x"), ("n", "1")],
            &[("e", "1"), ("n", "-1")],
            &[("e", "1"), ("", "1")],
            &[("e", "1"), ("é", "1")],
            &[("e", "1"), ("ph", "1")],
            &[("e", "1"), ("hh", "99999999999999999999")],
        ] {
            assert!(table(fields).is_none(), "{fields:?}");
        }
    }

    #[test]
    fn stamps_are_read_as_written() {
        let stamp = Stamp {
            epoch: u64::MAX - 1,
            count: 5,
        };
        assert_eq!(Stamp::from_bytes(stamp.to_bytes()), stamp);
    }
}
