//! Bodies of signed requests: buffered, streamed, in chunks, in files, and their share of memory.

#[path = "../common/mod.rs"]
mod common;

mod budget;
mod buffered;
mod framing;
mod mirror;
mod mirror_client;
mod mirror_edges;
mod mirror_judge;
mod mirror_kept;
mod mirror_lies;
mod mirror_presigned;
mod payload;
mod spool;
