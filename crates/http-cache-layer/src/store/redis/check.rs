//! Checks that the servers are what the configuration says.

use std::sync::Arc;

use redis::{Cmd, ConnectionInfo, Value};
use tokio::time::timeout;

use super::{
    connection::{CONNECT_TIMEOUT, Connection, describe},
    login::LoginSource,
    scripts,
    target::{self, Target},
};
use crate::store::interface::StoreError;

pub(super) struct Failure {
    pub(super) error: StoreError,
    /// The configuration is wrong, even if some queries succeed.
    pub(super) is_mode: bool,
}

pub(super) async fn check(connection: &Arc<Connection>, key: &str) -> Result<(), Failure> {
    let target = &connection.target;
    let mut failure = None;
    for seed in target.seeds() {
        match check_mode(target, seed, connection.login()).await {
            Ok(()) => {
                failure = None;
                break;
            }
            Err(error) => failure = Some(error),
        }
    }
    if let Some(first) = failure {
        return Err(first);
    }
    let probe = format!("{key}:permissions");
    let names = forbidden(ask(connection, &probe, scripts::permissions(&probe)).await?);
    if !names.is_empty() {
        let reason = format!(
            "the user's ACL forbids {}; allow it on the prefix's keys",
            names.join(", ")
        );
        return Err(error(&target.addresses(), &reason));
    }
    // The command that every lookup depends on.
    ask(connection, key, scripts::read_purges(key, 0, 0))
        .await
        .map(drop)
}

async fn ask(connection: &Arc<Connection>, key: &str, command: Cmd) -> Result<Value, Failure> {
    let reply = timeout(CONNECT_TIMEOUT, connection.send_now(key, command)).await;
    let reason = match reply {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(reason)) => reason,
        Err(_) => "no reply".into(),
    };
    Err(error(&connection.target.addresses(), &reason))
}

/// Reads the names of commands.
fn forbidden(reply: Value) -> Vec<String> {
    let Value::Array(values) = reply else {
        return Vec::new();
    };
    let names = values.into_iter().map(|value| match value {
        Value::BulkString(name) => String::from_utf8_lossy(&name).into_owned(),
        _ => "a command".to_owned(),
    });
    names.collect()
}

async fn check_mode(
    target: &Target,
    seed: &ConnectionInfo,
    login: Option<&LoginSource>,
) -> Result<(), Failure> {
    let address = seed.addr().to_string();
    let probe = target::probe(seed, CONNECT_TIMEOUT, login);
    let info = match timeout(CONNECT_TIMEOUT, probe).await {
        Ok(Ok(text)) => text,
        // The user may not send INFO, and still read and write.
        Ok(Err(failure)) if failure.code() == Some("NOPERM") => return Ok(()),
        Ok(Err(failure)) => return Err(error(&address, &describe(&failure, target))),
        Err(_) => return Err(error(&address, "no reply")),
    };
    match remedy(target.mode(), &info) {
        Some(reason) => Err(Failure {
            is_mode: true,
            ..error(&address, &reason)
        }),
        None => Ok(()),
    }
}

/// Returns what is wrong according to the response to INFO.
fn remedy(configured: &str, info: &str) -> Option<String> {
    let value = |name: &str| {
        let mut lines = info.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    };
    // Valkey renames it.
    let mode = value("redis_mode")
        .or_else(|| value("server_mode"))
        .map(str::trim);
    let name = |known| match known {
        "standalone" => "a single server",
        "cluster" => "a cluster",
        _ => "Sentinel",
    };
    match mode {
        Some(found @ ("standalone" | "cluster" | "sentinel")) if found != configured => {
            let (is, wanted) = (name(found), name(configured));
            Some(format!("it is {is}, not {wanted}; configure it as {is}"))
        }
        Some("standalone") if value("role").map(str::trim) == Some("slave") => {
            Some("it is a replica; configure its primary".to_owned())
        }
        _ => None,
    }
}

fn error(address: &str, reason: &str) -> Failure {
    Failure {
        error: StoreError::new(format!("redis at {address}: {reason}")),
        is_mode: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_in_another_mode_are_named() {
        let (single, cluster, sentinel) = ("standalone", "cluster", "sentinel");
        for (configured, info, wanted) in [
            (single, "redis_mode:standalone\r\nrole:master\r\n", None),
            (single, "server_mode:standalone\r\n", None),
            (single, "", None),
            (cluster, "redis_mode:cluster\r\nrole:slave\r\n", None),
            (sentinel, "redis_mode:sentinel\r\n", None),
            (
                single,
                "redis_mode:standalone\r\nrole:slave\r\n",
                Some("it is a replica; configure its primary"),
            ),
            (
                single,
                "redis_mode:cluster\r\n",
                Some("it is a cluster, not a single server; configure it as a cluster"),
            ),
            (
                cluster,
                "server_mode:standalone\r\n",
                Some("it is a single server, not a cluster; configure it as a single server"),
            ),
            (
                single,
                "redis_mode:sentinel\r\n",
                Some("it is Sentinel, not a single server; configure it as Sentinel"),
            ),
        ] {
            assert_eq!(remedy(configured, info).as_deref(), wanted, "{info}");
        }
    }
}
