//! Memory that entries take. The limit would bound nothing if it counted the bytes of a response alone: a
//! response of one byte takes 2 KiB and more.

use http::HeaderMap;

/// The two counts before the value of an `Arc`.
pub(super) const COUNTS: usize = 2 * size_of::<usize>();
/// What http-cache-semantics takes for a response, besides its directives.
pub(super) const POLICY: usize = 700;
/// What moka takes for a key, and the slot.
pub(super) const PLACE: usize = 450;
/// A name and its value in a `HeaderMap`, which keeps the hash beside them.
const FIELD: usize = 104;
/// What `Bytes` keeps beside the bytes once there are two of it.
const SHARED: usize = 3 * size_of::<usize>();

/// Size of an allocation with what the allocator adds: glibc's header, in steps of 16 bytes.
pub(super) fn allocation(bytes: usize) -> usize {
    if bytes == 0 {
        0
    } else {
        (bytes + 8).next_multiple_of(16).max(32)
    }
}

/// Memory of a `Bytes` that owns so many.
pub(super) fn bytes(len: usize) -> usize {
    if len == 0 {
        0
    } else {
        allocation(len) + allocation(SHARED)
    }
}

/// Memory of a map whose names and values own their bytes.
pub(super) fn headers(map: &HeaderMap) -> usize {
    let fields = map
        .iter()
        .map(|(name, value)| bytes(name.as_str().len()) + bytes(value.len()));
    // Three of four places in the index are used at most; repeated names stand in a list of their own.
    let index = (map.capacity() * 4 / 3).next_power_of_two() * size_of::<u32>();
    let repeated = (map.len() - map.keys_len()) * FIELD;
    allocation(index)
        + allocation(map.capacity() * FIELD)
        + allocation(2 * repeated)
        + fields.sum::<usize>()
}

/// Memory of a directive in a hash map of half-empty buckets, name and value each on its own.
pub(super) fn directive(len: usize) -> usize {
    allocation(len) + allocation(1) + 80
}
