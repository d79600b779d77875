//! Processes that share a store.

use std::{sync::Arc, time::Duration};

use redis::Value;

use super::connection::{Connection, Lane};

/// Writes the description of a process with its end, and returns the processes that have not ended.
///
/// The time is the server's, so that those of the processes do not matter. KEYS: processes. ARGV: id, description, and
/// lifetime in milliseconds. Returns ids and descriptions by turns, or 0 if the user may not send TIME, which the cache
/// does not need.
const ANNOUNCE: &str = "
local clock = redis.pcall('TIME')
if clock.err then return 0 end
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local last = string.format('%.0f', now + tonumber(ARGV[3]))
redis.call('HSET', KEYS[1], ARGV[1], last .. ' ' .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local all = redis.call('HGETALL', KEYS[1])
local living = {}
for i = 1, #all, 2 do
  local ends, description = string.match(all[i + 1], '^(%d+) (.*)$')
  if ends and tonumber(ends) > now then
    living[#living + 1] = all[i]
    living[#living + 1] = description
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return living";

/// Maximum number of processes, and maximum length of a description in bytes, that are read.
const MAX_MEMBERS: usize = 1000;
const MAX_DESCRIPTION_LEN: usize = 4096;

pub(super) async fn announce(
    connection: &Arc<Connection>,
    prefix: &str,
    id: &str,
    description: &str,
    lifetime: Duration,
) -> Option<Vec<(String, String)>> {
    let key = format!("{prefix}:processes");
    let mut command = redis::cmd("EVAL");
    command
        .arg(ANNOUNCE)
        .arg(1)
        .arg(&key)
        .arg(id)
        .arg(description)
        .arg(lifetime.as_millis().to_string());
    match connection.query(Lane::Read, &key, command).await? {
        Value::Array(values) => Some(members(values)),
        _ => None,
    }
}

fn members(values: Vec<Value>) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::BulkString(bytes) if bytes.len() <= MAX_DESCRIPTION_LEN => {
            String::from_utf8(bytes.clone()).ok()
        }
        _ => None,
    };
    values
        .chunks_exact(2)
        .take(MAX_MEMBERS)
        .filter_map(|pair| text(&pair[0]).zip(text(&pair[1])))
        .collect()
}
