//! Commands to the server.
//!
//! The responses to one URL are in a hash. Its fields are `g`, a random number that a removal leaves; `s`, the lists of
//! names in `vary`, the newest first, one a line; and for each variant `b` with its digest, the stored response, and `u`
//! with its digest, the time of its use. Responses for an identity are in a hash of their own, which is valid as long as
//! its `g` is that of the URL's hash. The braces in their names keep both on one server of a cluster.
//!
//! Each command names its keys, which are on one server. EVAL sends the script each time, since EVALSHA fails on a
//! server that has just taken over.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::Cmd;

use super::keys::Hashes;
use crate::{
    store::interface::MAX_VARIANTS,
    vary::{VariantId, VaryNames},
};

/// Maximum number of lists of names in `vary` for a URL.
pub(super) const MAX_LISTS: usize = 4;
/// Begins each list, also an empty one. It is no character of a name.
const LIST: char = ':';
/// A response that was not used since it was stored is evicted before those that were used in this time.
const PROBATION: u64 = 60;
/// Maximum age of a ticket.
pub(super) const TICKET_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// Time for which a removal leaves its trace.
const TRACE_LIFETIME: Duration = Duration::from_secs(2 * TICKET_LIFETIME.as_secs());

/// KEYS: the URL's hash; for an identity also its own. ARGV: `g` of the lookup, variant, its value, its lifetime in
/// milliseconds, maximum number of variants, list of names, maximum number of lists, time of use, new `g`.
const PUT: &str = "
local base, own = KEYS[1], KEYS[2] or KEYS[1]
local g = redis.call('HGET', base, 'g') or ''
if g ~= ARGV[1] then return 0 end
if own ~= base then
  if g == '' then
    g = ARGV[9]
    redis.call('HSET', base, 'g', g)
  end
  if redis.call('PTTL', base) < tonumber(ARGV[4]) then redis.call('PEXPIRE', base, ARGV[4]) end
  if redis.call('HGET', own, 'g') ~= g then redis.call('UNLINK', own) end
  redis.call('HSET', own, 'g', g)
end
redis.call('HSET', own, 'b' .. ARGV[2], ARGV[3])
redis.call('HSETNX', own, 'u' .. ARGV[2], ARGV[8])
local lists, old = {ARGV[6]}, redis.call('HGET', own, 's') or ''
for list in string.gmatch(old, '[^\\n]+') do
  if list ~= ARGV[6] and #lists < tonumber(ARGV[7]) then lists[#lists + 1] = list end
end
local new = table.concat(lists, '\\n')
if new ~= old then redis.call('HSET', own, 's', new) end
local count, least, oldest = 0, nil, nil
local max = tonumber(ARGV[5])
while redis.call('HLEN', own) > 2 * max + 2 do
  least, oldest, count = nil, nil, 0
  for _, field in ipairs(redis.call('HKEYS', own)) do
    if string.sub(field, 1, 1) == 'b' then
      count = count + 1
      local id = string.sub(field, 2)
      local used = tonumber(redis.call('HGET', own, 'u' .. id) or '') or 0
      if id ~= ARGV[2] and (oldest == nil or used < oldest) then least, oldest = id, used end
    end
  end
  if count <= max or least == nil then break end
  redis.call('HDEL', own, 'b' .. least, 'u' .. least)
end
if redis.call('PTTL', own) < tonumber(ARGV[4]) then redis.call('PEXPIRE', own, ARGV[4]) end
return 1";

/// KEYS: the URL's hash. ARGV: new `g`, its lifetime in milliseconds.
const REMOVE: &str = "
redis.call('UNLINK', KEYS[1])
redis.call('HSET', KEYS[1], 'g', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1";

/// KEYS: hash. ARGV: variant, time of use.
const TOUCH: &str = "
if redis.call('HEXISTS', KEYS[1], 'b' .. ARGV[1]) == 1 then
  redis.call('HSET', KEYS[1], 'u' .. ARGV[1], ARGV[2])
end
return 1";

/// KEYS: purges. ARGV: epoch and count that the process knows, new epoch if there is none.
const READ_PURGES: &str = "
local epoch = redis.call('HGET', KEYS[1], 'e')
if not epoch then
  epoch = ARGV[3]
  redis.call('HSET', KEYS[1], 'e', epoch, 'n', '0')
end
if epoch == ARGV[1] and redis.call('HGET', KEYS[1], 'n') == ARGV[2] then return {} end
return redis.call('HGETALL', KEYS[1])";

/// KEYS: purges. ARGV: rule, maximum number of fields, new epoch if there is none or if there are too many rules.
const PURGE: &str = "
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[2]) and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  redis.call('DEL', KEYS[1])
end
if redis.call('HSETNX', KEYS[1], 'e', ARGV[3]) == 1 then
  redis.call('HSET', KEYS[1], 'n', '0')
  return 1
end
redis.call('HSET', KEYS[1], ARGV[1], redis.call('HINCRBY', KEYS[1], 'n', 1))
return 1";

