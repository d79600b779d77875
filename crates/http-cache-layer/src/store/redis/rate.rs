//! Rates that several processes share.

use std::{sync::Arc, time::Duration};

use redis::{Cmd, Value};

use super::connection::{Connection, Lane};

/// The generic cell rate algorithm: the key holds the time, in microseconds, at which the next request would be due if
/// all came at the rate. A request may come before it by the tolerance.
///
/// The time is the server's, so that those of the processes do not matter. A time that is too late, after the server's
/// clock was set back or the rate was raised, becomes the latest of this rate. KEYS: rate. ARGV: interval and tolerance in
/// microseconds. Returns the microseconds to wait, 0 for an admitted request, or -1 if the user lacks a permission, which
/// must not end the use of the cache.
///
/// The time is a double, to 0.25 microseconds: a shorter interval may add nothing, and the server rejects a lifetime of 0.
/// Text such as `nan` is a number in Lua.
const TAKE: &str = "
local clock, stored = redis.pcall('TIME'), redis.pcall('GET', KEYS[1])
if clock.err or type(stored) == 'table' then return -1 end
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local due = tonumber(stored or '') or now
local latest = now + tonumber(ARGV[1]) + tonumber(ARGV[2])
local function store()
  local lifetime = math.max(1, math.ceil((due - now) / 1000))
  return not redis.pcall('SET', KEYS[1], string.format('%.3f', due), 'PX', lifetime).err
end
if not (due > now) then due = now end
if due > latest then
  due = latest
  store()
end
local wait = due - now - tonumber(ARGV[2])
if wait > 0 then return math.ceil(wait) end
due = due + tonumber(ARGV[1])
return store() and 0 or -1";

/// Maximum number of requests in a time: one in each interval, and a burst at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedRate {
    interval: Duration,
    burst: u32,
}

impl SharedRate {
    /// Creates a rate of one request in each interval. The first `burst` requests may come at once.
    ///
    /// ```
    /// use std::{sync::Arc, time::Duration};
    /// use http_cache_layer::SharedRate;
    ///
    /// let hundred_per_second = SharedRate::new(Duration::from_millis(10), 100);
    /// assert_eq!(hundred_per_second.burst(), 100);
    /// ```
    #[must_use]
    pub fn new(interval: Duration, burst: u32) -> Self {
        Self { interval, burst }
    }

    /// Returns the number of requests that may come at once.
    #[must_use]
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// Returns the longest wait that the script returns. Another server may return more.
    fn longest_wait(&self) -> Duration {
        self.interval.saturating_add(Duration::from_micros(1))
    }

    fn command(&self, key: &str) -> Cmd {
        let micros = self.interval.as_nanos() as f64 / 1000.0;
        let tolerance = micros * f64::from(self.burst.saturating_sub(1));
        let mut command = redis::cmd("EVAL");
        command
            .arg(TAKE)
            .arg(1)
            .arg(key)
            .arg(format!("{micros:.3}"))
            .arg(format!("{tolerance:.3}"));
        command
    }
}

/// Decision of all processes about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SharedDecision {
    /// The request is within the rate, and counts.
    Admitted,
    /// The rate is reached, for this duration.
    Limited(Duration),
    /// The server does not respond in time, is left alone for a second after that, or does not allow it. Use a limit of
    /// the process.
    Unknown,
}

/// Counts a request against a rate with this name.
pub(super) async fn take(
    connection: &Arc<Connection>,
    prefix: &str,
    name: &str,
    rate: SharedRate,
) -> SharedDecision {
    let key = rate_key(prefix, name);
    let command = rate.command(&key);
    match connection.query(Lane::Read, &key, command).await {
        Some(Value::Int(0)) => SharedDecision::Admitted,
        Some(Value::Int(micros @ 1..)) => {
            let wait = Duration::from_micros(micros.unsigned_abs());
            SharedDecision::Limited(wait.min(rate.longest_wait()))
        }
        _ => SharedDecision::Unknown,
    }
}

/// Returns the key of a rate. The braces spread the rates over the servers of a cluster.
fn rate_key(prefix: &str, name: &str) -> String {
    format!("{prefix}:rate:{{{name}}}")
}
