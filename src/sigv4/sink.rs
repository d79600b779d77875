//! Destinations of canonical bytes: a buffer, a hash or a MAC.

use hmac::Mac;
use sha2::{Digest, Sha256};

/// Receives a canonical form, so that it can be hashed without being stored.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Sink for Sha256 {
    fn put(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

/// A MAC. A newtype, since a blanket implementation for [`Mac`] would overlap with the others.
pub(super) struct MacSink<M>(pub(super) M);

impl<M: Mac> Sink for MacSink<M> {
    fn put(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}
