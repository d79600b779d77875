//! Settings that cannot change while the gateway runs.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::Sections;

/// Settings of `[server]` that are read again for each request.
const LIVE: [&str; 2] = ["body_timeout", "min_body_rate"];

/// Lists the settings that differ from those at the start and need a restart.
pub(crate) fn needs_restart(current: &Sections, started: &Sections) -> Vec<String> {
    let setting = |table: &Table, section: &str, key: &str| -> Option<Value> {
        table.get(section)?.as_table()?.get(key).cloned()
    };
    let differs = |section: &str, key: &str| {
        setting(&current.table, section, key) != setting(&started.table, section, key)
    };
    let keys = [&current.table, &started.table]
        .into_iter()
        .filter_map(|table| table.get("server").and_then(Value::as_table))
        .flat_map(Table::keys)
        .collect::<BTreeSet<_>>();
    let mut settings: Vec<_> = keys
        .into_iter()
        .filter(|key| !LIVE.contains(&key.as_str()) && differs("server", key))
        .map(|key| format!("{key} in [server]"))
        .collect();
    if !current.has_same(started, "admin") {
        settings.push("[admin]".to_owned());
    }
    if !current.has_same(started, "telemetry") {
        settings.push("[telemetry]".to_owned());
    }
    if differs("log", "format") {
        settings.push("format in [log]".to_owned());
    }
    settings
}
