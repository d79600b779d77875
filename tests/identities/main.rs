//! One layer with several identities: each request is signed with its own, or not sent.

#[path = "../common/mod.rs"]
mod common;

mod isolation;
mod race;
mod resolution;
mod set;
