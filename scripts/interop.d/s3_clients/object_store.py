"""object_store for Rust: rust/src/object_store.rs carries out the operations. It sends the hash, and the
checksum that is set there in a header."""

import os

import remote

UNABLE_KEYS = {
    "s//t//u": "object_store rejects empty segments in keys",
    "v/../w": "object_store rejects `.` and `..` in keys",
}
CHECKSUM = "SHA256"
globals().update(remote.operations([os.environ["S3_RUST_CLIENTS"], "object_store"]))
