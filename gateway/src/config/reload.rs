//! What goes on when another configuration takes the place of this one.

use std::collections::BTreeSet;

use toml::Table;

use super::Config;

impl Config {
    /// This configuration with what the last one holds of the sections that are the same: credentials at hand,
    /// answers that were cached with them, and the memory that bodies in flight have taken.
    pub(crate) fn continuing(mut self, last: &Self) -> Self {
        let same = |section| self.sections.get(section) == last.sections.get(section);
        let [cache, credentials, bodies] = ["cache", "credentials", "bodies"].map(same);
        if cache && credentials {
            self.cache = last.cache.clone();
        }
        if credentials {
            self.credentials = last.credentials.clone();
        }
        if bodies {
            self.budget = last.budget.clone();
            self.verify = self
                .verify
                .map(|guard| guard.with_budget(last.budget.clone()));
        }
        self
    }

    pub(crate) fn sections(&self) -> &Table {
        &self.sections
    }

    /// What differs from the sections that the gateway was started with, and cannot change while it runs.
    pub(crate) fn needs_restart(&self, started: &Table) -> Vec<String> {
        let of = |table: &Table| {
            let server = table.get("server").and_then(|server| server.as_table());
            server.cloned().unwrap_or_default()
        };
        let (now, then) = (of(&self.sections), of(started));
        let names: BTreeSet<_> = now.keys().chain(then.keys()).collect();
        let changed = names
            .into_iter()
            .filter(|name| now.get(*name) != then.get(*name));
        // Those are asked for at each request.
        let fixed =
            changed.filter(|name| !["body_timeout", "min_body_rate"].contains(&name.as_str()));
        let mut fixed: Vec<_> = fixed.map(|name| format!("{name} in [server]")).collect();
        if self.sections.get("admin") != started.get("admin") {
            fixed.push("[admin]".to_owned());
        }
        let format = |table: &Table| table.get("log").and_then(|log| log.get("format")).cloned();
        if format(&self.sections) != format(started) {
            fixed.push("format in [log]".to_owned());
        }
        fixed
    }
}
