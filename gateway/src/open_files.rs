//! The system's limit of open files, which connections count against.

/// Files that the gateway needs besides connections to clients and origins: listeners, the log, the admin port.
const RESERVED: u64 = 64;
const DEFAULT_CONNECTIONS: usize = 10_000;

/// Raises the soft limit to the hard one. Returns the limit, or `None` if the system has none.
#[cfg(unix)]
pub(crate) fn raise_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current, // macOS limits the soft one further
    }
}

/// Returns `None`: the system has no such limit.
#[cfg(not(unix))]
pub(crate) fn raise_limit() -> Option<u64> {
    None
}

/// Returns the maximum number of clients' connections: the configured one, unless the limit of open files allows fewer,
/// since each may need another one to its origin.
pub(crate) fn max_connections(configured: Option<usize>, limit: Option<u64>) -> usize {
    let allowed = limit.map_or(usize::MAX, allowed);
    configured.unwrap_or(DEFAULT_CONNECTIONS).min(allowed)
}

/// Returns a warning if the limit does not allow as many connections as configured.
pub(crate) fn warning(configured: Option<usize>, limit: Option<u64>) -> Option<String> {
    let (wanted, open_files) = (configured?, limit?);
    let possible = allowed(open_files);
    (wanted > possible).then(|| {
        format!(
            "max_connections is {wanted}, but the limit of {open_files} open files allows {possible}; raise the limit \
             (ulimit -n, or LimitNOFILE in systemd) to {}, or lower max_connections",
            2 * wanted as u64 + RESERVED
        )
    })
}

fn allowed(limit: u64) -> usize {
    let reserved = RESERVED.min(limit / 2);
    usize::try_from((limit - reserved) / 2)
        .unwrap_or(usize::MAX)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_leave_files_for_origins_and_the_admin_port() {
        for (limit, connections) in [(0, 1), (1, 1), (64, 16), (1024, 480), (1 << 20, 10_000)] {
            assert_eq!(max_connections(None, Some(limit)), connections, "{limit}");
        }
        assert_eq!(max_connections(Some(7), Some(1024)), 7);
        assert_eq!(max_connections(Some(20_000), None), 20_000);
        assert_eq!(warning(None, Some(64)), None);
        assert_eq!(warning(Some(20_000), None), None);
        assert_eq!(warning(Some(480), Some(1024)), None);
        let message = warning(Some(481), Some(1024)).expect("a warning");
        assert!(message.contains("1024 open files allows 480"), "{message}");
        assert!(message.contains("to 1026,"), "{message}");
    }
}
