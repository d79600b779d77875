//! Description of a gateway, for the others.

use serde::{Deserialize, Serialize};

/// Maximum length of a text of another gateway, in characters.
const MAX_TEXT_LEN: usize = 100;

/// A gateway, as it describes itself. Fields of other versions are ignored or have their default.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Member {
    pub(crate) host: String,
    pub(crate) version: String,
    /// Beginning of the hash of the configuration, to find gateways with another one.
    pub(crate) config: String,
    /// Seconds since the start.
    pub(crate) uptime: u64,
    pub(crate) stopping: bool,
    /// Number of reasons for which something does not work.
    pub(crate) degraded: u64,
    /// In the last interval, as all below.
    pub(crate) requests_per_second: f64,
    pub(crate) failed_per_second: f64,
    /// Seconds.
    pub(crate) p99: Option<f64>,
    pub(crate) in_flight: i64,
    pub(crate) connections: i64,
}

impl Member {
    /// Reads the description of any gateway. Returns `None` for a text that no gateway writes.
    pub(super) fn parse(description: &str) -> Option<Self> {
        let mut member: Self = serde_json::from_str(description).ok()?;
        for text in [&mut member.host, &mut member.version, &mut member.config] {
            *text = text
                .chars()
                .filter(|letter| !letter.is_control())
                .take(MAX_TEXT_LEN)
                .collect();
        }
        Some(member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_of_other_versions_are_read() {
        let member = Member {
            host: "a".to_owned(),
            p99: Some(0.25),
            ..Member::default()
        };
        let text = serde_json::to_string(&member).expect("JSON");
        assert_eq!(Member::parse(&text), Some(member));
        let newer = Member::parse(r#"{"host": "b", "color": "red"}"#).expect("a member");
        assert_eq!((&*newer.host, newer.uptime), ("b", 0));
        for text in ["", "{\"host\": 1}", "{\"uptime\": -1}", "x"] {
            assert_eq!(Member::parse(text), None, "{text}");
        }
        let hostile = format!(r#"{{"host": "\u001b[31m{}"}}"#, "a".repeat(1000));
        let shown = Member::parse(&hostile).expect("a member").host;
        assert_eq!(shown.len(), MAX_TEXT_LEN);
        assert!(shown.starts_with("[31ma"), "{shown}");
    }
}
