//! An entry as bytes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::cache::{
    entry::{Entry, Head},
    key::{RouteId, Vary},
};

/// Raised with each change of [`Stored`].
const VERSION: u8 = 1;
/// By how much the clock of another gateway may be ahead: an answer from the future would be young for long.
const SKEW: Duration = Duration::from_secs(5);

/// The judgement of the crate is not stored but made again, so that what it holds inside may change. The body
/// comes behind.
#[derive(Serialize, Deserialize)]
struct Stored {
    route: RouteId,
    vary: Vary,
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    /// In milliseconds since 1970.
    at: u64,
    age: u64,
    authorized: bool,
    length: u64,
}

/// Tells the variants of one URL apart.
pub(super) fn field(entry: &Entry) -> Option<Vec<u8>> {
    let variant = postcard::to_allocvec(&(entry.head.route, &entry.head.vary)).ok()?;
    Some(Sha256::digest(variant).to_vec())
}

pub(super) fn to_bytes(entry: &Entry) -> Option<Vec<u8>> {
    let head = &entry.head;
    let fields = head.headers.iter();
    let stored = Stored {
        route: head.route,
        vary: head.vary.clone(),
        status: head.status.as_u16(),
        headers: fields
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_owned()))
            .collect(),
        at: head
            .at
            .duration_since(UNIX_EPOCH)
            .ok()?
            .as_millis()
            .try_into()
            .ok()?,
        age: head.age,
        authorized: head.authorized,
        length: entry.body.len() as u64,
    };
    let mut bytes = postcard::to_extend(&stored, vec![VERSION]).ok()?;
    entry
        .body
        .iter()
        .for_each(|piece| bytes.extend_from_slice(piece));
    Some(bytes)
}

/// None for what another version has written, or anything else.
pub(super) fn from_bytes(bytes: &Bytes, now: SystemTime) -> Option<Entry> {
    let stored = bytes.strip_prefix(&[VERSION])?;
    let (stored, body) = postcard::take_from_bytes::<Stored>(stored).ok()?;
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(stored.at))?;
    if stored.length != body.len() as u64 || at > now + SKEW {
        return None;
    }
    let mut headers = HeaderMap::new();
    for (name, value) in stored.headers {
        let name = HeaderName::try_from(name).ok()?;
        headers
            .try_append(name, HeaderValue::try_from(value).ok()?)
            .ok()?;
    }
    let head = Head {
        route: stored.route,
        vary: stored.vary,
        status: StatusCode::from_u16(stored.status).ok()?,
        headers,
        at,
        age: stored.age,
        authorized: stored.authorized,
    };
    Some(Entry::new(head)?.with_body(bytes.slice_ref(body).into()))
}
