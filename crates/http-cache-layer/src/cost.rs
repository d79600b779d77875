//! Memory that entries use. A limit on the bytes of responses alone would bound nothing: a response of one byte uses
//! more than 2 KiB.

use http::HeaderMap;

/// The two counters before the value of an `Arc`.
pub(crate) const ARC_COUNTS: usize = 2 * size_of::<usize>();
/// Memory that moka uses for a key and its slot.
pub(crate) const SLOT: usize = 450;
/// A name and its value in a `HeaderMap`, with the hash.
const FIELD: usize = 104;
/// Memory that `Bytes` uses beside the bytes once it has a clone.
const SHARED_BYTES: usize = 3 * size_of::<usize>();

/// Size of an allocation with the allocator's overhead: glibc's header, in steps of 16 bytes.
pub(crate) fn allocation(bytes: usize) -> usize {
    if bytes == 0 {
        0
    } else {
        (bytes + 8).next_multiple_of(16).max(32)
    }
}

/// Memory of a `Bytes` of this length that owns its bytes.
pub(crate) fn bytes(len: usize) -> usize {
    if len == 0 {
        0
    } else {
        allocation(len) + allocation(SHARED_BYTES)
    }
}

/// Memory of a map whose names and values own their bytes.
pub(crate) fn headers(map: &HeaderMap) -> usize {
    let fields = map
        .iter()
        .map(|(name, value)| bytes(name.as_str().len()) + bytes(value.len()));
    // At most three quarters of the index are used; repeated names are in a list of their own.
    let index = (map.capacity() * 4 / 3).next_power_of_two() * size_of::<u32>();
    let repeated = (map.len() - map.keys_len()) * FIELD;
    allocation(index)
        + allocation(map.capacity() * FIELD)
        + allocation(2 * repeated)
        + fields.sum::<usize>()
}