/// KEYS: purges. ARGV: new epoch.
const CLEAR: &str = "
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'e', ARGV[1], 'n', '0')
return 1";

/// Sends each command of the scripts and of lookups to a key that nothing else uses. KEYS: that key. Returns the names of
/// those that the user may not send.
const PERMISSIONS: &str = "
local forbidden = {}
for _, words in ipairs({
  {'hset', 'a', '1'}, {'hsetnx', 'b', '1'}, {'hincrby', 'a', 1}, {'hget', 'a'}, {'hmget', 'a', 'b'}, {'hgetall'},
  {'hexists', 'a'}, {'hkeys'}, {'hlen'}, {'hdel', 'b'}, {'pexpire', 1000}, {'pttl'}, {'del'}, {'unlink'},
}) do
  local name = table.remove(words, 1)
  local reply = redis.pcall(name, KEYS[1], unpack(words))
  if type(reply) == 'table' and reply.err then forbidden[#forbidden + 1] = name end
end
return forbidden";

pub(super) fn permissions(key: &str) -> Cmd {
    eval(PERMISSIONS, key)
}

impl Hashes {
    fn eval(&self, script: &str) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(script);
        match &self.identity {
            Some(own) => command.arg(2).arg(&self.url).arg(own),
            None => command.arg(1).arg(&self.url),
        };
        command
    }
}

fn eval(script: &str, key: &str) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(script).arg(1).arg(key);
    command
}

fn field(kind: u8, variant: VariantId) -> [u8; 33] {
    let mut field = [kind; 33];
    field[1..].copy_from_slice(variant.as_bytes());
    field
}

pub(super) fn to_list(names: &VaryNames) -> String {
    format!("{LIST}{}", names.to_text())
}

/// Returns the lists that can be read, the newest first.
pub(super) fn from_lists(text: &[u8]) -> Vec<VaryNames> {
    let lines = std::str::from_utf8(text).unwrap_or_default().lines();
    lines
        .take(MAX_LISTS)
        .filter_map(|line| VaryNames::from_text(line.strip_prefix(LIST)?))
        .collect()
}

/// Reads `g`, the lists, and one variant with the time of its use.
pub(super) fn find(own: &str, variant: VariantId) -> Cmd {
    let mut command = redis::cmd("HMGET");
    command.arg(own).arg("g").arg("s");
    command
        .arg(&field(b'b', variant)[..])
        .arg(&field(b'u', variant)[..]);
    command
}

/// Reads `g` of the URL's hash.
pub(super) fn generation(url: &str) -> Cmd {
    let mut command = redis::cmd("HGET");
    command.arg(url).arg("g");
    command
}

/// A response to store.
pub(super) struct Record {
    pub(super) hashes: Hashes,
    pub(super) variant: VariantId,
    pub(super) list: String,
    pub(super) value: Vec<u8>,
    pub(super) lifetime: Duration,
}

pub(super) fn put(record: &Record, generation: &[u8], now: u64) -> Cmd {
    let mut command = record.hashes.eval(PUT);
    command
        .arg(generation)
        .arg(&record.variant.as_bytes()[..])
        .arg(&record.value)
        .arg(record.lifetime.as_millis() as u64)
        .arg(MAX_VARIANTS)
        .arg(&record.list)
        .arg(MAX_LISTS)
        .arg(now.saturating_sub(PROBATION))
        .arg(fastrand::u64(..));
    command
}

pub(super) fn remove(hash: &str) -> Cmd {
    let mut command = eval(REMOVE, hash);
    command
        .arg(fastrand::u64(..))
        .arg(TRACE_LIFETIME.as_millis() as u64);
    command
}

pub(super) fn touch(own: &str, variant: VariantId, now: u64) -> Cmd {
    let mut command = eval(TOUCH, own);
    command.arg(&variant.as_bytes()[..]).arg(now);
    command
}

pub(super) fn read_purges(key: &str, epoch: u64, count: u64) -> Cmd {
    let mut command = eval(READ_PURGES, key);
    command.arg(epoch).arg(count).arg(new_epoch(epoch));
    command
}

pub(super) fn purge(key: &str, rule: &str, max_rules: usize) -> Cmd {
    let mut command = eval(PURGE, key);
    command.arg(rule).arg(max_rules + 2).arg(new_epoch(0));
    command
}

pub(super) fn clear(key: &str, known_epoch: u64) -> Cmd {
    let mut command = eval(CLEAR, key);
    command.arg(new_epoch(known_epoch));
    command
}

/// Returns a number that is above those of earlier epochs, and seldom that of another process.
fn new_epoch(known: u64) -> u64 {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = (since_1970.as_millis() as u64) << 20 | fastrand::u64(..1 << 20);
    now.max(known.saturating_add(1))
}

/// Waits until a replica has all writes of this connection, for at most this time.
pub(super) fn wait(limit: Duration) -> Cmd {
    let mut command = redis::cmd("WAIT");
    command.arg(1).arg(limit.as_millis().max(1) as u64);
    command
}
