//! Entries as bytes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use crate::{
    entry::{Entry, StoredHead},
    policy::Lifetimes,
    stored_headers::MAX_LINES,
    vary::{VariantId, VaryNames},
};

/// Raised with each change of [`EncodedHead`].
const VERSION: u8 = 3;
/// Tolerance for another process's clock: a response from the future would be fresh for too long.
const CLOCK_SKEW: Duration = Duration::from_secs(5);

/// The head of an entry. The body follows it.
#[derive(Serialize, Deserialize)]
struct EncodedHead {
    vary: String,
    variant: [u8; 32],
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    /// In milliseconds since 1970.
    received: u64,
    age: u64,
    lifetimes: Lifetimes,
    length: u64,
}

impl Entry {
    /// Returns the entry as bytes, for a store outside of this process.
    ///
    /// Selecting headers are in it as a digest. Returns `None` if the entry was received before 1970.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let head = &self.head;
        let received = head.received.duration_since(UNIX_EPOCH).ok()?.as_millis();
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_owned()));
        let encoded = EncodedHead {
            vary: head.vary.to_text(),
            variant: *head.variant.as_bytes(),
            status: head.status.as_u16(),
            headers: headers.collect(),
            received: received.try_into().ok()?,
            age: head.age,
            lifetimes: head.lifetimes,
            length: self.body.len() as u64,
        };
        let mut bytes = postcard::to_extend(&encoded, vec![VERSION]).ok()?;
        bytes.reserve_exact(self.body.len());
        for chunk in self.body.iter() {
            bytes.extend_from_slice(chunk);
        }
        Some(bytes)
    }

    /// Returns the entry that [`to_bytes`](Self::to_bytes) has written.
    ///
    /// Returns `None` for bytes of another version, for a response from the future (by more than five seconds), and for
    /// anything malformed. The entry holds the bytes.
    #[must_use]
    pub fn from_bytes(bytes: &Bytes, now: SystemTime) -> Option<Self> {
        let rest = bytes.strip_prefix(&[VERSION])?;
        let (encoded, body) = postcard::take_from_bytes::<EncodedHead>(rest).ok()?;
        let received = UNIX_EPOCH.checked_add(Duration::from_millis(encoded.received))?;
        let latest = now.checked_add(CLOCK_SKEW)?;
        let has_too_many = encoded.headers.len() > MAX_LINES;
        if encoded.length != body.len() as u64 || received > latest || has_too_many {
            return None;
        }
        let mut headers = HeaderMap::new();
        for (name, value) in encoded.headers {
            let parsed = HeaderName::try_from(name).ok()?;
            let valid = HeaderValue::try_from(value).ok()?;
            headers.try_append(parsed, valid).ok()?;
        }
        let head = StoredHead {
            vary: VaryNames::from_text(&encoded.vary)?,
            variant: VariantId::from_bytes(encoded.variant),
            status: StatusCode::from_u16(encoded.status).ok()?,
            headers,
            received,
            age: encoded.age,
            lifetimes: encoded.lifetimes,
        };
        Some(Self::new(head).with_body(bytes.slice_ref(body).into()))
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};

    use super::*;
    use crate::{Key, directives::RequestDirectives};

    fn entry(key: &Key, now: SystemTime) -> Entry {
        let request = Request::get("/").header("cookie", "secret=1").body(());
        let response = Response::builder()
            .header("cache-control", "public, max-age=60")
            .header("vary", "cookie")
            .header("x", "y")
            .body(());
        let (sent, ()) = request.expect("a request").into_parts();
        let (received, ()) = response.expect("a response").into_parts();
        let stored = Entry::from_response(key, &sent, &received, now).expect("storable");
        stored.with_body(Bytes::from("body").into())
    }

    #[test]
    fn only_encoded_entries_are_decoded() {
        let (key, now) = (Key::new("h", "/"), SystemTime::now());
        let original = entry(&key, now);
        let bytes = Bytes::from(original.to_bytes().expect("bytes"));
        assert!(!String::from_utf8_lossy(&bytes).contains("secret"));
        let read = Entry::from_bytes(&bytes, now).expect("an entry");
        let body = |one: &Entry| one.body.iter().flatten().copied().collect::<Vec<_>>();
        assert_eq!(
            (body(&read), &read.head.headers, read.variant(), read.vary()),
            (
                body(&original),
                &original.head.headers,
                original.variant(),
                original.vary()
            )
        );
        let earlier = now - Duration::from_secs(60);
        assert!(Entry::from_bytes(&bytes, earlier).is_none(), "the future");
        for length in 0..bytes.len() {
            let part = bytes.slice(..length);
            assert!(Entry::from_bytes(&part, now).is_none(), "{length}");
        }
        for version in (0..=u8::MAX).filter(|version| *version != VERSION) {
            let other = Bytes::from([&[version], &bytes[1..]].concat());
            assert!(Entry::from_bytes(&other, now).is_none(), "{version}");
        }
    }

    #[test]
    fn arbitrary_bytes_never_cause_a_panic() {
        let (key, now) = (Key::new("h", "/"), SystemTime::now());
        let bytes = entry(&key, now).to_bytes().expect("bytes");
        for place in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff, bytes[place] ^ 1] {
                let mut broken = bytes.clone();
                broken[place] = value;
                use_entry(&broken.into(), now);
            }
        }
        let mut random = fastrand::Rng::with_seed(1);
        for length in (0..300).cycle().take(30_000) {
            let mut noise = vec![VERSION];
            noise.extend(std::iter::repeat_with(|| random.u8(..)).take(length));
            use_entry(&noise.into(), now);
        }
    }

    /// Does with an entry, if there is one, what a lookup does.
    fn use_entry(bytes: &Bytes, now: SystemTime) {
        if let Some(read) = Entry::from_bytes(bytes, now) {
            let (request, ()) = Request::new(()).into_parts();
            read.usability(&RequestDirectives::default(), now);
            drop((read.lifetime(), read.size(), read.respond(&request, now)));
        }
    }
}
