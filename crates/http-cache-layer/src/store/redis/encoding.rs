//! Entries as bytes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    entry::{Entry, StoredHead},
    key::Partition,
    vary::Vary,
};

/// Raised with each change of [`EncodedHead`].
const VERSION: u8 = 1;
/// Tolerance for another process's clock: a response from the future would be fresh for too long.
const CLOCK_SKEW: Duration = Duration::from_secs(5);

/// The head of an entry. The body follows it. The policy of http-cache-semantics is computed again at a lookup, so that
/// its internals may change.
#[derive(Serialize, Deserialize)]
struct EncodedHead {
    partition: Partition,
    vary: Vary,
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    /// In milliseconds since 1970.
    received: u64,
    age: u64,
    authorized: bool,
    length: u64,
}

/// Name of the field for a variant.
pub(super) fn field(entry: &Entry) -> Option<Vec<u8>> {
    let variant = postcard::to_allocvec(&(entry.head.partition, &entry.head.vary)).ok()?;
    Some(Sha256::digest(variant).to_vec())
}

pub(super) fn encode(entry: &Entry) -> Option<Vec<u8>> {
    let head = &entry.head;
    let received = head.received.duration_since(UNIX_EPOCH).ok()?.as_millis();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_owned()));
    let encoded = EncodedHead {
        partition: head.partition,
        vary: head.vary.clone(),
        status: head.status.as_u16(),
        headers: headers.collect(),
        received: received.try_into().ok()?,
        age: head.age,
        authorized: head.authorized,
        length: entry.body.len() as u64,
    };
    let mut bytes = postcard::to_extend(&encoded, vec![VERSION]).ok()?;
    for chunk in entry.body.iter() {
        bytes.extend_from_slice(chunk);
    }
    Some(bytes)
}

/// Returns `None` for the bytes of another version, and for anything malformed.
pub(super) fn decode(bytes: &Bytes, now: SystemTime) -> Option<Entry> {
    let rest = bytes.strip_prefix(&[VERSION])?;
    let (encoded, body) = postcard::take_from_bytes::<EncodedHead>(rest).ok()?;
    let received = UNIX_EPOCH.checked_add(Duration::from_millis(encoded.received))?;
    if encoded.length != body.len() as u64 || received > now + CLOCK_SKEW {
        return None;
    }
    let mut headers = HeaderMap::new();
    for (name, value) in encoded.headers {
        let parsed = HeaderName::try_from(name).ok()?;
        headers
            .try_append(parsed, HeaderValue::try_from(value).ok()?)
            .ok()?;
    }
    let head = StoredHead {
        partition: encoded.partition,
        vary: encoded.vary,
        status: StatusCode::from_u16(encoded.status).ok()?,
        headers,
        received,
        age: encoded.age,
        authorized: encoded.authorized,
    };
    Some(Entry::new(head)?.with_body(bytes.slice_ref(body).into()))
}
