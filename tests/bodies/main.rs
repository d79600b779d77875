//! Bodies of signed requests: buffered, streamed, in chunks, in files, and their share of memory.

#[path = "../common/mod.rs"]
mod common;

mod budget;
mod buffered;
mod framing;
mod payload;
mod spool;
